/** What the API needs besides volumes; the daemon implements it. */
import type { Catalog } from "../catalog/catalog.ts";
import type {
  CheckLine,
  CheckRequest,
  DiskList,
  GcRequest,
  GcRunLine,
  Health,
  ScrubLine,
  ScrubRequest,
  ScrubStatus,
  VaultKey,
  VaultStatus,
  WireVault,
  WireVaultSpace,
} from "../contract/contract.ts";
import type { Log } from "../observe/log.ts";
import type { Metrics } from "../observe/metrics.ts";
import type { Volumes } from "../volume/volumes.ts";

export interface Appliance {
  health(): Health;
  /** Of the vault `default`. @throws unavailable: it is not open */
  vault(): Promise<VaultStatus>;
  vaults: VaultAdmin;
  scrub: ScrubAdmin;
  retention: RetentionAdmin;
  disks(): Promise<DiskList>;
  /**
   * Verifies the vaults beside their service; ends with a line `end`. Aborting the signal stops it.
   * @throws conflict: another check runs; not_found: no such volume
   */
  check(request: CheckRequest, signal: AbortSignal): AsyncIterable<Exclude<CheckLine, { line: "failed" }>>;
}

export interface RetentionAdmin {
  /** Whose hours, days, weeks and months count. */
  readonly zone: string;
  /**
   * Carries out all policies and gives the space back, of every open vault or of one; ends with a line `end`. Aborting the signal stops it
   * after the vault at hand.
   * @throws conflict: it runs already; not_found: no such vault
   */
  run(request: GcRequest, signal: AbortSignal): AsyncIterable<GcRunLine>;
}

export interface ScrubAdmin {
  /** Of the vaults that are open for writing. */
  status(): ScrubStatus;
  /**
   * Goes through what the present cycle of each vault, or of one, has left; ends with a line `end`. Aborting the signal stops it.
   * @throws conflict: it runs already; not_found: no such vault
   */
  run(request: ScrubRequest, signal: AbortSignal): AsyncIterable<Exclude<ScrubLine, { line: "failed" }>>;
}

/** Every method throws not_found for an unknown vault. */
export interface VaultAdmin {
  /** `default` first, then by name. */
  list(): Promise<WireVault[]>;
  show(name: string): Promise<WireVault>;
  /** @throws conflict: it is being counted already; unavailable: it is not open for writing */
  space(name: string): Promise<WireVaultSpace>;
  /** Makes and opens one. @param key - encrypted for this key; plain without @throws conflict: the name is taken, or there are too many */
  create(name: string, key: VaultKey | undefined): Promise<WireVault>;
  /** Closes one and lets go of its key. @throws conflict: it is closed already, or in use without force */
  lock(name: string, options: { force?: boolean }): Promise<WireVault>;
  /** Opens a closed one. @throws denied: the key is wrong or missing; conflict: it is open; corrupt, not_found, unavailable: why it stays closed */
  unlock(name: string, key: VaultKey | undefined): Promise<WireVault>;
  /** Takes one that is gone off the list. @throws conflict: it is not gone */
  forget(name: string): Promise<void>;
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
