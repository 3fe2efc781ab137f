/**
 * The metrics of one appliance, in a registry of its own (two appliances in one test process do not meet). The engine
 * sets counters and gauges; what can be asked for is asked when `/metrics` is read, so that it is never stale.
 *
 * Labels are volumes' and vaults' names, so their number is bounded by those; gauges by volume or vault are built anew at every
 * read, so that a deleted volume leaves nothing behind.
 */
import { Counter, Gauge, Histogram, Registry } from "prom-client";

/** What is asked for each volume when metrics are read. */
export interface VolumeSample {
  name: string;
  sizeBytes: number;
  lastLsn: number;
  /** Seconds since its last write. */
  lastWriteAgeSeconds: number;
  attached: number;
  /** How much it looks like being encrypted by somebody, 0 to 1; absent: it is not watched. */
  suspicion?: number | undefined;
}

/** What clients did to a volume since the appliance started. */
export interface VolumeTotals {
  volume: string;
  writes: number;
  writtenBytes: number;
  /** Trimmed or zeroed. */
  clearedBytes: number;
  readBytes: number;
  flushes: number;
}

/** What is asked of each vault when metrics are read; a fact that is not known (of a closed vault) is left out. */
export interface VaultSample {
  journalUsedBytes?: number;
  journalSizeBytes?: number;
  sealBacklog?: number;
  storedBytes?: number;
  packCount?: number;
  layerCount?: number;
  quarantinedBlocks?: number;
  freeBytes?: number;
  totalBytes?: number;
  writable?: boolean;
}

/** What is asked of each tier when metrics are read. */
export interface TierSample {
  vault: string;
  tier: string;
  online: boolean;
  lagSeconds: number;
  lagBytes: number;
  attempts: number;
  failures: number;
  objectsPut: number;
  bytesPut: number;
}

/** What is asked of notifications when metrics are read. */
export interface NotificationSample {
  waiting: number;
  failures: number;
  sent: number;
  givenUp: number;
}

export interface MetricsSources {
  volumes(): VolumeSample[];
  totals(): VolumeTotals[];
  vaults(): (VaultSample & { vault: string })[];
  tiers(): TierSample[];
  nbdSessions(): number;
  notifications(): NotificationSample;
  /** When the newest job of each kind came to a good end, seconds since 1970. */
  lastDone(): { kind: string; seconds: number }[];
  /** Where space ends at all. */
  spaceLeft(): { vault: string; daysLeft: number }[];
}

/** Powers of two around one synced 4 KiB append on a slow disk and on NVMe. */
const LATENCY_SECONDS = [0.0001, 0.0002, 0.0004, 0.0008, 0.0016, 0.0032, 0.0064, 0.0128, 0.0256, 0.0512, 0.1, 0.5, 2];

const VAULT_GAUGES: Record<keyof VaultSample, [name: string, help: string]> = {
  journalUsedBytes: ["sternway_journal_used_bytes", "Journal that is not sealed yet"],
  journalSizeBytes: ["sternway_journal_size_bytes", "Journal files on disk"],
  sealBacklog: ["sternway_seal_backlog", "Journal files that wait to be sealed"],
  storedBytes: ["sternway_stored_bytes", "Packs and layers on disk"],
  packCount: ["sternway_packs", "Live packs"],
  layerCount: ["sternway_layers", "Live layers"],
  quarantinedBlocks: ["sternway_quarantined_blocks", "Blocks that are damaged and not brought back"],
  freeBytes: ["sternway_store_free_bytes", "Free space where the vault lies"],
  totalBytes: ["sternway_store_size_bytes", "Size of the file system where the vault lies"],
  writable: ["sternway_vault_writable", "1 when the vault takes writes"],
};

const TIER_GAUGES: Record<"online" | "lagSeconds" | "lagBytes", [name: string, help: string]> = {
  online: ["sternway_tier_online", "1 when the tier is online: within reach, and brought up"],
  lagSeconds: ["sternway_tier_lag_seconds", "Age of the oldest write that the tier does not have"],
  lagBytes: ["sternway_tier_lag_bytes", "Bytes that are here and not at the tier"],
};

const TIER_TOTALS: Record<"attempts" | "failures" | "objectsPut" | "bytesPut", [name: string, help: string]> = {
  attempts: ["sternway_tier_attempts_total", "Requests to the tier that were tried"],
  failures: ["sternway_tier_failures_total", "Tries that failed"],
  objectsPut: ["sternway_tier_objects_total", "Objects put at the tier"],
  bytesPut: ["sternway_tier_put_bytes_total", "Bytes put at the tier"],
};

const TOTALS: Record<Exclude<keyof VolumeTotals, "volume">, [name: string, help: string]> = {
  writes: ["sternway_writes_total", "Writes answered"],
  writtenBytes: ["sternway_written_bytes_total", "Bytes written by clients"],
  clearedBytes: ["sternway_cleared_bytes_total", "Bytes trimmed or zeroed by clients"],
  readBytes: ["sternway_read_bytes_total", "Bytes read by clients"],
  flushes: ["sternway_flushes_total", "Flushes answered"],
};

/** Opens an empty set of metrics. Counters may be set from the start; sources are attached when there are any. */
export function createMetrics() {
  const registry = new Registry();
  const registers = [registry];
  const counter = <Label extends string>(name: string, help: string, labelNames: Label[] = []) =>
    new Counter({ name, help, labelNames, registers });
  const gauge = <Label extends string>(name: string, help: string, labelNames: Label[] = []) =>
    new Gauge({ name, help, labelNames, registers });

  const byVolume = {
    size: gauge("sternway_volume_size_bytes", "Size of a volume", ["volume"]),
    lsn: gauge("sternway_volume_last_lsn", "Newest LSN of a volume", ["volume"]),
    age: gauge("sternway_volume_last_write_age_seconds", "Time since a volume's last write", ["volume"]),
    attached: gauge("sternway_volume_attached", "Sessions on a live volume", ["volume"]),
    suspicion: gauge("sternway_suspicion", "How much a volume looks like being encrypted: 1 is an alarm", ["volume"]),
  };
  const vaultGauges = new Map(
    (Object.keys(VAULT_GAUGES) as (keyof VaultSample)[]).map((key) => [key, gauge(...VAULT_GAUGES[key], ["vault"])]),
  );
  const totals = (Object.keys(TOTALS) as (keyof typeof TOTALS)[]).map(
    (key) => [key, counter(...TOTALS[key], ["volume"])] as const,
  );
  const tierLabels = ["vault", "tier"];
  const tierGauges = (Object.keys(TIER_GAUGES) as (keyof typeof TIER_GAUGES)[]).map(
    (key) => [key, gauge(...TIER_GAUGES[key], tierLabels)] as const,
  );
  const tierTotals = (Object.keys(TIER_TOTALS) as (keyof typeof TIER_TOTALS)[]).map(
    (key) => [key, counter(...TIER_TOTALS[key], tierLabels)] as const,
  );
  const rss = gauge("sternway_resident_bytes", "Memory of the process");
  const uptime = gauge("sternway_uptime_seconds", "Time since the process started");
  const nbdSessions = gauge("sternway_nbd_sessions", "NBD sessions now");
  const spaceLeft = gauge("sternway_space_left_days", "Days until space ends, where it does", ["vault"]);
  const lastDone = gauge(
    "sternway_job_last_success_timestamp_seconds",
    "When the newest job of a kind came to a good end",
    ["kind"],
  );
  const notifications = {
    waiting: gauge("sternway_notifications_waiting", "Notifications that are not delivered yet"),
    sent: gauge("sternway_notifications_sent", "Notifications that were delivered, of those that are kept"),
    givenUp: gauge("sternway_notifications_given_up", "Notifications that were given up, of those that are kept"),
    failures: counter("sternway_notification_failures_total", "Tries to deliver a notification that failed"),
  };
  let sources: MetricsSources | undefined;

  async function sample(): Promise<void> {
    rss.set(process.memoryUsage.rss());
    uptime.set(process.uptime());
    for (const each of Object.values(byVolume)) each.reset();
    if (!sources) return;
    for (const volume of sources.volumes()) {
      byVolume.size.set({ volume: volume.name }, volume.sizeBytes);
      byVolume.lsn.set({ volume: volume.name }, volume.lastLsn);
      byVolume.age.set({ volume: volume.name }, volume.lastWriteAgeSeconds);
      byVolume.attached.set({ volume: volume.name }, volume.attached);
      if (volume.suspicion !== undefined) byVolume.suspicion.set({ volume: volume.name }, volume.suspicion);
    }
    for (const [, each] of totals) each.reset();
    for (const total of sources.totals()) {
      for (const [key, each] of totals) each.inc({ volume: total.volume }, total[key]);
    }
    nbdSessions.set(sources.nbdSessions());
    spaceLeft.reset();
    for (const { vault, daysLeft } of sources.spaceLeft()) spaceLeft.set({ vault }, daysLeft);
    lastDone.reset();
    for (const { kind, seconds } of sources.lastDone()) lastDone.set({ kind }, seconds);
    const { waiting, sent, givenUp, failures } = sources.notifications();
    notifications.waiting.set(waiting);
    notifications.sent.set(sent);
    notifications.givenUp.set(givenUp);
    notifications.failures.reset();
    notifications.failures.inc(failures);
    for (const [, each] of [...tierGauges, ...tierTotals]) each.reset();
    for (const sample of sources.tiers()) {
      const { vault, tier } = sample;
      for (const [key, each] of tierGauges) each.set({ vault, tier }, Number(sample[key]));
      for (const [key, each] of tierTotals) each.inc({ vault, tier }, sample[key]);
    }
    const vaults = sources.vaults();
    for (const [key, each] of vaultGauges) {
      // A vault that was closed or forgotten leaves nothing behind.
      each.reset();
      for (const { vault, [key]: value } of vaults) if (value !== undefined) each.set({ vault }, Number(value));
    }
  }

  return {
    refusedWrites: counter("sternway_refused_writes_total", "Writes and trims that failed"),
    flushSeconds: new Histogram({
      name: "sternway_flush_seconds",
      help: "From a client's FLUSH to its answer",
      buckets: LATENCY_SECONDS,
      registers,
    }),
    sealedBytes: counter("sternway_sealed_bytes_total", "Raw bytes sealed", ["vault"]),
    duplicateBytes: counter("sternway_duplicate_bytes_total", "Sealed bytes that were there already", ["vault"]),
    packBytes: counter("sternway_pack_bytes_total", "Bytes of packs written", ["vault"]),
    scrubbedBytes: counter("sternway_scrubbed_bytes_total", "Bytes that the scrub has read", ["vault"]),
    restoredBlocks: counter("sternway_restored_blocks_total", "Damaged blocks that were brought back", ["vault"]),
    alarms: counter("sternway_alarms_total", "Alarms: volumes that somebody seemed to encrypt"),
    damage: counter("sternway_damage_total", "Reads and checks that met damaged bytes"),
    auditLines: counter("sternway_audit_lines_total", "Lines of the audit that became durable"),
    auditFailures: counter("sternway_audit_failures_total", "Tries to write to the audit that failed"),
    refusedRequests: counter("sternway_refused_requests_total", "HTTP requests that were not allowed"),
    httpRequests: counter("sternway_http_requests_total", "HTTP requests answered", ["method", "status"]),

    /** Says whom to ask for the gauges that are read on demand. */
    attach(from: MetricsSources): void {
      sources = from;
    },
    /** The Prometheus text format, sampled now. */
    async text(): Promise<string> {
      await sample();
      return registry.metrics();
    },
    contentType: registry.contentType,
  };
}

export type Metrics = ReturnType<typeof createMetrics>;
