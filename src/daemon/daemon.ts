/**
 * The door of the room: one running appliance on one data folder. Starts from the ground up (folder, lock, catalog,
 * vaults, doors) and stops from the doors down; a start that fails half-way undoes what it did.
 */
import { chmodSync } from "node:fs";
import { createApi, listenHttp, type HttpAddress } from "../api/app.ts";
import { SternwayError } from "../base/errors.ts";
import { systemClock } from "../base/clock.ts";
import { realDisk } from "../base/real-disk.ts";
import { systemRandom } from "../base/random.ts";
import { formatTime } from "../base/units.ts";
import { openCatalog, type Catalog } from "../catalog/catalog.ts";
import { configWarnings, type Config } from "../config/config.ts";
import type { Health, VaultKey, VaultStatus } from "../contract/contract.ts";
import type { NbdServer } from "../nbd/server.ts";
import type { Log } from "../observe/log.ts";
import { createMetrics } from "../observe/metrics.ts";
import { checkZone, localZone } from "../retention/calendar.ts";
import { pastExports } from "../restore/nbd-exports.ts";
import { liveExports } from "../sources/nbd-target.ts";
import { combineExports } from "../volume/export-name.ts";
import { DEFAULT_VAULT } from "../volume/vault-volumes.ts";
import type { AskPassphrase } from "./ask-at-start.ts";
import { clearStaleSocket, openDataDir } from "./data-dir.ts";
import { discreetCatalog } from "./discreet-catalog.ts";
import { listDisks } from "./disk-list.ts";
import type { OpenEngine } from "./engine.ts";
import { meterExports, type Meter } from "./metered-exports.ts";
import { nbdAddressText, startNbdServers } from "./nbd.ts";
import { storeOpener } from "./open-store.ts";
import { startPeerListener } from "./peer-listener.ts";
import { Received } from "./received.ts";
import { RetentionTask } from "./retention-task.ts";
import { VaultSpaces } from "./vault-space.ts";
import { openVaults, type Vaults } from "./vaults.ts";

export type { Engine, OpenEngine } from "./engine.ts";

/** How long running requests and sessions may take to end. */
const GRACE_MS = 10_000;

export interface Daemon {
  /** Where it listens, as people write it; `http` is absent when TCP is off. */
  readonly addresses: { control: string; http?: string; peers?: string; nbd: string[] };
  /** Lets what runs come to an end, makes everything durable, closes. Idempotent. */
  stop(): Promise<void>;
}

export interface DaemonOptions {
  dataDir: string;
  config: Config;
  log: Log;
  version: string;
  openEngine: OpenEngine;
  /** The key with which a vault is opened at the start, where one is to be had without asking. */
  keyAtStart?: (vault: string) => VaultKey | undefined;
  /** Asks for the passphrase of one that has none; absent where nobody can be asked. */
  askAtStart?: AskPassphrase | undefined;
}

/** Starts an appliance. @throws SternwayError: conflict (folder in use), unavailable (address, disk), corrupt, fenced */
export async function startDaemon(options: DaemonOptions): Promise<Daemon> {
  const { config, log, version } = options;
  const startedAt = systemClock.wall();
  let stopping = false;
  await using started = new AsyncDisposableStack();

  for (const warning of configWarnings(config)) log.warn({}, warning);
  const dir = openDataDir(options.dataDir);
  started.defer(() => dir.lock.release());
  const names = { vaultNaming: (_word: string): string | undefined => undefined };
  const catalog = discreetCatalog(await openCatalog({ disk: realDisk, dir: dir.path, clock: systemClock }), (word) =>
    names.vaultNaming(word),
  );
  started.defer(() => catalog.close());
  const tell: Catalog["addEvent"] = (event) => {
    try {
      catalog.addEvent(event);
    } catch (error) {
      log.warn({ err: error, event }, "the catalog did not take an event");
    }
  };
  const spaces = new VaultSpaces({
    disk: realDisk,
    reserveBytes: config.storage.freeSpaceReserveBytes,
    clock: systemClock,
    log,
    tell,
  });
  started.defer(() => spaces.stop());

  const metrics = createMetrics();
  const late: { retention?: RetentionTask } = {};
  // After the vaults have stopped, which ends collecting.
  started.defer(() => late.retention?.idle());
  const { intervalMinutes, timeZone } = config.retention;
  const zone = checkZone(timeZone ?? localZone());
  const vaults = await openVaults({
    disk: realDisk,
    clock: systemClock,
    random: systemRandom,
    dataDir: dir.path,
    vaultsDir: dir.vaultsDir,
    knownVolumesPath: dir.knownVolumesPath,
    storage: config.storage,
    scrub: config.scrub,
    openStore: storeOpener({ disk: realDisk, clock: systemClock, env: process.env }),
    zone,
    log: log.child({ room: "vault" }),
    metrics,
    tell,
    openEngine: options.openEngine,
    onChange: (openDirs) => spaces.follow([dir.vaultsDir, ...openDirs]),
    keyAtStart: options.keyAtStart,
    askAtStart: options.askAtStart,
    onNames: (vaultNaming) => (names.vaultNaming = vaultNaming),
  });
  started.defer(() => vaults.stop());

  const received = await Received.open({
    disk: realDisk,
    clock: systemClock,
    random: systemRandom,
    dataDir: dir.path,
    reserveBytes: config.storage.freeSpaceReserveBytes,
  });
  started.defer(() => received.stop());

  const { volumes } = vaults;
  const retention = (late.retention = new RetentionTask({
    vaults: (name) => vaults.retained(name),
    clock: systemClock,
    intervalMinutes,
    zone,
    log: log.child({ room: "retention" }),
    tell,
  }));
  started.defer(() => retention.stop());
  const exists = (name: string): boolean => volumes.list().some((info) => info.name === name);
  const meter = meterExports(combineExports(liveExports(volumes), pastExports(volumes)), metrics, exists);
  const nbdLog = log.child({ room: "nbd" });
  const servers = await startNbdServers({
    ownSocket: dir.nbdSocket,
    config: config.nbd,
    exports: meter.exports,
    log: nbdLog,
  });
  started.defer(async () => {
    await Promise.all(servers.map((server) => server.stop({ graceMs: GRACE_MS })));
  });

  const health = (): Health =>
    healthOf({ stopping, version, startedAt: formatTime(startedAt), spaces, catalog, vaults, received });
  metrics.attach(metricsSources(vaults, meter, servers, spaces));
  const answer = createApi({
    volumes,
    catalog,
    metrics,
    log: log.child({ room: "api" }),
    version,
    now: () => systemClock.wall(),
    appliance: {
      health,
      vault: () => defaultStatus(vaults),
      vaults,
      tiers: vaults.tiers,
      received,
      scrub: vaults.scrub,
      retention,
      disks: () =>
        listDisks({
          dataDir: dir.path,
          vaults: vaults.folders(),
          reserveBytes: config.storage.freeSpaceReserveBytes,
          spaces,
        }),
      check: (request, signal) => vaults.check(request, signal),
    },
  });
  const listen = async (address: HttpAddress): Promise<HttpAddress> => {
    if (address.kind === "unix") await clearStaleSocket(address.path);
    const listener = await listenHttp(address, answer, log.child({ room: "http" }));
    started.defer(() => listener.stop(GRACE_MS));
    return listener.address;
  };
  await listen({ kind: "unix", path: dir.controlSocket });
  // The folder is 0700 already; this holds when someone opens the folder up.
  chmodSync(dir.controlSocket, 0o600);
  const http = config.http.listen.kind === "tcp" ? await listen(config.http.listen) : undefined;

  const peers = await startPeerListener(config.peers, received, systemClock, log.child({ room: "peers" }));
  started.defer(async () => await peers?.stop(GRACE_MS));

  const addresses: Daemon["addresses"] = {
    control: dir.controlSocket,
    nbd: servers.map((server) => nbdAddressText(server.address)),
    ...(http?.kind === "tcp" ? { http: `http://${nbdAddressText(http)}` } : {}),
    ...(peers ? { peers: peers.address } : {}),
  };
  tell({ level: "info", kind: "started", subject: "appliance", message: `version ${version} started` });
  log.info({ dataDir: dir.path, volumes: volumes.list().length, ...addresses }, "the appliance serves");
  retention.start();
  const running = started.move();
  let stopped: Promise<void> | undefined;
  return {
    addresses,
    stop() {
      stopped ??= (async () => {
        stopping = true;
        log.info({}, "the appliance stops");
        tell({ level: "info", kind: "stopped", subject: "appliance", message: "stopped on request" });
        await running.disposeAsync();
      })();
      return stopped;
    },
  };
}

async function defaultStatus(vaults: Vaults): Promise<VaultStatus> {
  const { status, reason, state } = await vaults.show(DEFAULT_VAULT);
  if (status) return status;
  throw new SternwayError("unavailable", `vault ${DEFAULT_VAULT} is ${state}: ${reason ?? "its reason is not known"}`);
}

function metricsSources(vaults: Vaults, meter: Meter, servers: readonly NbdServer[], spaces: VaultSpaces) {
  return {
    volumes: () => {
      const now = systemClock.wall();
      return vaults.volumes.list().map((info) => ({
        name: info.name,
        sizeBytes: info.sizeBytes,
        lastLsn: info.lastLsn,
        lastWriteAgeSeconds: Math.max(0, (now - info.lastWriteAt) / 1e6),
        attached: info.attached,
      }));
    },
    totals: () => meter.totals(),
    vaults: () =>
      vaults.samples().map(({ dir, ...sample }) => {
        const space = spaces.of(dir);
        return { ...sample, ...(space === undefined ? {} : { freeBytes: space.freeBytes }) };
      }),
    tiers: () => vaults.tierSamples(),
    nbdSessions: () => servers.reduce((sum, server) => sum + server.connections().length, 0),
  };
}

function healthOf(facts: {
  stopping: boolean;
  version: string;
  startedAt: string;
  spaces: VaultSpaces;
  catalog: Catalog;
  vaults: Vaults;
  received: Received;
}): Health {
  const reasons = facts.vaults.troubles();
  if (facts.spaces.isUnknown) reasons.push("the free space cannot be read");
  if (facts.spaces.level() === "low") reasons.push("space is low");
  if (facts.spaces.level() === "critical") reasons.push("space is critical: writes are refused");
  if (facts.catalog.inMemory) reasons.push("the catalog cannot be kept on disk");
  if (facts.received.trouble)
    reasons.push(`what is kept for others cannot be served: ${facts.received.trouble.message}`);
  const status = facts.stopping ? "stopping" : reasons.length > 0 ? "degraded" : "ok";
  return { status, version: facts.version, startedAt: facts.startedAt, reasons };
}
