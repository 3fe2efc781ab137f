/** What the API needs besides volumes; the daemon implements it. */
import type { Catalog } from "../catalog/catalog.ts";
import type { CheckLine, CheckRequest, DiskList, Health, VaultStatus } from "../contract/contract.ts";
import type { Log } from "../observe/log.ts";
import type { Metrics } from "../observe/metrics.ts";
import type { Volumes } from "../volume/volumes.ts";

export interface Appliance {
  health(): Health;
  vault(): Promise<VaultStatus>;
  disks(): Promise<DiskList>;
  /**
   * Verifies the vault beside its service; ends with a line `end`. Aborting the signal stops it.
   * @throws conflict: another check runs; not_found: no such volume
   */
  check(request: CheckRequest, signal: AbortSignal): AsyncIterable<Exclude<CheckLine, { line: "failed" }>>;
}

/** Everything that the routes work with. */
export interface ApiContext {
  volumes: Volumes;
  appliance: Appliance;
  catalog: Catalog;
  metrics: Metrics;
  log: Log;
  version: string;
  /** Wall clock in microseconds. */
  now(): number;
}

/** How a request came: over the control socket (only root and our user reach it) or TCP on loopback. */
export interface ApiEnv {
  Bindings: { via: "control" | "tcp" };
}
