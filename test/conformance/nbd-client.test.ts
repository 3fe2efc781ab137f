/** Our client against our server: every command, and the errors of each. */
import { expect, test } from "bun:test";
import { SternwayError, type ErrorKind } from "../../src/base/errors.ts";
import { seededRandom } from "../../src/base/random.ts";
import { connectNbd, listNbdExports, type NbdClient } from "../../src/nbd/client.ts";
import { MemoryDevice, type MemoryDeviceOptions } from "../support/memory-device.ts";
import { serve, until, type TestServer } from "../support/nbd-harness.ts";

const MIB = 2 ** 20;

interface Bench extends AsyncDisposable {
  at: TestServer;
  device: MemoryDevice;
  client: NbdClient;
}

async function bench(options: MemoryDeviceOptions = {}, sizeBytes = 8 * MIB, readOnly = false): Promise<Bench> {
  const device = new MemoryDevice(sizeBytes, options);
  const at = serve({ disk: { device, readOnly, description: "a disk" } });
  const client = await connectNbd({ kind: "unix", path: at.path }, "disk");
  return {
    at,
    device,
    client,
    async [Symbol.asyncDispose]() {
      await client.close();
      await at[Symbol.asyncDispose]();
    },
  };
}

async function errorOf(work: Promise<unknown>): Promise<SternwayError> {
  try {
    await work;
  } catch (error) {
    if (error instanceof SternwayError) return error;
    throw error;
  }
  throw new Error("it did not fail");
}

test("connectNbd() tells size, description, access and block sizes", async () => {
  await using b = await bench();
  expect(b.client.sizeBytes).toBe(8 * MIB);
  expect(b.client.description).toBe("a disk");
  expect(b.client.readOnly).toBe(false);
  expect(b.client.knowsExtents).toBe(true);
  expect(b.client.blockSize).toEqual({ minimum: 512, preferred: 4096, maximum: 32 * MIB });
});

test("connectNbd() throws not_found with the server's message for an unknown export", async () => {
  await using b = await bench();
  const error = await errorOf(connectNbd({ kind: "unix", path: b.at.path }, "nosuch"));
  expect(error.kind).toBe("not_found");
  expect(error.message).toContain('there is no volume "nosuch"');
});

test("connectNbd() throws unavailable where nobody listens", async () => {
  const error = await errorOf(connectNbd({ kind: "unix", path: "/nonexistent/socket" }, "disk"));
  expect(error.kind).toBe("unavailable");
});

test("listNbdExports() gives names and descriptions", async () => {
  await using b = await bench();
  const target = { kind: "unix", path: b.at.path } as const;
  expect(await listNbdExports(target)).toEqual([{ name: "disk", description: "a disk" }]);
});

test("a server on TCP port 0 tells the port that it got, and serves there", async () => {
  const device = new MemoryDevice(MIB);
  await using at = serve({ disk: { device } }, { listen: { kind: "tcp", host: "127.0.0.1", port: 0 } });
  const { address } = at.server;
  if (address.kind !== "tcp") throw new Error("not TCP");
  expect(address.port).toBeGreaterThan(0);
  const client = await connectNbd(address, "disk");
  await client.write(0, new Uint8Array(4096).fill(3));
  expect((await client.read(0, 512))[0]).toBe(3);
  expect(at.server.connections()[0]!.peer.address).toStartWith(`127.0.0.1:${address.port} from 127.0.0.1:`);
  await client.close();
});

test("write() then read() gives the same bytes for every kind of size, while others are in flight", async () => {
  await using b = await bench({}, 80 * MIB);
  const seed = 20261121;
  const random = seededRandom(seed);
  const sizes = [512, 1024, 4096, 8192, 16384, 16896, 65536, 262144, MIB, 8 * MIB, 33 * MIB];
  let offset = 0;
  const written: { offset: number; data: Uint8Array }[] = [];
  for (const size of sizes) {
    const data = new Uint8Array(size);
    for (let i = 0; i < size; i += 4) new DataView(data.buffer).setUint32(i, offset + i);
    data.set(random.bytes(512), 0);
    written.push({ offset, data });
    offset += size;
  }
  await Promise.all(written.map(({ offset: at, data }) => b.client.write(at, data)));
  const read = await Promise.all(written.map(({ offset: at, data }) => b.client.read(at, data.length)));
  for (let i = 0; i < written.length; i++)
    expect(Buffer.compare(read[i]!, written[i]!.data), `seed ${seed}, size ${sizes[i]}`).toBe(0);
  expect(Buffer.compare(b.device.bytes.subarray(0, 512), written[0]!.data)).toBe(0);
});

test("a device that keeps the data of a write until later sees it unchanged", async () => {
  // Views of the socket's chunks and reused slabs are handed to the device: neither may change before it is done.
  const gate = Promise.withResolvers<void>();
  await using b = await bench({ delay: () => gate.promise }, 64 * MIB);
  const sizes = [4096, MIB, 65536, 512];
  const pieces = Array.from({ length: 60 }, (_, i) => ({
    offset: i * MIB,
    data: new Uint8Array(sizes[i % sizes.length]!).fill(i + 1),
  }));
  const writes = Promise.all(pieces.map(({ offset, data }) => b.client.write(offset, data)));
  await until(() => b.device.pending === 60, "all writes wait in the device");
  gate.resolve();
  await writes;
  for (const { offset, data } of pieces) {
    expect(Buffer.compare(b.device.bytes.subarray(offset, offset + data.length), data), `at ${offset}`).toBe(0);
  }
});

test("read() of a large stretch with holes gives zeroes there, and the device reads only the data", async () => {
  await using b = await bench();
  await b.client.write(MIB, new Uint8Array(8192).fill(9));
  b.device.readCount = 0;
  const data = await b.client.read(0, 4 * MIB);
  expect(data.subarray(0, MIB).every((byte) => byte === 0)).toBe(true);
  expect(data.subarray(MIB, MIB + 8192).every((byte) => byte === 9)).toBe(true);
  expect(data.subarray(MIB + 8192).every((byte) => byte === 0)).toBe(true);
  expect(b.device.readCount).toBe(1);
  expect(b.at.server.connections()[0]!.sentBytes).toBeLessThan(20_000);
});

test("readInto() with whole (DF) gives everything as data", async () => {
  await using b = await bench();
  const into = new Uint8Array(MIB).fill(255);
  await b.client.readInto(into, 0, { whole: true });
  expect(into.every((byte) => byte === 0)).toBe(true);
  expect(b.at.server.connections()[0]!.sentBytes).toBeGreaterThan(MIB);
});

test("extents() tells data, zero and hole, merged and cut to the range", async () => {
  await using b = await bench({ extentsAtOnce: 2 });
  await b.client.write(0, new Uint8Array(8192).fill(1));
  await b.client.writeZeroes(8192, 4096, false);
  await b.client.write(MIB, new Uint8Array(4096).fill(1));
  await b.client.trim(4096, 4096);
  expect(await b.client.extents(0, 2 * MIB)).toEqual([
    { offset: 0, length: 4096, kind: "data" },
    { offset: 4096, length: 4096, kind: "hole" },
    { offset: 8192, length: 4096, kind: "zero" },
    { offset: 12288, length: MIB - 12288, kind: "hole" },
    { offset: MIB, length: 4096, kind: "data" },
    { offset: MIB + 4096, length: MIB - 4096, kind: "hole" },
  ]);
  expect(await b.client.extents(512, 1024, { onlyOne: true })).toEqual([{ offset: 512, length: 1024, kind: "data" }]);
});

test("writeZeroes() keeps the range allocated with mayHole false, and frees it with true", async () => {
  await using b = await bench();
  await b.client.write(0, new Uint8Array(16384).fill(1));
  await b.client.writeZeroes(0, 8192, false);
  await b.client.writeZeroes(8192, 8192, true);
  expect([...b.device.kinds.subarray(0, 4)]).toEqual([1, 1, 0, 0]);
});

test("flush() and FUA reach the device", async () => {
  await using b = await bench();
  await b.client.write(0, new Uint8Array(4096), true);
  await b.client.trim(0, 4096, true);
  await b.client.writeZeroes(0, 4096, true, true);
  await b.client.write(0, new Uint8Array(4096), false);
  expect(b.device.fuaCount).toBe(3);
  await b.client.flush();
  expect(b.device.flushCount).toBe(1);
});

test("cache() reads the range in the device and gives success", async () => {
  await using b = await bench();
  await b.client.cache(0, 3 * MIB);
  expect(b.device.readCount).toBe(3);
});

test("a read-only export refuses every change with denied, and allows flush", async () => {
  await using b = await bench({}, MIB, true);
  expect(b.client.readOnly).toBe(true);
  for (const work of [
    b.client.write(0, new Uint8Array(512)),
    b.client.write(0, new Uint8Array(65536)),
    b.client.trim(0, 512),
    b.client.writeZeroes(0, 512, true),
  ]) {
    expect((await errorOf(work)).kind).toBe("denied");
  }
  await b.client.flush();
  expect(b.device.flushCount).toBe(0);
  expect((await b.client.read(0, 512)).length).toBe(512);
});

const KINDS: [ErrorKind, string, ErrorKind, string][] = [
  ["invalid", "", "invalid", "EINVAL"],
  ["not_found", "", "invalid", "EINVAL"],
  ["conflict", "", "unavailable", "EIO"],
  ["unavailable", "ENOSPC", "unavailable", "ENOSPC"],
  ["unavailable", "EIO", "unavailable", "EIO"],
  ["corrupt", "", "unavailable", "EIO"],
  ["fenced", "", "unavailable", "ESHUTDOWN"],
  ["denied", "", "denied", "EPERM"],
  ["internal", "", "unavailable", "EIO"],
];

for (const [kind, code, expectedKind, expectedCode] of KINDS) {
  test(`a device's ${kind} error ${code} reaches the client as ${expectedCode} with its message, and the session goes on`, async () => {
    let failing = true;
    const failure = (): Error | undefined =>
      failing ? new SternwayError(kind, "the facts of it", code === "" ? {} : { code }) : undefined;
    await using b = await bench({ failure });
    for (const work of [
      b.client.read(0, 512),
      b.client.read(0, MIB),
      b.client.write(0, new Uint8Array(512)),
      b.client.write(0, new Uint8Array(MIB)),
      b.client.trim(0, 512),
      b.client.writeZeroes(0, 512, true),
      b.client.flush(),
      b.client.extents(0, 4096),
    ]) {
      const error = await errorOf(work);
      expect(error.kind).toBe(expectedKind);
      expect(error.facts["code"]).toBe(expectedCode);
      expect(error.message).toContain("the facts of it");
    }
    failing = false;
    await b.client.write(0, new Uint8Array(512).fill(4));
    expect((await b.client.read(0, 512))[511]).toBe(4);
  });
}

test("a rejected write gives its error to the right request among many", async () => {
  const failure = (operation: string, offset: number): Error | undefined =>
    operation === "write" && offset === 40960
      ? new SternwayError("unavailable", "full", { code: "ENOSPC" })
      : undefined;
  await using b = await bench({ failure });
  const results = await Promise.allSettled(
    Array.from({ length: 20 }, (_, i) => b.client.write(i * 4096, new Uint8Array(4096).fill(1))),
  );
  expect(results.map(({ status }) => status === "rejected")).toEqual(Array.from({ length: 20 }, (_, i) => i === 10));
});

test("a stranger's error is EIO and its text stays inside", async () => {
  await using b = await bench({ failure: () => new TypeError("secret internals") });
  const error = await errorOf(b.client.read(0, 512));
  expect(error.facts["code"]).toBe("EIO");
  expect(error.message).not.toContain("secret");
});

test("past the end a write gives ENOSPC and everything else EINVAL; unaligned gives EINVAL", async () => {
  await using b = await bench({}, MIB);
  const code = async (work: Promise<unknown>): Promise<unknown> => (await errorOf(work)).facts["code"];
  expect(await code(b.client.write(MIB, new Uint8Array(512)))).toBe("ENOSPC");
  expect(await code(b.client.write(MIB - 512, new Uint8Array(65536)))).toBe("ENOSPC");
  expect(await code(b.client.writeZeroes(MIB, 512, true))).toBe("ENOSPC");
  expect(await code(b.client.read(MIB, 512))).toBe("EINVAL");
  expect(await code(b.client.trim(2 ** 50, 512))).toBe("EINVAL");
  expect(await code(b.client.extents(0, 2 * MIB))).toBe("EINVAL");
  expect(await code(b.client.read(1, 512))).toBe("EINVAL");
  expect(await code(b.client.write(0, new Uint8Array(100)))).toBe("EINVAL");
  await b.client.write(MIB - 512, new Uint8Array(512).fill(8));
  expect(b.device.bytes[MIB - 1]).toBe(8);
});

test("close() ends the session, closes the device once, and fails what comes after", async () => {
  await using b = await bench();
  await b.client.close();
  await b.client.close();
  await until(() => b.device.closeCount > 0, "the device is closed");
  expect(b.device.closeCount).toBe(1);
  expect((await errorOf(b.client.read(0, 512))).kind).toBe("unavailable");
  expect(b.at.events.find((event) => event.kind === "closed")).toMatchObject({ reason: "the client said goodbye" });
});

test("a lost server fails everything in flight with unavailable", async () => {
  await using b = await bench({ delay: () => new Promise(() => {}) });
  const reads = Array.from({ length: 200 }, (_, i) => b.client.read(i * 512, 512));
  const outcomes = Promise.allSettled(reads);
  await until(() => b.device.pending === 64, "the places on the wire are taken");
  await b.at.server.stop({ graceMs: 10 });
  for (const outcome of await outcomes) {
    if (outcome.status !== "rejected") throw new Error("it was answered");
    expect(outcome.reason).toMatchObject({ kind: "unavailable" });
  }
});

test("stop() answers what is in flight, closes the device, and refuses newcomers", async () => {
  const gate = Promise.withResolvers<void>();
  await using b = await bench({ delay: () => gate.promise });
  const write = b.client.write(0, new Uint8Array(4096).fill(5));
  await until(() => b.device.pending === 1, "the write is in the device");
  const stopped = b.at.server.stop({ graceMs: 5000 });
  gate.resolve();
  await write;
  await stopped;
  expect(b.device.bytes[0]).toBe(5);
  expect(b.device.closeCount).toBe(1);
  expect(b.at.server.connections()).toEqual([]);
  expect((await errorOf(connectNbd({ kind: "unix", path: b.at.path }, "disk"))).kind).toBe("unavailable");
});

test("startNbdServer() throws conflict on an address in use, and makes the socket file private", async () => {
  await using b = await bench();
  expect(() => serve({}, { listen: { kind: "unix", path: b.at.path } })).toThrow("another program listens");
  expect((await Bun.file(b.at.path).stat()).mode & 0o777).toBe(0o600);
  await using open = serve({}, { listen: { kind: "unix", path: `${b.at.path}2`, mode: 0o660 } });
  expect((await Bun.file(`${b.at.path}2`).stat()).mode & 0o777).toBe(0o660);
  expect(open.server.connections()).toEqual([]);
});

test("connections() tells who is here and what they do", async () => {
  await using b = await bench();
  await b.client.write(0, new Uint8Array(65536));
  const [connection] = b.at.server.connections();
  expect(connection).toMatchObject({
    exportName: "disk",
    readOnly: false,
    tls: false,
    state: "transmitting",
    requestCount: 1,
  });
  expect(connection!.receivedBytes).toBeGreaterThan(65536);
});
