/**
 * What everything else stands on, opened before any vault: the data folder with its lock, the catalog, notifications, metrics, signals, the audit, and the watch over free space. Who has
 * trouble later tells it here.
 */
import { hostname } from "node:os";
import { AuditTrail } from "../audit/audit.ts";
import { systemClock } from "../base/clock.ts";
import { systemRandom } from "../base/random.ts";
import { realDisk } from "../base/real-disk.ts";
import type { Micros } from "../base/units.ts";
import { openCatalog, type Catalog } from "../catalog/catalog.ts";
import type { Config } from "../config/config.ts";
import { Notifier } from "../notify/notify.ts";
import type { Log } from "../observe/log.ts";
import { createMetrics, type Metrics } from "../observe/metrics.ts";
import { checkZone, systemZone } from "../base/zone.ts";
import { Signals } from "../signals/signals.ts";
import { openDataDir } from "./data-dir.ts";
import { discreetCatalog } from "./discreet-catalog.ts";
import { tellInterrupted, tellingJobs } from "./told-jobs.ts";
import { VaultSpaces } from "./vault-space.ts";

/** How long deliveries on their way may take to end. */
const GRACE_MS = 10_000;

export interface Ground {
  dir: ReturnType<typeof openDataDir>;
  /** Which words are secret; known when the vaults are open. */
  names: {
    vaultNaming: (word: string) => string | undefined;
    vaultOfMachine: (word: string) => string | undefined;
  };
  catalog: Catalog;
  /** Keeps an event; never throws. */
  tell: Catalog["addEvent"];
  /** Whose hours, days, weeks and months count. */
  zone: string;
  /** Which volumes a machine has; known when machines are. */
  machines: { volumesOf: (name: string) => readonly string[] };
  notifier: Notifier;
  metrics: Metrics;
  signals: Signals;
  audit: AuditTrail;
  spaces: VaultSpaces;
}

/** @param started - takes what is to be undone, in order @throws conflict: the folder is in use; unavailable: the disk */
export async function openGround(
  options: { dataDir: string; config: Config; log: Log },
  startedAt: Micros,
  started: AsyncDisposableStack,
): Promise<Ground> {
  const { config, log } = options;
  const dir = openDataDir(options.dataDir);
  started.defer(() => dir.lock.release());
  const names = {
    vaultNaming: (_word: string): string | undefined => undefined,
    vaultOfMachine: (_word: string): string | undefined => undefined,
  };
  const plainCatalog = tellingJobs(await openCatalog({ disk: realDisk, dir: dir.path, clock: systemClock }));
  const catalog = discreetCatalog(plainCatalog, (word) => names.vaultNaming(word) ?? names.vaultOfMachine(word));
  started.defer(() => catalog.close());
  const tell: Catalog["addEvent"] = (event) => {
    try {
      catalog.addEvent(event);
    } catch (error) {
      log.warn({ err: error, event }, "the catalog did not take an event");
    }
  };
  const zone = checkZone(config.retention.timeZone ?? systemZone());
  const machines = { volumesOf: (_name: string): readonly string[] => [] };
  const notifier = new Notifier({
    store: catalog.notify,
    clock: systemClock,
    random: systemRandom,
    log: log.child({ room: "notify" }),
    tell,
    appliance: hostname(),
    zone,
    membersOf: (name) => machines.volumesOf(name),
  });
  // Before anything opens whose trouble it is to tell.
  started.defer(() => notifier.stop(GRACE_MS));
  catalog.onEvent((event) => notifier.onEvent(event));
  notifier.start();
  tellInterrupted(plainCatalog, startedAt);
  const metrics = createMetrics();
  const signals = new Signals({
    catalog,
    clock: systemClock,
    log: log.child({ room: "signals" }),
    tell,
    onAlarm: () => metrics.alarms.inc(),
  });
  const audit = await AuditTrail.open({
    disk: realDisk,
    clock: systemClock,
    random: systemRandom,
    dir: `${dir.path}/audit`,
    vaultNaming: (word) => names.vaultNaming(word),
    tell: (event) => tell({ ...event, subject: "audit" }),
    onWritten: (lines, failed) => (failed ? metrics.auditFailures.inc() : metrics.auditLines.inc(lines)),
  });
  started.defer(() => audit.stop());
  const spaces = new VaultSpaces({
    disk: realDisk,
    reserveBytes: config.storage.freeSpaceReserveBytes,
    clock: systemClock,
    log,
    tell,
  });
  started.defer(() => spaces.stop());
  return { dir, names, catalog, tell, zone, machines, notifier, metrics, signals, audit, spaces };
}
