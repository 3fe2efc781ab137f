/** What the API needs besides volumes; the daemon implements it. */
import type { Access } from "../access/access.ts";
import type { Automation } from "../automation/automation.ts";
import type { AuditTrail } from "../audit/audit.ts";
import type { Catalog } from "../catalog/catalog.ts";
import type {
  AddTier,
  CheckLine,
  CheckRequest,
  DiskList,
  GcRequest,
  GcRunLine,
  Health,
  OpenVault,
  ScrubLine,
  ScrubRequest,
  ScrubStatus,
  SyncLine,
  VaultKey,
  VaultStatus,
  WireDoors,
  WireReceivedList,
  WireReceivedToken,
  WireTier,
  WireVault,
  WireVaultSpace,
  WireVerifyLine,
} from "../contract/contract.ts";
import type { ConsoleFiles } from "../contract/console-files.ts";
import type { OperationId } from "../contract/contract.ts";
import type { Principal } from "../contract/rights.ts";
import type { Log } from "../observe/log.ts";
import type { Metrics } from "../observe/metrics.ts";
import type { Notifier } from "../notify/notify.ts";
import type { Signals } from "../signals/signals.ts";
import type { Volumes } from "../volume/volumes.ts";
import type { Ownership } from "./authority.ts";
import type { CredentialMaker } from "./credential-routes.ts";
import type { JobRunner } from "./job-runner.ts";
import type { Rates } from "./rates.ts";

export interface Appliance {
  health(): Health;
  /** Of the vault `default`. @throws unavailable: it is not open */
  vault(): Promise<VaultStatus>;
  vaults: VaultAdmin;
  tiers: TierAdmin;
  received: ReceivedAdmin;
  scrub: ScrubAdmin;
  retention: RetentionAdmin;
  disks(): Promise<DiskList>;
  /**
   * Verifies the vaults beside their service; ends with a line `end`. Aborting the signal stops it.
   * @throws conflict: another check runs; not_found: no such volume
   */
  check(request: CheckRequest, signal: AbortSignal): AsyncIterable<Exclude<CheckLine, { line: "failed" }>>;
}

/** Every method throws not_found for an unknown vault, and why it is closed for one that is. */
export interface TierAdmin {
  list(vault: string): WireTier[];
  /** @throws conflict: the name is taken, or the place belongs to somebody else; invalid, denied, unavailable: why it cannot be a tier */
  add(vault: string, tier: AddTier): Promise<WireTier>;
  /** @throws not_found: no such tier */
  remove(vault: string, tier: string): Promise<void>;
  /** Ends with a line `end` when all tiers, or the one, have everything written before. Aborting the signal stops the waiting. */
  sync(
    vault: string,
    tier: string | undefined,
    signal: AbortSignal,
  ): AsyncGenerator<Exclude<SyncLine, { line: "failed" }>, void, undefined>;
  verify(
    vault: string,
    tier: string,
    repair: boolean,
    signal: AbortSignal,
  ): AsyncGenerator<Exclude<WireVerifyLine, { line: "failed" }>, void, undefined>;
  /** @throws conflict: the name is taken; invalid: the place holds no vault; denied: a key or credentials are wrong or missing */
  open(request: OpenVault): Promise<WireVault>;
  /** @throws conflict: it is written to here already, or was not opened from a tier */
  takeOver(vault: string, key: VaultKey | undefined): Promise<WireVault>;
  /** @throws conflict: it was not opened from a tier for reading */
  refresh(vault: string, key: VaultKey | undefined): Promise<WireVault>;
}

/** Places kept for other appliances. Every method throws why they cannot be had, and not_found for an unknown one. */
export interface ReceivedAdmin {
  list(): Promise<WireReceivedList>;
  /** @returns its token, which is kept nowhere @throws conflict: there is one */
  add(name: string, quotaBytes: number | undefined): Promise<WireReceivedToken>;
  /** Another token; the old one is refused at once. */
  renew(name: string): Promise<WireReceivedToken>;
  /** Deletes it with all that it keeps. */
  remove(name: string): Promise<void>;
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
  /**
   * Deletes one that is open, with all that it stores.
   * @param options.confirm - its name, to delete its volumes as well
   * @throws conflict: it is closed, in use, has volumes and no `confirm`, or a lock or hold protects one; invalid: another name
   */
  remove(name: string, options: { confirm?: string }): Promise<void>;
  /** Takes one that is gone off the list. @throws conflict: it is not gone */
  forget(name: string): Promise<void>;
}

/** The audit as the API uses it. */
export type AuditBook = Pick<
  AuditTrail,
  "append" | "list" | "export" | "key" | "head" | "trouble" | "spellings" | "printOf"
>;

/** Signals of ransomware, as people ask about them. */
export type SignalDesk = Pick<Signals, "alarms" | "acknowledge" | "series" | "setSensitivity">;

/** Everything that the routes work with. */
export interface ApiContext {
  audit: AuditBook;
  access: Access;
  automation: Automation;
  credentials: CredentialMaker;
  ownership: Ownership;
  volumes: Volumes;
  appliance: Appliance;
  /** Long work, for as long as it runs and an hour after. */
  jobs: JobRunner;
  notifier: Notifier;
  signals: SignalDesk;
  /** What reports say of the appliance: by what people know it, and below how much free space writes are refused. */
  reporting: { appliance: string; reserveBytes: number };
  rates: Rates;
  catalog: Catalog;
  metrics: Metrics;
  log: Log;
  version: string;
  console: ConsoleFiles;
  doors: () => WireDoors;
  /** Wall clock in microseconds. */
  now(): number;
}

/** How a request came: over the control socket (only root and our user reach it) or TCP on loopback. */
export interface ApiEnv {
  Bindings: {
    via: "control" | "tcp";
    /** Address of the other side; empty over the control socket. */
    from: string;
    /** It came over TLS. */
    secure: boolean;
  };
  Variables: {
    /** Who asks; absent: nobody has signed in. */
    principal?: Principal;
    /** The operation of the table of routes that answers. */
    operation: OperationId;
    /** Somebody was not let in, and the status does not say so: for the audit. */
    isRefused?: boolean;
    /** Whose account it was about, where neither path nor body says so: for the audit. */
    account?: string;
  };
}
