/**
 * The door of the room: one running appliance on one data folder. Starts from the ground up (folder, lock, catalog,
 * vaults, doors) and stops from the doors down; a start that fails half-way undoes what it did.
 */
import { chmodSync } from "node:fs";
import { hostname } from "node:os";
import { openAccess } from "../access/access.ts";
import {
  createApi,
  JobRunner,
  listenHttp,
  type HttpAddress,
  type HttpTls,
  sendableSourcesOf,
  type ApiContext,
} from "../api/app.ts";
import { Automation } from "../automation/automation.ts";
import { systemClock } from "../base/clock.ts";
import { knowsPeers } from "../base/descriptor.ts";
import { isSternwayError } from "../base/errors.ts";
import { realDisk } from "../base/real-disk.ts";
import { systemRandom } from "../base/random.ts";
import { formatTime } from "../base/units.ts";
import { configWarnings, type Config } from "../config/config.ts";
import type { Health, VaultKey } from "../contract/contract.ts";
import type { NbdPeer } from "../nbd/server.ts";
import type { Log } from "../observe/log.ts";
import { pastExports } from "../restore/nbd-exports.ts";
import { liveExports } from "../sources/nbd-target.ts";
import { combineExports } from "../volume/export-name.ts";
import { consoleFiles } from "../web/bundle.ts";
import type { AskPassphrase } from "./ask-at-start.ts";
import { clearStaleSocket } from "./data-dir.ts";
import { GrowthTask } from "./growth-task.ts";
import { listDisks } from "./disk-list.ts";
import { doorsOf } from "./doors.ts";
import { credentialMaker, endExpired, grantedExports, userNames } from "./granted-exports.ts";
import { openGround } from "./ground.ts";
import { httpTls } from "./http-tls.ts";
import { localUsers } from "./local-users.ts";
import { OwnAuthority } from "./own-authority.ts";
import type { OpenEngine } from "./engine.ts";
import { meterExports } from "./metered-exports.ts";
import { attaching, nbdAddressText, refusals, startNbdServers } from "./nbd.ts";
import { storeOpener } from "./open-store.ts";
import { startPeerListener } from "./peer-listener.ts";
import { Received } from "./received.ts";
import { RetentionTask } from "./retention-task.ts";
import { jobStarter, scheduledTasks } from "./scheduled-tasks.ts";
import { sendReportOf } from "./sent-reports.ts";
import { defaultStatus, healthOf, metricsSources } from "./status.ts";
import { openVaults } from "./vaults.ts";

export type { Engine, OpenEngine } from "./engine.ts";

/** How long running requests and sessions may take to end. */
const GRACE_MS = 10_000;

export interface Daemon {
  /** Where it listens, as people write it; `http` is absent when TCP is off. */
  readonly addresses: { control: string; http?: string; peers?: string; nbd: string[] };
  /** What the first set-up needs; undefined once there is an account. For the terminal of whoever started it, never for a log. */
  readonly setupCode: string | undefined;
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
  const ground = await openGround(options, startedAt, started);
  const { dir, names, catalog, tell, zone, machines, notifier, metrics, signals, audit, spaces } = ground;
  const late: { retention?: RetentionTask } = {};
  // After the vaults have stopped, which ends collecting.
  started.defer(() => late.retention?.idle());
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
    signals,
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
    intervalMinutes: config.retention.intervalMinutes,
    zone,
    log: log.child({ room: "retention" }),
    tell,
  }));
  started.defer(() => retention.stop());
  const exists = (name: string): boolean => volumes.list().some((info) => info.name === name);
  const meter = meterExports(combineExports(liveExports(volumes), pastExports(volumes)), metrics, exists);
  const growth = new GrowthTask({
    growth: catalog.growth,
    clock: systemClock,
    log: log.child({ room: "growth" }),
    tell,
    vaults: () => vaults.samples().map(({ dir: vaultDir, ...sample }) => ({ ...sample, ...spaces.of(vaultDir) })),
    liveBytes: async (vault) => (await vaults.space(vault)).liveBytes,
    totals: () => meter.totals(),
    isSecret: (volume) => names.vaultNaming(volume) !== undefined,
    reserveBytes: config.storage.freeSpaceReserveBytes,
  });
  started.defer(() => growth.stop());
  let opened: Promise<OwnAuthority> | undefined;
  const authority = (): Promise<OwnAuthority> =>
    (opened ??= OwnAuthority.open({
      disk: realDisk,
      clock: systemClock,
      random: systemRandom,
      dataDir: dir.path,
      names: config.http.names,
    }));

  const automation = new Automation({
    volumes,
    catalog,
    scriptsDir: dir.scriptsDir,
    clock: systemClock,
    random: systemRandom,
    zone,
    log: log.child({ room: "automation" }),
    startJob: jobStarter(() => jobs),
    tasks: scheduledTasks({
      check: (request, signal) => vaults.check(request, signal),
      scrub: vaults.scrub,
      retention,
      tiers: vaults.tiers,
      report: (task) => sendReportOf(task, notifier, () => sendableSourcesOf(context)),
    }),
    hasChannel: (name) => notifier.directory.find(name) !== undefined,
    tell,
  });
  names.vaultOfMachine = (word) =>
    automation.machines.secretVaultOf(word, names.vaultNaming, (vault) => vaults.isPlain(vault));
  const ownership = {
    machineOf: (volume: string) => automation.machines.machineOf(volume),
    owners: () => automation.machines.owners(),
  };
  machines.volumesOf = (name) => automation.machines.volumesOf(name);
  /** What is damaged of the doors' own must not keep disks from being protected through the others. */
  const closedDoors: string[] = [];
  const closed = (what: string, error: unknown): undefined => {
    if (!isSternwayError(error, "corrupt")) throw error;
    log.error({ err: error }, `${what} stays closed`);
    closedDoors.push(`${what} stays closed: ${error.message}`);
    return undefined;
  };
  const onRefused = refusals(audit, () => systemClock.wall());
  const users = localUsers();
  const nameOf = userNames(users, catalog.credentials);
  const granted = grantedExports(meter.exports, {
    credentials: catalog.credentials,
    users,
    ...ownership,
    now: () => systemClock.wall(),
    onRefused: (name: string, peer: NbdPeer, reason: string) =>
      onRefused({ ...attaching(peer, name, nameOf, { reason }), result: "refused" }),
  });
  const nbdLog = log.child({ room: "nbd" });
  const servers = await startNbdServers({
    ownSocket: dir.nbdSocket,
    config: config.nbd,
    exports: meter.exports,
    granted,
    nameOf,
    knowsPeers,
    onClosed(reason) {
      nbdLog.warn({}, reason);
      closedDoors.push(reason);
    },
    authority: () => authority().catch((error: unknown) => closed("NBD over the network", error)),
    audit,
    onRefused,
    log: nbdLog,
  });
  started.defer(async () => {
    await Promise.all(servers.map((server) => server.stop({ graceMs: GRACE_MS })));
  });
  const expiry = endExpired(systemClock, servers, granted);
  started.defer(() => expiry.stop());

  const health = (): Health =>
    healthOf({
      stopping,
      version,
      startedAt: formatTime(startedAt),
      spaces,
      catalog,
      vaults,
      received,
      audit,
      closedDoors,
    });
  metrics.attach({
    ...metricsSources(vaults, meter, servers, spaces, signals),
    notifications: () => notifier.counts(),
    lastDone: () => catalog.lastDone().map(({ kind, finishedAt }) => ({ kind, seconds: finishedAt / 1e6 })),
    spaceLeft: () => growth.daysLeft(),
  });
  const access = await openAccess({
    catalog,
    disk: realDisk,
    clock: systemClock,
    random: systemRandom,
    log: log.child({ room: "access" }),
    tell,
    oidc: config.oidc,
    administratorsNeedSecondFactor: config.accounts.administratorsNeedSecondFactor,
  });
  const jobs = new JobRunner({ catalog, log: log.child({ room: "api" }), clock: systemClock });
  const context: ApiContext = {
    audit,
    access,
    automation,
    ownership,
    notifier,
    signals,
    reporting: { appliance: hostname(), reserveBytes: config.storage.freeSpaceReserveBytes },
    credentials: credentialMaker({ authority, users, servers, granted }),
    jobs,
    volumes,
    catalog,
    metrics,
    log: log.child({ room: "api" }),
    version,
    console: consoleFiles(),
    rates: config.http.rates,
    doors: () => doorsOf(dir.nbdSocket, config.nbd, servers),
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
  };
  const answer = createApi(context);
  const listen = async (address: HttpAddress, tls?: HttpTls): Promise<HttpAddress> => {
    if (address.kind === "unix") await clearStaleSocket(address.path);
    // Of the control socket nobody is to be shut out by a setting.
    const { connectionsMax: total, connectionsPerAddressMax: perAddress } = config.http;
    const limits = address.kind === "unix" ? undefined : { total, perAddress };
    const listener = await listenHttp(address, answer, log.child({ room: "http" }), tls, limits);
    started.defer(() => listener.stop(GRACE_MS));
    return listener.address;
  };
  await listen({ kind: "unix", path: dir.controlSocket });
  // The folder is 0700 already; this holds when someone opens the folder up.
  chmodSync(dir.controlSocket, 0o600);
  const { tls, isClosed } = await httpTls(config.http, authority).then(
    (found) => ({ tls: found, isClosed: false }),
    (error: unknown) => ({ tls: closed("HTTP over the network", error), isClosed: true }),
  );
  const http = config.http.listen.kind === "tcp" && !isClosed ? await listen(config.http.listen, tls) : undefined;

  const peers = await startPeerListener(config.peers, received, systemClock, log.child({ room: "peers" }));
  started.defer(async () => await peers?.stop(GRACE_MS));
  // While disks are still served, for what a script froze is to be thawed.
  started.defer(() => automation.stop());
  // First of all: who follows a job is told of its end, and holds no connection open.
  started.defer(() => jobs.stop(GRACE_MS));

  const addresses: Daemon["addresses"] = {
    control: dir.controlSocket,
    nbd: servers.map((server) => nbdAddressText(server.address)),
    ...(http?.kind === "tcp" ? { http: `${tls ? "https" : "http"}://${nbdAddressText(http)}` } : {}),
    ...(peers ? { peers: peers.address } : {}),
  };
  tell({ level: "info", kind: "started", subject: "appliance", message: `version ${version} started` });
  log.info({ dataDir: dir.path, volumes: volumes.list().length, ...addresses }, "the appliance serves");
  retention.start();
  automation.start();
  growth.start();
  const running = started.move();
  let stopped: Promise<void> | undefined;
  return {
    addresses,
    get setupCode() {
      return access.setupCode;
    },
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
