/** The listener for peers, as the configuration wants it: none unless `peers.listen` names an address. */
import { listenPeers, type HttpListener } from "../api/app.ts";
import { isSternwayError } from "../base/errors.ts";
import type { Clock } from "../base/clock.ts";
import type { Config } from "../config/config.ts";
import type { Log } from "../observe/log.ts";
import { nbdAddressText } from "./nbd.ts";
import type { Received } from "./received.ts";

export interface PeerListener {
  /** HOST:PORT, with the port that the system chose for 0. */
  readonly address: string;
  stop(graceMs: number): Promise<void>;
}

/**
 * Listens, and tells the places where. The certificate is made at the first start.
 * @returns undefined: it is off, or the certificate or the list of places is damaged, which the log tells
 * @throws unavailable: the address
 */
export async function startPeerListener(
  config: Config["peers"],
  received: Received,
  clock: Clock,
  log: Log,
): Promise<PeerListener | undefined> {
  const { listen, connectionsMax } = config;
  if (listen.kind === "off") return undefined;
  const { host, port } = listen;
  const certificate = await received.certificate().catch((error: unknown) => {
    if (!isSternwayError(error, "corrupt")) throw error;
    received.trouble ??= error;
    return undefined;
  });
  // What is kept for others must not keep this appliance from serving its own.
  if (certificate === undefined || received.trouble !== undefined) {
    log.error({ err: received.trouble }, "peers cannot be served");
    return undefined;
  }
  const listener: HttpListener = await listenPeers({
    host,
    port,
    certificate,
    places: received,
    clock,
    log,
    connectionsMax,
  });
  const bound = listener.address;
  const address = bound.kind === "tcp" ? nbdAddressText(bound) : `${host}:${port}`;
  received.listen = address;
  return { address, stop: (graceMs) => listener.stop(graceMs) };
}
