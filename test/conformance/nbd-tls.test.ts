/** TLS by STARTTLS: who gets in, who does not, and that nothing is said in plaintext that should not be. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { SternwayError } from "../../src/base/errors.ts";
import { connectNbd, listNbdExports, type NbdTarget } from "../../src/nbd/client.ts";
import type { NbdServerTls } from "../../src/nbd/server.ts";
import { MemoryDevice } from "../support/memory-device.ts";
import {
  exportsOf,
  greeted,
  makeAuthority,
  serve,
  takeOptionReply,
  takeSimple,
  transmitting,
  until,
  wire,
  type TestAuthority,
  type TestServer,
} from "../support/nbd-harness.ts";

const MIB = 2 ** 20;
const ERR = 2 ** 31;
let authority: TestAuthority;
let stranger: TestAuthority;

beforeAll(() => {
  authority = makeAuthority();
  stranger = makeAuthority();
});
afterAll(() => {
  authority[Symbol.dispose]();
  stranger[Symbol.dispose]();
});

function serveTls(device: MemoryDevice, tls: Partial<NbdServerTls> = {}, limits = {}): TestServer {
  return serve(
    { disk: { device } },
    { tls: { key: authority.serverKey, cert: authority.serverCert, ca: authority.ca, required: true, ...tls }, limits },
  );
}

const trusting = (at: TestServer, more: object = {}): NbdTarget => ({
  kind: "unix",
  path: at.path,
  tls: { ca: authority.ca, ...more },
});

async function kindOf(work: Promise<unknown>): Promise<string> {
  try {
    await work;
    return "no error";
  } catch (error) {
    return error instanceof SternwayError ? error.kind : String(error);
  }
}

test("a client with TLS reads and writes, large and small, many at once", async () => {
  const device = new MemoryDevice(64 * MIB);
  await using at = serveTls(device);
  const client = await connectNbd(trusting(at), "disk");
  const sizes = [512, 4096, 65536, MIB, 8 * MIB, 33 * MIB];
  let offset = 0;
  const work = sizes.map(async (size) => {
    const start = offset;
    offset += size;
    const data = new Uint8Array(size);
    for (let i = 0; i < size; i++) data[i] = (start + i * 7) >>> 3;
    await client.write(start, data);
    expect(Buffer.compare(await client.read(start, size), data)).toBe(0);
  });
  await Promise.all(work);
  expect(at.server.connections()[0]).toMatchObject({ tls: true });
  await client.close();
  await until(() => device.closeCount === 1, "the device is closed");
});

test("listNbdExports() works over TLS", async () => {
  await using at = serveTls(new MemoryDevice(MIB));
  expect(await listNbdExports(trusting(at))).toEqual([{ name: "disk", description: "" }]);
});

test("where TLS is required every option but STARTTLS and ABORT gets ERR_TLS_REQD", async () => {
  await using at = serveTls(new MemoryDevice(MIB));
  const raw = await greeted(at.path);
  for (const option of [3, 6, 7, 8, 9, 10, 99]) {
    await raw.send(wire.option(option, option === 7 ? wire.name("disk") : []));
    expect((await takeOptionReply(raw)).type).toBe(ERR + 5);
  }
  await raw.send(wire.option(2));
  expect((await takeOptionReply(raw)).type).toBe(1);
  await raw.closes();
  expect(await kindOf(connectNbd({ kind: "unix", path: at.path }, "disk"))).toBe("denied");
});

test("where TLS is required EXPORT_NAME in plaintext ends the session", async () => {
  await using at = serveTls(new MemoryDevice(MIB));
  const raw = await greeted(at.path);
  await raw.send(wire.option(1, Buffer.from("disk")));
  await raw.closes();
  expect(raw.received.length).toBe(0);
});

test("startNbdServer() throws invalid for a certificate, key or authority that cannot be used", () => {
  const device = new MemoryDevice(MIB);
  for (const tls of [{ cert: "nonsense" }, { key: stranger.serverKey }, { key: "" }, { ca: "nonsense" }]) {
    expect(() => serveTls(device, tls), JSON.stringify(tls).slice(0, 40)).toThrow(/not usable|empty/);
  }
  const { ca: _, ...withoutAuthority } = { key: authority.serverKey, cert: authority.serverCert, ca: "" };
  expect(() => serve({}, { tls: { ...withoutAuthority, required: true, clientCertificate: true } })).toThrow(
    "authority",
  );
});

test("where TLS is offered both kinds of client get in", async () => {
  await using at = serveTls(new MemoryDevice(MIB), { required: false });
  const raw = await transmitting(at.path, "disk");
  await raw.send(wire.request(0, 0, 512));
  expect(await takeSimple(raw)).toBe(0);
  raw.close();
  const client = await connectNbd(trusting(at), "disk");
  expect((await client.read(0, 512)).length).toBe(512);
  await client.close();
});

test("a server without a certificate refuses STARTTLS with ERR_UNSUP", async () => {
  await using at = serve({ disk: { device: new MemoryDevice(MIB) } });
  const raw = await greeted(at.path);
  await raw.send(wire.option(5));
  expect((await takeOptionReply(raw)).type).toBe(ERR + 1);
  raw.close();
  expect(await kindOf(connectNbd(trusting(at), "disk"))).toBe("invalid");
});

test("plaintext that follows STARTTLS in the same packet ends the session unanswered", async () => {
  const device = new MemoryDevice(MIB);
  await using at = serveTls(device, { required: false });
  const raw = await greeted(at.path);
  await raw.send(Buffer.concat([wire.option(5), wire.option(7, wire.name("disk"))]));
  await raw.closes();
  expect(raw.received.length).toBe(0);
  expect(at.events.at(-1)).toMatchObject({ kind: "closed", reason: "plaintext followed STARTTLS" });
});

test("plaintext instead of a TLS handshake ends the session", async () => {
  await using at = serveTls(new MemoryDevice(MIB), { required: false });
  const raw = await greeted(at.path);
  await raw.send(wire.option(5));
  expect((await takeOptionReply(raw)).type).toBe(1);
  await raw.send(wire.option(7, wire.name("disk")));
  await raw.closes();
  await until(() => at.server.connections().length === 0, "the session is gone");
  expect(at.events.some((event) => event.kind === "opened")).toBe(false);
});

test("STARTTLS pipelined behind a slow option goes through", async () => {
  const gate = Promise.withResolvers<void>();
  const exports = exportsOf({ disk: { device: new MemoryDevice(MIB) } });
  const { list } = exports;
  exports.list = async () => {
    await gate.promise;
    return await list({ address: "test" });
  };
  await using at = serve(exports, {
    tls: { key: authority.serverKey, cert: authority.serverCert, required: false },
  });
  const raw = await greeted(at.path);
  await raw.send(Buffer.concat([wire.option(3), wire.option(5)]));
  await until(() => at.server.connections()[0]?.receivedBytes === 36, "both options have arrived");
  gate.resolve();
  for (const type of [2, 1, 1]) expect((await takeOptionReply(raw)).type).toBe(type);
  await raw.startTls(authority.ca);
  await raw.send(wire.option(8));
  expect(await takeOptionReply(raw)).toMatchObject({ option: 8, type: 1 });
  raw.close();
});

test("a TLS handshake that stalls is closed after the timeout", async () => {
  await using at = serveTls(new MemoryDevice(MIB), {}, { handshakeTimeoutMs: 200 });
  const raw = await greeted(at.path);
  await raw.send(wire.option(5));
  await takeOptionReply(raw);
  await raw.closes();
});

test("what was agreed on before TLS is forgotten", async () => {
  await using at = serveTls(new MemoryDevice(MIB), { required: false });
  const raw = await greeted(at.path);
  await raw.send(wire.option(8));
  expect((await takeOptionReply(raw)).type).toBe(1);
  await raw.send(wire.option(5));
  expect((await takeOptionReply(raw)).type).toBe(1);
  await raw.startTls(authority.ca);
  // A server that remembered the structured replies would select the context.
  await raw.send(wire.option(10, wire.meta("disk", ["base:allocation"])));
  expect(await takeOptionReply(raw)).toMatchObject({ option: 10, type: ERR + 3 });
  await raw.send(wire.option(8));
  expect(await takeOptionReply(raw)).toMatchObject({ option: 8, type: 1 });
  raw.close();
});

test("client certificates: a signed one gets in and is named, none and a stranger's do not", async () => {
  const device = new MemoryDevice(MIB);
  await using at = serveTls(device, { clientCertificate: true });
  const known = await connectNbd(trusting(at, { cert: authority.clientCert, key: authority.clientKey }), "disk");
  expect((await known.read(0, 512)).length).toBe(512);
  expect(at.server.connections()[0]!.peer.tlsSubject).toBe("O=Sternway,CN=client.test");
  await known.close();
  expect(["denied", "unavailable"]).toContain(await kindOf(connectNbd(trusting(at), "disk")));
  const foreign = trusting(at, { cert: stranger.clientCert, key: stranger.clientKey });
  expect(["denied", "unavailable"]).toContain(await kindOf(connectNbd(foreign, "disk")));
  expect(at.events.filter((event) => event.kind === "opened").length).toBe(1);
});

test("the client refuses a server of an unknown authority, and one of another name", async () => {
  await using at = serveTls(new MemoryDevice(MIB));
  expect(await kindOf(connectNbd({ kind: "unix", path: at.path, tls: { ca: stranger.ca } }, "disk"))).toBe("denied");
  expect(await kindOf(connectNbd(trusting(at, { serverName: "other.example" }), "disk"))).toBe("denied");
  await until(() => at.server.connections().length === 0, "the sessions are gone");
  expect(at.events.some((event) => event.kind === "opened")).toBe(false);
});

test("back-pressure works over TLS: far more than the bounds in flight is answered", async () => {
  const device = new MemoryDevice(64 * MIB);
  await using at = serveTls(device, {}, { sessionBytesMax: 2 * MIB });
  const client = await connectNbd(trusting(at), "disk");
  const pieces = await Promise.all(Array.from({ length: 64 }, (_, i) => client.read(i * MIB, MIB)));
  expect(pieces.length).toBe(64);
  await Promise.all(Array.from({ length: 64 }, (_, i) => client.write(i * MIB, new Uint8Array(MIB).fill(i))));
  for (let i = 0; i < 64; i++) expect(device.bytes[i * MIB + 77]).toBe(i);
  await client.close();
});
