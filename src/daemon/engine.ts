/** What the daemon needs of the storage engine, one per vault. `assemble.ts` builds the real one; tests bring volumes in memory. */
import type { Clock } from "../base/clock.ts";
import type { Disk } from "../base/disk.ts";
import type { Random } from "../base/random.ts";
import type { Appliance } from "../api/app.ts";
import type { CatalogEvent } from "../catalog/catalog.ts";
import type { Config } from "../config/config.ts";
import type {
  ScrubLine,
  ScrubRequest,
  VaultKey,
  VaultScrub,
  VaultStatus,
  WireVaultSpace,
} from "../contract/contract.ts";
import type { Log } from "../observe/log.ts";
import type { Metrics, VaultSample } from "../observe/metrics.ts";
import type { Signals } from "../signals/signals.ts";
import type { Volumes } from "../volume/volumes.ts";
import type { OpenStore } from "../replication/replication.ts";
import type { EngineTiers } from "./engine-tiers.ts";
import type { RetainedVault } from "./retention-task.ts";

export interface Engine {
  readonly volumes: Volumes;
  /** True when what it stores is encrypted. */
  readonly encrypted: boolean;
  /** Everything but the space, which is asked of the disk. */
  status(): Promise<Omit<VaultStatus, "freeBytes" | "totalBytes">>;
  /** What the metrics show; cheap. */
  sample(): VaultSample;
  /** Who needs what is stored. Takes a while. @throws conflict: it is being counted already; unavailable: it is not open for writing */
  space(): Promise<Omit<WireVaultSpace, "vault">>;
  /** What keeps it from working as it should, in words; undefined when all is well. Cheap. */
  trouble(): string | undefined;
  /** Of this vault alone; the caller sees to it that one check runs at a time. */
  check: Appliance["check"];
  /** Where else it is kept. Absent in tests that have no tiers. */
  readonly tiers?: EngineTiers;
  /** Reads its tier anew, of a vault that follows one: nobody's reading is disturbed. @throws unavailable, corrupt, conflict: it stays as it was */
  readonly refresh?: (() => Promise<void>) | undefined;
  /** Gives back the space of what is not needed any more. Absent for a vault that is open for reading only. */
  readonly collect?: RetainedVault["collect"];
  /** Absent for a vault that is open for reading only: nothing in it can be repaired. */
  readonly scrub?: EngineScrub | undefined;
  /** Makes everything answered durable and closes; devices that are open fail from then on. Idempotent. */
  stop(): Promise<void>;
}

export interface EngineScrub {
  status(): VaultScrub;
  run(
    request: ScrubRequest,
    signal: AbortSignal,
  ): AsyncGenerator<Exclude<ScrubLine, { line: "failed" }>, void, undefined>;
}

export interface EngineOptions {
  disk: Disk;
  clock: Clock;
  random: Random;
  /** As the appliance calls the vault. */
  name: string;
  /** The vault's own folder; exists. */
  dir: string;
  /** Make the vault there; otherwise one must be there. */
  make: boolean;
  /** What unlocks it; for a vault that is made, what it is to be encrypted for. */
  key?: VaultKey | undefined;
  /** It was encrypted when it was last open: it must not open as one that is not. */
  mustBeEncrypted?: boolean;
  /** This vault's part of it. */
  storage: Config["storage"];
  scrub: Config["scrub"];
  /** Of a vault that follows its tier: may refuse what came there, because of its volumes' names. @throws conflict */
  admit: (names: readonly string[]) => void;
  /** It shows a newer state of its tier now. Never rejects. */
  onMoved: () => Promise<void>;
  /** Reaches the places of tiers. */
  openStore: OpenStore;
  /** IANA name; whose hours tiers' schedules mean. */
  zone: string;
  log: Log;
  metrics: Metrics;
  /** Watches what volumes' writes are like; absent: nobody does. */
  signals?: Signals | undefined;
  /** Keeps an event for people; never throws. */
  tell: (event: Omit<CatalogEvent, "id" | "time">) => void;
}

/**
 * Opens the vault in a folder, or makes one there.
 * @throws not_found: the folder holds no vault; denied: it is encrypted and the key is missing or wrong; corrupt, fenced, unavailable
 */
export type OpenEngine = (options: EngineOptions) => Promise<Engine>;
