/** NBD listeners of the daemon: addresses from the configuration, TLS from its files, events into the log. */
import { readFile } from "node:fs/promises";
import { SternwayError } from "../base/errors.ts";
import { Repeats, type AuditFacts, type AuditTrail } from "../audit/audit.ts";
import type { Micros } from "../base/units.ts";
import type { Config, TlsConfig } from "../config/config.ts";
import {
  startNbdServer,
  type NbdExports,
  type NbdListen,
  type NbdPeer,
  type NbdServer,
  type NbdServerEvent,
  type NbdServerOptions,
  type NbdServerTls,
} from "../nbd/server.ts";
import type { Log } from "../observe/log.ts";
import { clearStaleSocket } from "./data-dir.ts";
import { asksForCredential } from "./doors.ts";
import type { GrantedExports } from "./granted-exports.ts";
import { prepareSocketFolder } from "./local-socket.ts";
import type { OwnAuthority } from "./own-authority.ts";

/** Requests and unsent answers of all addresses together; each address gets its share, at least 30 MiB with 16 of them. */
const REQUEST_BYTES_MAX = 512 * 2 ** 20;

/**
 * Starts a server on the socket of the data folder, without TLS (it is a file of 0600), one on the socket for other users of this machine, and one on each configured
 * address. What is open to the network speaks TLS: as configured, or else with the appliance's own authority, and then each client gets at the disks of the machine
 * for which its certificate was made. On an error those that were started are stopped again.
 */
export async function startNbdServers(options: {
  ownSocket: string;
  config: Config["nbd"];
  exports: NbdExports;
  /** The same, for clients with credentials. */
  granted: GrantedExports;
  /** The names of local users, where they are known. */
  nameOf: UserNames;
  /** Whether the kernel's word on who connects can be had. */
  knowsPeers: boolean;
  /** Told of a door that cannot be opened safely. */
  onClosed: (reason: string) => void;
  /** Undefined: it is damaged, and what needs it stays closed. */
  authority: () => Promise<OwnAuthority | undefined>;
  audit: Pick<AuditTrail, "append">;
  /** Takes refused attempts for the audit. */
  onRefused: (facts: AuditFacts) => void;
  log: Log;
}): Promise<NbdServer[]> {
  const { ownSocket, config, exports, log } = options;
  const tls = config.tls && (await readTls(config.tls));
  const serverBytesMax = Math.floor(
    REQUEST_BYTES_MAX / (config.listen.length + (config.localSocket === undefined ? 1 : 2)),
  );
  const servers: NbdServer[] = [];
  const start = async (listen: NbdListen, door: Door): Promise<void> => {
    if (listen.kind === "unix") await clearStaleSocket(listen.path);
    servers.push(
      startNbdServer({
        listen,
        ...door,
        log(event) {
          logNbdEvent(log, event);
          auditNbdEvent(options, event);
        },
        limits: { sessionsMax: config.sessionsMax, serverBytesMax },
      }),
    );
  };
  try {
    await start({ kind: "unix", path: ownSocket, mode: 0o600 }, { exports });
    if (config.localSocket !== undefined && !options.knowsPeers) {
      options.onClosed(
        "nbd.localSocket stays closed: who connects there cannot be told without the addon (native/build.sh)",
      );
    } else if (config.localSocket !== undefined) {
      prepareSocketFolder(config.localSocket);
      const { granted } = options;
      const isStranger = (peer: NbdPeer): boolean => granted.isStranger(peer);
      await start({ kind: "unix", path: config.localSocket, mode: 0o666 }, { exports: granted, isStranger });
    }
    for (const listen of config.listen) {
      if (tls || !asksForCredential(listen, config)) {
        await start(listen, tls ? { exports, tls } : { exports });
        continue;
      }
      const authority = await options.authority();
      if (authority) await start(listen, { exports: options.granted, tls: ownTls(authority) });
    }
    return servers;
  } catch (error) {
    await Promise.allSettled(servers.map((server) => server.stop({ graceMs: 0 })));
    throw error;
  }
}

type Door = Pick<NbdServerOptions, "exports" | "tls" | "isStranger">;

/** Names of users of the appliance's own system. */
export type UserNames = (uid: number) => string | undefined;

function ownTls(authority: OwnAuthority): NbdServerTls {
  return { ...authority.server(), ca: authority.certificatePem, required: true, clientCertificate: true };
}

async function readTls(config: TlsConfig): Promise<NbdServerTls> {
  const read = async (key: string, path: string): Promise<string> => {
    try {
      return await readFile(path, "utf8");
    } catch (cause) {
      const { message } = cause as Error;
      throw new SternwayError("invalid", `nbd.tls.${key} cannot be read: ${message}`, { key, path }, { cause });
    }
  };
  return {
    cert: await read("certFile", config.certFile),
    key: await read("keyFile", config.keyFile),
    ...(config.caFile === undefined ? {} : { ca: await read("caFile", config.caFile) }),
    required: config.required,
    clientCertificate: config.clientCertificates === "require",
  };
}

function logNbdEvent(log: Log, event: NbdServerEvent): void {
  const { kind, peer, ...facts } = event;
  const where = {
    peer: peer.address,
    ...(peer.tlsSubject === undefined ? {} : { tlsSubject: peer.tlsSubject }),
    ...processFacts(peer),
  };
  switch (kind) {
    case "connected":
      log.debug(where, "an NBD client connected");
      break;
    case "refused":
      log.warn({ ...where, ...facts }, "an NBD client was refused");
      break;
    case "opened":
      log.info({ ...where, ...facts }, "an NBD export was opened");
      break;
    case "closed":
      log.info({ ...where, ...facts }, "an NBD export was closed");
      break;
    case "request-failed": {
      const { error, exportName, failedCount } = event;
      log.error({ ...where, err: error, exportName, failedCount }, "an NBD request failed");
      break;
    }
  }
}

/** Who attaches to a disk or reads its past. */
function auditNbdEvent(
  {
    audit,
    onRefused,
    nameOf,
  }: { audit: Pick<AuditTrail, "append">; onRefused: (facts: AuditFacts) => void; nameOf: UserNames },
  event: NbdServerEvent,
): void {
  if (event.kind === "opened") {
    const { peer, exportName, readOnly } = event;
    void audit.append({ ...attaching(peer, exportName, nameOf, { readOnly }), result: "done" });
  } else if (event.kind === "refused") {
    onRefused({ ...attaching(event.peer, "-", nameOf, { reason: event.reason }), result: "refused" });
  }
}

/** Refused attempts on their way into the audit: whoever reaches the port makes thousands of them in a second, and must not fill the disk. */
export function refusals(audit: Pick<AuditTrail, "append">, now: () => Micros): (facts: AuditFacts) => void {
  const repeats = new Repeats();
  return (facts) => {
    for (const each of repeats.over(now())) void audit.append(each);
    if (repeats.isNew(facts, now())) void audit.append(facts);
  };
}

/** What the audit says of an opening, whoever lets it or not. */
export function attaching(
  peer: NbdPeer,
  exportName: string,
  nameOf: UserNames,
  detail: NonNullable<AuditFacts["detail"]>,
): Omit<AuditFacts, "result"> {
  const isHere = peer.address.startsWith("unix:");
  const local = peer.process && (nameOf(peer.process.uid) ?? `uid ${peer.process.uid}`);
  return {
    who: peer.tlsSubject?.replace(/^CN=/, "") ?? local ?? "-",
    role: "-",
    by: peer.tlsSubject === undefined ? (isHere ? "socket" : "-") : "certificate",
    // Its port is another each time, and says nothing.
    from: isHere ? "" : peer.address.replace(/^.* from /, "").replace(/:\d+$/, ""),
    action: "nbd-attach",
    subject: exportName,
    detail: { ...detail, ...processFacts(peer) },
  };
}

/** Numbers of the process at the other end of a unix socket. */
function processFacts({ process }: NbdPeer): { uid?: number; pid?: number } {
  return process ? { uid: process.uid, pid: process.pid } : {};
}

/** An address as people write it. */
export function nbdAddressText(listen: NbdListen): string {
  if (listen.kind === "unix") return `unix:${listen.path}`;
  return `${listen.host.includes(":") ? `[${listen.host}]` : listen.host}:${listen.port}`;
}
