/**
 * The door of the room: one running appliance on one data folder. Starts from the ground up (folder, lock, catalog,
 * vault, doors) and stops from the doors down; a start that fails half-way undoes what it did.
 */
import { chmodSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { createApi, listenHttp, type HttpAddress } from "../api/app.ts";
import { systemClock } from "../base/clock.ts";
import { realDisk } from "../base/real-disk.ts";
import { systemRandom } from "../base/random.ts";
import { formatTime } from "../base/units.ts";
import { openCatalog, type Catalog } from "../catalog/catalog.ts";
import { configWarnings, type Config } from "../config/config.ts";
import type { DiskList, Health } from "../contract/contract.ts";
import type { NbdServer } from "../nbd/server.ts";
import type { Log } from "../observe/log.ts";
import { createMetrics } from "../observe/metrics.ts";
import { pastExports } from "../restore/nbd-exports.ts";
import { liveExports } from "../sources/nbd-target.ts";
import { combineExports } from "../volume/export-name.ts";
import { clearStaleSocket, openDataDir } from "./data-dir.ts";
import { readDiskUsage } from "./disk-usage.ts";
import type { Engine, OpenEngine } from "./engine.ts";
import { describeMount, mountHolding, parseMountInfo, readBlockDevices } from "./inventory.ts";
import { meterExports, type Meter } from "./metered-exports.ts";
import { nbdAddressText, startNbdServers } from "./nbd.ts";
import { watchSpace, type SpaceWatch } from "./space-watch.ts";

export type { Engine, OpenEngine } from "./engine.ts";

/** How long running requests and sessions may take to end. */
const GRACE_MS = 10_000;

export interface Daemon {
  /** Where it listens, as people write it; `http` is absent when TCP is off. */
  readonly addresses: { control: string; http?: string; nbd: string[] };
  /** Lets what runs come to an end, makes everything durable, closes. Idempotent. */
  stop(): Promise<void>;
}

export interface DaemonOptions {
  dataDir: string;
  config: Config;
  log: Log;
  version: string;
  openEngine: OpenEngine;
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
  const catalog = await openCatalog({ disk: realDisk, dir: dir.path, clock: systemClock });
  started.defer(() => catalog.close());
  const tell: Catalog["addEvent"] = (event) => {
    try {
      catalog.addEvent(event);
    } catch (error) {
      log.warn({ err: error, event }, "the catalog did not take an event");
    }
  };
  const watch = await watchSpace({
    disk: realDisk,
    dir: dir.vaultDir,
    reserveBytes: config.storage.freeSpaceReserveBytes,
    clock: systemClock,
    log,
    tell,
  });
  started.defer(() => watch.stop());

  const metrics = createMetrics();
  const engine = await options.openEngine({
    disk: realDisk,
    clock: systemClock,
    random: systemRandom,
    dir: dir.vaultDir,
    storage: config.storage,
    log: log.child({ room: "vault" }),
    metrics,
    tell,
  });
  started.defer(() => engine.stop());

  const { volumes } = engine;
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
    healthOf({ stopping, version, startedAt: formatTime(startedAt), watch, catalog, engine });
  metrics.attach(metricsSources(engine, meter, servers, watch));
  const answer = createApi({
    volumes: engine.volumes,
    catalog,
    metrics,
    log: log.child({ room: "api" }),
    version,
    now: () => systemClock.wall(),
    appliance: {
      health,
      vault: async () => ({ ...(await engine.status()), ...(watch.space() ?? { freeBytes: 0, totalBytes: 0 }) }),
      disks: () => readDisks(dir.path, config.storage.freeSpaceReserveBytes, watch),
      check: (request, signal) => engine.check(request, signal),
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

  const addresses: Daemon["addresses"] = {
    control: dir.controlSocket,
    nbd: servers.map((server) => nbdAddressText(server.address)),
    ...(http?.kind === "tcp" ? { http: `http://${nbdAddressText(http)}` } : {}),
  };
  tell({ level: "info", kind: "started", subject: "appliance", message: `version ${version} started` });
  log.info({ dataDir: dir.path, volumes: engine.volumes.list().length, ...addresses }, "the appliance serves");
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

function metricsSources(engine: Engine, meter: Meter, servers: readonly NbdServer[], watch: SpaceWatch) {
  return {
    volumes: () => {
      const now = systemClock.wall();
      return engine.volumes.list().map((info) => ({
        name: info.name,
        sizeBytes: info.sizeBytes,
        lastLsn: info.lastLsn,
        lastWriteAgeSeconds: Math.max(0, (now - info.lastWriteAt) / 1e6),
        attached: info.attached,
      }));
    },
    totals: () => meter.totals(),
    vault: () => {
      const space = watch.space();
      return { ...engine.sample(), ...(space === undefined ? {} : { freeBytes: space.freeBytes }) };
    },
    nbdSessions: () => servers.reduce((sum, server) => sum + server.connections().length, 0),
  };
}

function healthOf(facts: {
  stopping: boolean;
  version: string;
  startedAt: string;
  watch: SpaceWatch;
  catalog: Catalog;
  engine: Engine;
}): Health {
  const reasons: string[] = [];
  const trouble = facts.engine.trouble();
  if (trouble !== undefined) reasons.push(trouble);
  if (facts.watch.space() === undefined) reasons.push("the free space cannot be read");
  if (facts.watch.level() === "low") reasons.push("space is low");
  if (facts.watch.level() === "critical") reasons.push("space is critical: writes are refused");
  if (facts.catalog.inMemory) reasons.push("the catalog cannot be kept on disk");
  const status = facts.stopping ? "stopping" : reasons.length > 0 ? "degraded" : "ok";
  return { status, version: facts.version, startedAt: facts.startedAt, reasons };
}

async function readDisks(dataDir: string, reserveBytes: number, watch: SpaceWatch): Promise<DiskList> {
  const warnings: string[] = [];
  const answer = await readDiskUsage();
  if (answer.error !== undefined) warnings.push(`how full file systems are is not known: ${answer.error}`);
  const usages = answer.usages ?? [];
  const mounts = parseMountInfo(await readFile("/proc/self/mountinfo", "utf8").catch(() => ""));
  const disks = await readBlockDevices("/sys", mounts, usages).catch((error: Error) => {
    warnings.push(`disks could not be listed: ${error.message}`);
    return [];
  });
  const mount = mountHolding(dataDir, mounts);
  const held = mount ? describeMount(mount, usages) : { path: "/", fsType: "unknown" };
  const space = watch.space();
  const store = {
    ...held,
    // Ours is fresher, and does not depend on df.
    ...(space === undefined ? {} : { sizeBytes: space.totalBytes, freeBytes: space.freeBytes }),
    dataDir,
    reserveBytes,
    low: watch.level() !== "enough",
  };
  return { disks, store, warnings };
}
