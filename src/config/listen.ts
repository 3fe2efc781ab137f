/** Addresses to listen on, as text: `unix:PATH`, `HOST:PORT`, `[IPV6]:PORT`. */

export type NbdListen = { kind: "unix"; path: string } | { kind: "tcp"; host: string; port: number };
/** Where other appliances come. */
export type PeerListen = { kind: "off" } | { kind: "tcp"; host: string; port: number };
export type HttpListen = { kind: "off" } | { kind: "tcp"; host: string; port: number };

/** sun_path holds 108 bytes with the final zero (unix(7)). */
const UNIX_PATH_BYTES_MAX = 107;

export function parseNbdListen(text: string): NbdListen | { error: string } {
  if (text.startsWith("unix:")) {
    const path = text.slice("unix:".length);
    if (path === "") return { error: `is ${quoted(text)}, but a socket needs a path: unix:PATH` };
    if (Buffer.byteLength(path) > UNIX_PATH_BYTES_MAX) {
      return {
        error: `has a socket path of ${Buffer.byteLength(path)} bytes; the kernel takes ${UNIX_PATH_BYTES_MAX}`,
      };
    }
    return { kind: "unix", path };
  }
  const tcp = parseHostPort(text);
  return tcp ?? { error: `is ${quoted(text)}, but must be unix:PATH, HOST:PORT or [IPV6]:PORT` };
}

/** On an address other than loopback it speaks TLS. */
export function parseHttpListen(text: string): HttpListen | { error: string } {
  if (text === "off") return { kind: "off" };
  return parseHostPort(text) ?? { error: `is ${quoted(text)}, but must be HOST:PORT, [IPV6]:PORT or off` };
}

/** On any address: it takes nothing without TLS and a token. */
export function parsePeerListen(text: string): PeerListen | { error: string } {
  if (text === "off") return { kind: "off" };
  return parseHostPort(text) ?? { error: `is ${quoted(text)}, but must be HOST:PORT, [IPV6]:PORT or off` };
}

/** An absolute path for a socket. */
export function parseSocketPath(text: string): string | { error: string } {
  if (!text.startsWith("/") || text.endsWith("/")) return { error: `is ${quoted(text)}, but must be an absolute path` };
  return Buffer.byteLength(text) > UNIX_PATH_BYTES_MAX
    ? { error: `is a path of ${Buffer.byteLength(text)} bytes; the kernel takes ${UNIX_PATH_BYTES_MAX} for a socket` }
    : text;
}

function parseHostPort(text: string): { kind: "tcp"; host: string; port: number } | undefined {
  const match = /^(?:\[([0-9a-fA-F:.]+)\]|([A-Za-z0-9._-]+)):(\d{1,5})$/.exec(text);
  const port = Number(match?.[3]);
  if (!match || port > 65_535) return undefined;
  return { kind: "tcp", host: match[1] ?? match[2] ?? "", port };
}

/** True for names and addresses that only this machine reaches. */
export function isLoopback(host: string): boolean {
  if (host === "localhost" || host === "::1" || host === "0:0:0:0:0:0:0:1") return true;
  const parts = host.split(".");
  return (
    parts.length === 4 && parts[0] === "127" && parts.every((part) => /^\d{1,3}$/.test(part) && Number(part) <= 255)
  );
}

const quoted = (text: string): string => JSON.stringify(text);
