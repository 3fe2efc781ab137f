/** Servers, raw sockets and conditions for the tests of the NBD room. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Socket } from "bun";
import { SternwayError } from "../../src/base/errors.ts";
import {
  startNbdServer,
  type NbdExports,
  type NbdServer,
  type NbdServerEvent,
  type NbdServerOptions,
} from "../../src/nbd/server.ts";
import type { MemoryDevice } from "./memory-device.ts";
import { RunningClock } from "./running-clock.ts";

/** More than a machine stalls that others use too. */
const WAIT_MS_MAX = 20_000;

/** Resolves when `condition` holds. @throws with `what` when it does not within the time */
export async function until(condition: () => boolean, what: string, timeoutMs = WAIT_MS_MAX): Promise<void> {
  const start = performance.now();
  while (!condition()) {
    if (performance.now() - start > timeoutMs) throw new Error(`not within ${timeoutMs} ms: ${what}`);
    await Bun.sleep(2);
  }
}

export interface TestExport {
  device: MemoryDevice;
  readOnly?: boolean;
  description?: string;
}

/** Exports by name; an unknown name throws not_found, and opens and closes are counted by the devices. */
export function exportsOf(named: Record<string, TestExport>): NbdExports & { openCount: number } {
  const find = (name: string): TestExport => {
    const found = named[name];
    if (found === undefined) throw new SternwayError("not_found", `there is no volume "${name}"`, { name });
    return found;
  };
  const counts = new Map<MemoryDevice, number>();
  return {
    openCount: 0,
    async list() {
      return Object.entries(named).map(([name, { description }]) => ({ name, description: description ?? "" }));
    },
    async describe(name) {
      const { device, readOnly, description } = find(name);
      return { sizeBytes: device.sizeBytes, readOnly: readOnly ?? false, description: description ?? "" };
    },
    async open(name) {
      const { device, readOnly, description } = find(name);
      this.openCount++;
      const opened = (counts.get(device) ?? 0) + 1;
      counts.set(device, opened);
      device.openCount = opened;
      return { readOnly: readOnly ?? false, device, description: description ?? "" };
    },
  };
}

export interface TestServer extends AsyncDisposable {
  server: NbdServer;
  path: string;
  events: NbdServerEvent[];
}

/** A server on a unix socket in a scratch folder; disposing of it stops it and removes the folder. */
export function serve(
  named: Record<string, TestExport> | NbdExports,
  options: Partial<Omit<NbdServerOptions, "exports">> = {},
): TestServer {
  const folder = mkdtempSync(join(tmpdir(), "nbd-"));
  const path = join(folder, "s");
  const events: NbdServerEvent[] = [];
  const exports =
    typeof named["list"] === "function" ? (named as NbdExports) : exportsOf(named as Record<string, TestExport>);
  let server: NbdServer;
  try {
    server = startNbdServer({
      listen: { kind: "unix", path },
      log: (event) => events.push(event),
      clock: new RunningClock(),
      ...options,
      exports,
    });
  } catch (error) {
    rmSync(folder, { recursive: true, force: true });
    throw error;
  }
  return {
    server,
    path,
    events,
    async [Symbol.asyncDispose]() {
      await server.stop({ graceMs: 1000 });
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

/** A socket that says exactly what it is told to, and reads exactly what it is asked to. */
export class RawSocket {
  closed = false;
  received: Uint8Array = new Uint8Array(0);
  #socket: Socket<undefined> | undefined;

  static async connect(path: string): Promise<RawSocket> {
    const raw = new RawSocket();
    raw.#socket = await Bun.connect({
      unix: path,
      socket: {
        data(socket, chunk) {
          // After the upgrade to TLS the plain socket goes on showing the ciphertext.
          if (raw.#socket === undefined || socket === raw.#socket) raw.received = Buffer.concat([raw.received, chunk]);
        },
        close() {
          raw.closed = true;
        },
        error() {
          raw.closed = true;
        },
      },
    });
    return raw;
  }

  /** Sends all of it, or as much as there is somebody to take. */
  async send(bytes: Uint8Array): Promise<void> {
    let at = 0;
    while (at < bytes.length && !this.closed) {
      const taken = this.#socket!.write(bytes, at, bytes.length - at);
      if (taken < 0) return;
      at += taken;
      if (at < bytes.length) await Bun.sleep(1);
    }
  }

  /** The next `size` bytes. @throws when the server closes before */
  async take(size: number): Promise<Uint8Array> {
    await until(() => this.received.length >= size || this.closed, `${size} bytes from the server`);
    if (this.received.length < size) throw new Error(`closed after ${this.received.length} of ${size} bytes`);
    const bytes = this.received.subarray(0, size);
    this.received = this.received.subarray(size);
    return bytes;
  }

  async closes(): Promise<void> {
    await until(() => this.closed, "the server closes the session");
  }

  /** Continues in TLS, after the server's agreement. */
  async startTls(ca: string): Promise<void> {
    const done = Promise.withResolvers<void>();
    const receive = (chunk: Uint8Array): void => {
      this.received = Buffer.concat([this.received, chunk]);
    };
    const close = (): void => {
      this.closed = true;
    };
    const [, secured] = this.#socket!.upgradeTLS<undefined>({
      data: undefined,
      tls: { ca, serverName: "localhost" },
      socket: {
        handshake(_socket, ok, error) {
          if (ok) done.resolve();
          else done.reject(error ?? new Error("no TLS"));
        },
        data: (_socket, chunk) => receive(chunk),
        close,
      },
    });
    this.#socket = secured;
    await done.promise;
    this.received = new Uint8Array(0);
  }

  pause(): void {
    this.#socket!.pause();
  }

  close(): void {
    this.#socket!.terminate();
  }
}

const u16 = (value: number): number[] => [value >>> 8, value & 255];
const u32 = (value: number): number[] => [...u16(Math.floor(value / 65536)), ...u16(value % 65536)];
const u64 = (value: number): number[] => [...u32(Math.floor(value / 2 ** 32)), ...u32(value % 2 ** 32)];
const IHAVEOPT = [...Buffer.from("IHAVEOPT")];

/** Bytes written out by hand from proto.md, so that a wrong constant in our codecs is found. */
export const wire = {
  clientFlags: (flags: number): Uint8Array => Uint8Array.from(u32(flags)),
  option: (option: number, data: ArrayLike<number> = []): Uint8Array =>
    Uint8Array.from([...IHAVEOPT, ...u32(option), ...u32(data.length), ...Array.from(data)]),
  optionHeader: (option: number, size: number): Uint8Array =>
    Uint8Array.from([...IHAVEOPT, ...u32(option), ...u32(size)]),
  /** Data of INFO and GO. */
  name: (name: string, infos: number[] = []): number[] => {
    const bytes = [...Buffer.from(name)];
    return [...u32(bytes.length), ...bytes, ...u16(infos.length), ...infos.flatMap(u16)];
  },
  meta: (name: string, queries: string[]): number[] => {
    const bytes = [...Buffer.from(name)];
    const encoded = queries.flatMap((query) => [...u32(Buffer.byteLength(query)), ...Buffer.from(query)]);
    return [...u32(bytes.length), ...bytes, ...u32(queries.length), ...encoded];
  },
  request: (
    type: number,
    offset: number,
    length: number,
    options: { flags?: number; cookie?: number } = {},
  ): Uint8Array =>
    Uint8Array.from([
      ...u32(0x25609513),
      ...u16(options.flags ?? 0),
      ...u16(type),
      ...u64(options.cookie ?? 7),
      ...u64(offset),
      ...u32(length),
    ]),
  u32,
  u64,
};

export interface OptionReply {
  option: number;
  type: number;
  data: Uint8Array;
}

export async function takeOptionReply(raw: RawSocket): Promise<OptionReply> {
  const header = Buffer.from(await raw.take(20));
  if (header.readBigUInt64BE(0) !== 0x3e889045565a9n) throw new Error("wrong option reply magic");
  return {
    option: header.readUInt32BE(8),
    type: header.readUInt32BE(12),
    data: await raw.take(header.readUInt32BE(16)),
  };
}

/** Through the greeting: the server's 18 bytes and our flags. */
export async function greeted(path: string): Promise<RawSocket> {
  const raw = await RawSocket.connect(path);
  await raw.take(18);
  await raw.send(wire.clientFlags(3));
  return raw;
}

/** In transmission, with simple replies unless `structured`. */
export async function transmitting(path: string, name: string, structured = false): Promise<RawSocket> {
  const raw = await greeted(path);
  if (structured) {
    await raw.send(wire.option(8));
    await takeOptionReply(raw);
    await raw.send(wire.option(10, wire.meta(name, ["base:allocation"])));
    while ((await takeOptionReply(raw)).type !== 1);
  }
  await raw.send(wire.option(7, wire.name(name)));
  for (;;) {
    const { type, data } = await takeOptionReply(raw);
    if (type === 1) return raw;
    if (type >= 2 ** 31) throw new Error(`GO refused: ${Buffer.from(data).toString()}`);
  }
}

/** A simple reply's errno. */
export async function takeSimple(raw: RawSocket): Promise<number> {
  const reply = Buffer.from(await raw.take(16));
  if (reply.readUInt32BE(0) !== 0x67446698) throw new Error(`wrong simple reply magic ${reply.toString("hex")}`);
  return reply.readUInt32BE(4);
}

/** A structured chunk. */
export async function takeChunk(raw: RawSocket): Promise<{ done: boolean; type: number; payload: Buffer }> {
  const header = Buffer.from(await raw.take(20));
  if (header.readUInt32BE(0) !== 0x668e33ef) throw new Error(`wrong chunk magic ${header.toString("hex")}`);
  const payload = Buffer.from(await raw.take(header.readUInt32BE(16)));
  return { done: (header.readUInt16BE(4) & 1) === 1, type: header.readUInt16BE(6), payload };
}

/** A certificate authority with a server's and a client's certificate, in the file names that qemu and libnbd expect. */
export interface TestAuthority extends Disposable {
  folder: string;
  ca: string;
  serverCert: string;
  serverKey: string;
  clientCert: string;
  clientKey: string;
}

/** Made by openssl; throws when it is missing. */
export function makeAuthority(): TestAuthority {
  const folder = mkdtempSync(join(tmpdir(), "nbd-tls-"));
  const at = (name: string): string => join(folder, name);
  const openssl = (...words: string[]): void => {
    const { exitCode, stderr } = Bun.spawnSync(["openssl", ...words], { cwd: folder, stderr: "pipe" });
    if (exitCode !== 0) throw new Error(`openssl ${words[0]}: ${stderr.toString()}`);
  };
  const key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"];
  openssl(
    "req",
    "-x509",
    ...key,
    "-keyout",
    "ca-key.pem",
    "-out",
    "ca-cert.pem",
    "-days",
    "2",
    "-subj",
    "/CN=Test authority",
  );
  for (const [who, usage] of [
    ["server", "serverAuth"],
    ["client", "clientAuth"],
  ] as const) {
    openssl(
      "req",
      "-new",
      ...key,
      "-keyout",
      `${who}-key.pem`,
      "-out",
      `${who}.csr`,
      "-subj",
      `/O=Sternway/CN=${who}.test`,
    );
    writeFileSync(
      at("ext"),
      `subjectAltName=DNS:localhost,IP:127.0.0.1\nextendedKeyUsage=${usage}\nkeyUsage=digitalSignature\n`,
    );
    openssl(
      "x509",
      "-req",
      "-in",
      `${who}.csr`,
      "-CA",
      "ca-cert.pem",
      "-CAkey",
      "ca-key.pem",
      "-CAcreateserial",
      "-out",
      `${who}-cert.pem`,
      "-days",
      "2",
      "-extfile",
      "ext",
    );
  }
  const read = (name: string): string => readFileSync(at(name), "utf8");
  return {
    folder,
    ca: read("ca-cert.pem"),
    serverCert: read("server-cert.pem"),
    serverKey: read("server-key.pem"),
    clientCert: read("client-cert.pem"),
    clientKey: read("client-key.pem"),
    [Symbol.dispose]: () => rmSync(folder, { recursive: true, force: true }),
  };
}
