/** The block doors: which of them ask for a credential, and how people are told of them. */
import { isLoopback, type Config } from "../config/config.ts";
import type { WireDoors } from "../contract/contract.ts";
import type { NbdListen, NbdServer } from "../nbd/server.ts";

/** Whether clients of an address need a machine's credential: on what is open to the network, unless certificates of somebody else's authority are configured. */
export function asksForCredential(listen: NbdListen, { tls, credentials }: Config["nbd"]): boolean {
  return !tls && listen.kind === "tcp" && (credentials === "always" || !isLoopback(listen.host));
}

/** @param servers - as they listen, with the ports that the system chose */
export function doorsOf(socketPath: string, config: Config["nbd"], servers: readonly NbdServer[]): WireDoors {
  const { localSocket } = config;
  const isOpen = servers.some(({ address }) => address.kind === "unix" && address.path === localSocket);
  return {
    socketPath,
    ...(isOpen && localSocket !== undefined ? { localSocketPath: localSocket } : {}),
    nbd: servers.flatMap(({ address }) => {
      if (address.kind !== "tcp") return [];
      const { host, port } = address;
      const granted = asksForCredential(address, config);
      const certificates = granted || config.tls?.clientCertificates === "require";
      return [{ host, port, tls: config.tls !== undefined || granted, credentials: certificates }];
    }),
  };
}
