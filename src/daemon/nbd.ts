/** NBD listeners of the daemon: addresses from the configuration, TLS from its files, events into the log. */
import { readFile } from "node:fs/promises";
import { SternwayError } from "../base/errors.ts";
import type { Config, TlsConfig } from "../config/config.ts";
import {
  startNbdServer,
  type NbdExports,
  type NbdListen,
  type NbdServer,
  type NbdServerEvent,
  type NbdServerTls,
} from "../nbd/server.ts";
import type { Log } from "../observe/log.ts";
import { clearStaleSocket } from "./data-dir.ts";

/** Requests and unsent answers of all addresses together; each address gets its share, at least 30 MiB with 16 of them. */
const REQUEST_BYTES_MAX = 512 * 2 ** 20;

/**
 * Starts a server on the socket of the data folder, without TLS (it is a file of 0600), and one on each configured
 * address. On an error those that were started are stopped again.
 */
export async function startNbdServers(options: {
  ownSocket: string;
  config: Config["nbd"];
  exports: NbdExports;
  log: Log;
}): Promise<NbdServer[]> {
  const { ownSocket, config, exports, log } = options;
  const tls = config.tls && (await readTls(config.tls));
  const serverBytesMax = Math.floor(REQUEST_BYTES_MAX / (config.listen.length + 1));
  const servers: NbdServer[] = [];
  const start = async (listen: NbdListen, useTls: boolean): Promise<void> => {
    if (listen.kind === "unix") await clearStaleSocket(listen.path);
    servers.push(
      startNbdServer({
        listen,
        exports,
        log: (event) => logNbdEvent(log, event),
        limits: { sessionsMax: config.sessionsMax, serverBytesMax },
        ...(useTls && tls ? { tls } : {}),
      }),
    );
  };
  try {
    await start({ kind: "unix", path: ownSocket, mode: 0o600 }, false);
    for (const listen of config.listen) await start(listen, true);
    return servers;
  } catch (error) {
    await Promise.allSettled(servers.map((server) => server.stop({ graceMs: 0 })));
    throw error;
  }
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
  const where = { peer: peer.address, ...(peer.tlsSubject === undefined ? {} : { tlsSubject: peer.tlsSubject }) };
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

/** An address as people write it. */
export function nbdAddressText(listen: NbdListen): string {
  if (listen.kind === "unix") return `unix:${listen.path}`;
  return `${listen.host.includes(":") ? `[${listen.host}]` : listen.host}:${listen.port}`;
}
