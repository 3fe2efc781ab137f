/** What the daemon needs of the storage engine. `assemble.ts` builds the real one; tests bring volumes in memory. */
import type { Clock } from "../base/clock.ts";
import type { Disk } from "../base/disk.ts";
import type { Random } from "../base/random.ts";
import type { Appliance } from "../api/app.ts";
import type { CatalogEvent } from "../catalog/catalog.ts";
import type { Config } from "../config/config.ts";
import type { VaultStatus } from "../contract/contract.ts";
import type { Log } from "../observe/log.ts";
import type { Metrics, VaultSample } from "../observe/metrics.ts";
import type { Volumes } from "../volume/volumes.ts";

export interface Engine {
  readonly volumes: Volumes;
  /** Everything but the space, which the daemon watches. */
  status(): Promise<Omit<VaultStatus, "freeBytes" | "totalBytes">>;
  /** What the metrics show; cheap. */
  sample(): VaultSample;
  /** What keeps it from working as it should, in words; undefined when all is well. Cheap. */
  trouble(): string | undefined;
  check: Appliance["check"];
  /** Makes everything answered durable and closes. No device may be open any more. Idempotent. */
  stop(): Promise<void>;
}

export interface EngineOptions {
  disk: Disk;
  clock: Clock;
  random: Random;
  /** The vault's own folder; exists. */
  dir: string;
  storage: Config["storage"];
  log: Log;
  metrics: Metrics;
  /** Keeps an event for people; never throws. */
  tell: (event: Omit<CatalogEvent, "id" | "time">) => void;
}

/** Opens the vault in a folder, or makes one in an empty folder. @throws corrupt, fenced, unavailable */
export type OpenEngine = (options: EngineOptions) => Promise<Engine>;
