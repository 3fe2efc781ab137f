/**
 * Clients that break the protocol or stop in the middle, by raw sockets with bytes written out by hand: each gets the
 * right error or a closed session, costs bounded memory, takes nobody's time, and leaves no device open.
 */
import { expect, test } from "bun:test";
import { seededRandom } from "../../src/base/random.ts";
import { connectNbd } from "../../src/nbd/client.ts";
import { MemoryDevice } from "../support/memory-device.ts";
import { RunningClock } from "../support/running-clock.ts";
import {
  exportsOf,
  greeted,
  RawSocket,
  serve,
  takeChunk,
  takeOptionReply,
  takeSimple,
  transmitting,
  until,
  wire,
} from "../support/nbd-harness.ts";

const MIB = 2 ** 20;
const ERR = 2 ** 31;
const QUICK = { handshakeTimeoutMs: 200, requestTimeoutMs: 200, answerTimeoutMs: 200 };

const diskOf = (sizeBytes = 4 * MIB): { disk: { device: MemoryDevice } } => ({
  disk: { device: new MemoryDevice(sizeBytes) },
});

test("the greeting is that of fixed newstyle", async () => {
  await using at = serve(diskOf());
  const raw = await RawSocket.connect(at.path);
  expect(Buffer.from(await raw.take(18)).toString("latin1")).toBe("NBDMAGICIHAVEOPT\x00\x03");
  raw.close();
});

for (const flags of [0, 2, 4, 7, 0xffffffff]) {
  test(`client flags ${flags} end the session`, async () => {
    await using at = serve(diskOf());
    const raw = await RawSocket.connect(at.path);
    await raw.take(18);
    await raw.send(wire.clientFlags(flags));
    await raw.closes();
  });
}

test("an option with a wrong magic number ends the session", async () => {
  await using at = serve(diskOf());
  const raw = await greeted(at.path);
  await raw.send(new Uint8Array(16).fill(65));
  await raw.closes();
});

test("unknown options get ERR_UNSUP and negotiation goes on", async () => {
  await using at = serve(diskOf());
  const raw = await greeted(at.path);
  for (const option of [4, 11, 12, 4711, 0xffffffff]) {
    await raw.send(wire.option(option, [1, 2, 3]));
    expect(await takeOptionReply(raw)).toMatchObject({ option, type: ERR + 1 });
  }
  await raw.send(wire.option(3));
  expect((await takeOptionReply(raw)).type).toBe(2);
  raw.close();
});

test("malformed option data gets ERR_INVALID and negotiation goes on", async () => {
  await using at = serve(diskOf());
  const raw = await greeted(at.path);
  await raw.send(wire.option(8));
  expect((await takeOptionReply(raw)).type).toBe(1);
  const bad: [number, ArrayLike<number>][] = [
    [3, [0]],
    [8, [0]],
    [6, []],
    [7, [0, 0, 0, 9, 65]],
    [7, [...wire.name("disk"), 0]],
    [6, [0xff, 0xff, 0xff, 0xff, 0, 0]],
    [7, wire.name("a\0b")],
    [6, [0, 0, 0, 1, 0xff, 0, 0]],
    [6, wire.name("x".repeat(4097))],
    [10, []],
    [10, [...wire.u32(0), ...wire.u32(0xffffffff)]],
    [9, [...wire.u32(0), ...wire.u32(1), ...wire.u32(9)]],
    [9, [...wire.meta("disk", []), 0]],
  ];
  for (const [option, data] of bad) {
    await raw.send(wire.option(option, data));
    expect((await takeOptionReply(raw)).type, `option ${option}, data ${Array.from(data).slice(0, 12).join(" ")}`).toBe(
      ERR + 3,
    );
  }
  raw.close();
});

test("metadata contexts before structured replies get ERR_INVALID", async () => {
  await using at = serve(diskOf());
  const raw = await greeted(at.path);
  await raw.send(wire.option(10, wire.meta("disk", ["base:allocation"])));
  expect((await takeOptionReply(raw)).type).toBe(ERR + 3);
  raw.close();
});

test("LIST_META_CONTEXT and SET_META_CONTEXT tell base:allocation where it is asked for", async () => {
  await using at = serve(diskOf());
  const raw = await greeted(at.path);
  await raw.send(wire.option(8));
  await takeOptionReply(raw);
  const contexts = async (option: number, queries: string[]): Promise<string[]> => {
    await raw.send(wire.option(option, wire.meta("disk", queries)));
    const found: string[] = [];
    for (;;) {
      const { type, data } = await takeOptionReply(raw);
      if (type !== 4) return found;
      found.push(Buffer.from(data.subarray(4)).toString());
    }
  };
  expect(await contexts(9, [])).toEqual(["base:allocation"]);
  expect(await contexts(9, ["base:"])).toEqual(["base:allocation"]);
  expect(await contexts(9, ["qemu:"])).toEqual([]);
  expect(await contexts(10, ["base:allocation", "x-none:thing"])).toEqual(["base:allocation"]);
  expect(await contexts(10, [])).toEqual([]);
  raw.close();
});

test("SET_META_CONTEXT, INFO and GO for an unknown export get ERR_UNKNOWN with the message", async () => {
  await using at = serve(diskOf());
  const raw = await greeted(at.path);
  await raw.send(wire.option(8));
  await takeOptionReply(raw);
  for (const [option, data] of [
    [10, wire.meta("no", ["base:allocation"])],
    [6, wire.name("no")],
    [7, wire.name("no")],
  ] as const) {
    await raw.send(wire.option(option, data));
    const reply = await takeOptionReply(raw);
    expect(reply.type).toBe(ERR + 6);
    expect(Buffer.from(reply.data).toString()).toBe('there is no volume "no"');
  }
  raw.close();
});

test("INFO gives name and description where asked for, and does not open", async () => {
  const exports = exportsOf({ disk: { device: new MemoryDevice(MIB), description: "it's a disk" } });
  await using at = serve(exports);
  const raw = await greeted(at.path);
  await raw.send(wire.option(6, wire.name("disk", [1, 2])));
  const infos = new Map<number, Buffer>();
  for (;;) {
    const { type, data } = await takeOptionReply(raw);
    if (type === 1) break;
    infos.set(Buffer.from(data).readUInt16BE(0), Buffer.from(data).subarray(2));
  }
  expect(infos.get(0)!.readBigUInt64BE(0)).toBe(BigInt(MIB));
  // HAS_FLAGS, FLUSH, FUA, TRIM, WRITE_ZEROES, MULTI_CONN, CACHE, FAST_ZERO; no DF without structured replies.
  expect(infos.get(0)!.readUInt16BE(8)).toBe(0b1101_0110_1101);
  expect(infos.get(1)!.toString()).toBe("disk");
  expect(infos.get(2)!.toString()).toBe("it's a disk");
  expect(infos.get(3)!.readUInt32BE(0)).toBe(512);
  expect(infos.get(3)!.readUInt32BE(4)).toBe(4096);
  expect(infos.get(3)!.readUInt32BE(8)).toBe(32 * MIB);
  expect(exports.openCount).toBe(0);
  raw.close();
});

test("EXPORT_NAME opens with 10 bytes, with 124 zeroes behind them where the client wants them", async () => {
  await using at = serve(diskOf());
  for (const [flags, size] of [
    [3, 10],
    [1, 134],
  ] as const) {
    const raw = await RawSocket.connect(at.path);
    await raw.take(18);
    await raw.send(wire.clientFlags(flags));
    await raw.send(wire.option(1, Buffer.from("disk")));
    const answer = Buffer.from(await raw.take(size));
    expect(answer.readBigUInt64BE(0)).toBe(BigInt(4 * MIB));
    expect(answer.subarray(10).every((byte) => byte === 0)).toBe(true);
    await raw.send(wire.request(0, 0, 512));
    expect(await takeSimple(raw)).toBe(0);
    expect((await raw.take(512)).length).toBe(512);
    raw.close();
  }
});

test("EXPORT_NAME for an unknown export ends the session", async () => {
  await using at = serve(diskOf());
  const raw = await greeted(at.path);
  await raw.send(wire.option(1, Buffer.from("no")));
  await raw.closes();
});

test("an option above 64 KiB gets ERR_TOO_BIG and negotiation goes on; one above 1 MiB ends the session", async () => {
  await using at = serve(diskOf());
  const raw = await greeted(at.path);
  await raw.send(wire.option(7, new Uint8Array(100_000)));
  expect((await takeOptionReply(raw)).type).toBe(ERR + 9);
  await raw.send(wire.option(8));
  expect(await takeOptionReply(raw)).toMatchObject({ option: 8, type: 1 });
  await raw.send(wire.optionHeader(7, 2 * MIB));
  await raw.closes();
});

test("ABORT is acknowledged, then the session ends", async () => {
  await using at = serve(diskOf());
  const raw = await greeted(at.path);
  await raw.send(wire.option(2));
  expect((await takeOptionReply(raw)).type).toBe(1);
  await raw.closes();
});

test("a whole session in one packet is answered in order", async () => {
  const disk = diskOf();
  await using at = serve(disk);
  const raw = await RawSocket.connect(at.path);
  const data = new Uint8Array(1024).fill(6);
  await raw.send(
    Buffer.concat([
      wire.clientFlags(3),
      wire.option(3),
      wire.option(7, wire.name("disk")),
      wire.request(1, 512, 1024),
      data,
      wire.request(0, 0, 2048),
      wire.request(2, 0, 0),
    ]),
  );
  await raw.closes();
  expect(
    Buffer.from(raw.received.subarray(-2048)).equals(Buffer.concat([new Uint8Array(512), data, new Uint8Array(512)])),
  ).toBe(true);
  await until(() => disk.disk.device.closeCount === 1, "the device is closed");
});

test("a request with a wrong magic number ends the session after the answers before it", async () => {
  const disk = diskOf();
  await using at = serve(disk);
  const raw = await transmitting(at.path, "disk");
  await raw.send(Buffer.concat([wire.request(4, 0, 512), new Uint8Array(28).fill(1)]));
  expect(await takeSimple(raw)).toBe(0);
  await raw.closes();
  await until(() => disk.disk.device.closeCount === 1, "the device is closed");
});

test("unknown commands and flags get EINVAL and the session goes on", async () => {
  await using at = serve(diskOf());
  const raw = await transmitting(at.path, "disk");
  for (const request of [
    wire.request(8, 0, 512),
    wire.request(99, 0, 0),
    wire.request(0, 0, 512, { flags: 2 }),
    wire.request(0, 0, 512, { flags: 4 }),
    wire.request(4, 0, 512, { flags: 8 }),
    wire.request(3, 0, 0, { flags: 16 }),
    wire.request(6, 0, 512, { flags: 0x8000 }),
    wire.request(7, 0, 512),
    wire.request(0, 0, 33 * MIB),
    wire.request(0, 0xfffffffffffe * 512, 512),
  ]) {
    await raw.send(request);
    expect(await takeSimple(raw)).toBe(22);
  }
  await raw.send(wire.request(3, 0, 0, { flags: 1 }));
  expect(await takeSimple(raw)).toBe(0);
  raw.close();
});

test("a refused write's payload is drained and the session goes on", async () => {
  const disk = diskOf();
  await using at = serve(disk);
  const raw = await transmitting(at.path, "disk");
  const refused: [Uint8Array, number, number][] = [
    [wire.request(1, 4 * MIB, 512), 512, 28],
    [wire.request(1, 7, 512), 512, 22],
    [wire.request(1, 0, 100_001), 100_001, 22],
    [wire.request(1, 0, 512, { flags: 2 }), 512, 22],
    [wire.request(1, 0, 33 * MIB), 33 * MIB, 22],
  ];
  for (const [request, size, errno] of refused) {
    await raw.send(request);
    await raw.send(new Uint8Array(size).fill(0x25));
    expect(await takeSimple(raw)).toBe(errno);
  }
  expect(disk.disk.device.writeCount).toBe(0);
  await raw.send(wire.request(0, 0, 512));
  expect(await takeSimple(raw)).toBe(0);
  raw.close();
});

test("a write that announces more than 64 MiB ends the session", async () => {
  await using at = serve(diskOf());
  const raw = await transmitting(at.path, "disk");
  await raw.send(wire.request(1, 0, 0xfffffe00));
  await raw.closes();
});

test("empty requests are answered", async () => {
  await using at = serve(diskOf());
  const raw = await transmitting(at.path, "disk");
  for (const type of [0, 1, 4, 5, 6]) {
    await raw.send(wire.request(type, 0, 0));
    expect(await takeSimple(raw), `command ${type}`).toBe(0);
  }
  raw.close();
});

test("structured errors carry errno and message", async () => {
  await using at = serve(diskOf());
  const raw = await transmitting(at.path, "disk", true);
  await raw.send(wire.request(0, 4 * MIB, 4096));
  const { done, type, payload } = await takeChunk(raw);
  expect([done, type, payload.readUInt32BE(0)]).toEqual([true, 32769, 22]);
  expect(payload.readUInt16BE(4)).toBe(payload.length - 6);
  expect(payload.subarray(6).toString()).toContain("past the end");
  raw.close();
});

test("handshakes that stall are closed after the timeout", async () => {
  await using at = serve(diskOf(), { limits: QUICK });
  const silent = await RawSocket.connect(at.path);
  const halfway = await greeted(at.path);
  await halfway.send(wire.option(7, wire.name("disk")).subarray(0, 19));
  await Promise.all([silent.closes(), halfway.closes()]);
});

test("a request that stops halfway is closed after the timeout, an idle session is not", async () => {
  const disk = diskOf();
  await using at = serve(disk, { limits: { ...QUICK, payloadBytesPerSecondMin: 2 ** 30 } });
  const idle = await transmitting(at.path, "disk");
  const header = await transmitting(at.path, "disk");
  await header.send(wire.request(1, 0, 65536).subarray(0, 20));
  const payload = await transmitting(at.path, "disk");
  await payload.send(Buffer.concat([wire.request(1, 0, 65536), new Uint8Array(1000)]));
  await Promise.all([header.closes(), payload.closes()]);
  expect(disk.disk.device.writeCount).toBe(0);
  expect(idle.closed).toBe(false);
  await idle.send(wire.request(0, 0, 512));
  expect(await takeSimple(idle)).toBe(0);
  idle.close();
});

test("a client that drips a payload byte by byte does not escape the timeout", async () => {
  await using at = serve(diskOf(), { limits: { ...QUICK, payloadBytesPerSecondMin: 2 ** 30 } });
  const raw = await transmitting(at.path, "disk");
  await raw.send(wire.request(1, 0, 65536));
  const dripping = (async () => {
    while (!raw.closed) {
      await raw.send(new Uint8Array(1));
      await Bun.sleep(5);
    }
  })();
  await raw.closes();
  await dripping;
});

test("options are not answered without end to a client that does not read", async () => {
  let listCount = 0;
  const exports = exportsOf(diskOf());
  exports.list = async () => {
    listCount++;
    return Array.from({ length: 1000 }, (_, i) => ({ name: `volume-${i}`, description: "x".repeat(100) }));
  };
  await using at = serve(exports, { limits: { handshakeTimeoutMs: 400 } });
  const raw = await greeted(at.path);
  raw.pause();
  const flood = Buffer.concat(Array.from({ length: 1000 }, () => wire.option(3)));
  const sending = (async () => {
    for (let i = 0; i < 100 && !raw.closed; i++) await raw.send(flood);
  })();
  await until(() => at.server.connections().length === 0 && listCount > 0, "the handshake times out");
  // 130 KiB an answer: the bound, one above it, and what the socket took.
  expect(listCount).toBeLessThan(12);
  raw.close();
  await sending;
});

test("a client that never reads its answers is bounded and closed, while another is served", async () => {
  const disk = diskOf(64 * MIB);
  const clock = new RunningClock();
  await using at = serve(disk, { clock, limits: { ...QUICK, answerTimeoutMs: 400, sessionBytesMax: 2 * MIB } });
  const hoarder = await transmitting(at.path, "disk");
  hoarder.pause();
  const request = wire.request(0, 0, MIB);
  let announced = 0;
  const asking = (async () => {
    for (; announced < 2000 && !hoarder.closed; announced++) await hoarder.send(request);
  })();
  const client = await connectNbd({ kind: "unix", path: at.path }, "disk");
  await until(() => disk.disk.device.readCount > 1, "reads have begun");
  const start = clock.monotonic();
  for (let i = 0; i < 50; i++) await client.read(0, 65536);
  expect(clock.monotonic() - start).toBeLessThan(1_000_000);
  await until(
    () => at.events.some((event) => event.kind === "closed" && event.reason.includes("does not read")),
    "it is closed",
  );
  // Each read took 1 MiB: no more than the bound, one request above it, and what the socket took.
  expect(disk.disk.device.readCount).toBeLessThan(50 + 8);
  await client.close();
  hoarder.close();
  await asking;
});

test("requests in flight are bounded, and all of them are answered", async () => {
  const gate = Promise.withResolvers<void>();
  const device = new MemoryDevice(MIB, { delay: () => gate.promise });
  await using at = serve({ disk: { device } }, { limits: { requestsInFlightMax: 10 } });
  const raw = await transmitting(at.path, "disk");
  for (let i = 0; i < 100; i++)
    await raw.send(Buffer.concat([wire.request(1, i * 512, 512), new Uint8Array(512).fill(i)]));
  await until(() => device.pending === 10, "ten are in flight");
  const other = await connectNbd({ kind: "unix", path: at.path }, "disk");
  expect(device.writeCount).toBe(10);
  gate.resolve();
  for (let i = 0; i < 100; i++) expect(await takeSimple(raw)).toBe(0);
  for (let i = 0; i < 100; i++) expect(device.bytes[i * 512]).toBe(i);
  await other.close();
  raw.close();
});

test("a spent server budget slows the greedy, and lets a newcomer begin", async () => {
  const gate = Promise.withResolvers<void>();
  let hold = true;
  const device = new MemoryDevice(8 * MIB, { delay: () => (hold ? gate.promise : Promise.resolve()) });
  await using at = serve({ disk: { device } }, { limits: { serverBytesMax: MIB } });
  const greedy = await transmitting(at.path, "disk");
  for (let i = 0; i < 4; i++) await greedy.send(wire.request(0, 0, MIB));
  await until(() => device.pending === 1, "one read holds the budget");
  hold = false;
  const client = await connectNbd({ kind: "unix", path: at.path }, "disk");
  expect((await client.read(0, MIB)).length).toBe(MIB);
  expect(device.pending).toBe(1);
  gate.resolve();
  await greedy.take(4 * (16 + MIB));
  await client.close();
  greedy.close();
});

test("sessions above the maximum are closed at once, and places come back", async () => {
  await using at = serve(diskOf(), { limits: { sessionsMax: 3 } });
  const open = await Promise.all([greeted(at.path), greeted(at.path), greeted(at.path)]);
  const fourth = await RawSocket.connect(at.path);
  await fourth.closes();
  expect(fourth.received.length).toBe(0);
  open[0]!.close();
  await until(() => at.server.connections().length === 2, "a place is free");
  (await greeted(at.path)).close();
  for (const raw of open) raw.close();
});

test("a client that goes away at any byte of a session leaves no device open and no session behind", async () => {
  const devices: MemoryDevice[] = [];
  const exports = exportsOf({ disk: { device: new MemoryDevice(65536) } });
  exports.open = async () => {
    const device = new MemoryDevice(65536, { delay: () => Promise.resolve() });
    devices.push(device);
    return { readOnly: false, device, description: "" };
  };
  await using at = serve(exports);
  const script = Buffer.concat([
    wire.clientFlags(3),
    wire.option(8),
    wire.option(10, wire.meta("disk", ["base:allocation"])),
    wire.option(7, wire.name("disk", [1, 2, 3])),
    wire.request(1, 512, 512),
    new Uint8Array(512).fill(3),
    wire.request(0, 0, 4096),
    wire.request(7, 0, 65536),
    wire.request(3, 0, 0),
    wire.request(2, 0, 0),
  ]);
  // Every byte of the words; the middle of the payload in larger steps.
  const cuts = Array.from({ length: script.length }, (_, i) => i).filter(
    (i) => i < 200 || i % 16 === 0 || i > script.length - 150,
  );
  for (const cut of cuts) {
    const raw = await RawSocket.connect(at.path);
    await raw.send(script.subarray(0, cut));
    await until(
      () => at.server.connections().some(({ receivedBytes }) => receivedBytes === cut),
      `${cut} bytes arrive`,
    );
    raw.close();
    await until(() => at.server.connections().length === 0, "the session is gone");
  }
  await until(() => at.server.connections().length === 0, "all sessions are gone");
  await until(() => devices.every((device) => device.closeCount > 0), "all devices are closed");
  expect(devices.length).toBeGreaterThan(10);
  expect(devices.every((device) => device.closeCount === 1)).toBe(true);
  const client = await connectNbd({ kind: "unix", path: at.path }, "disk");
  expect((await client.read(0, 512)).length).toBe(512);
  await client.close();
});

test("fuzzed bytes in either phase never stop the server or leave a device open", async () => {
  const seed = Number(process.env["SEED"] ?? Date.now() % 2 ** 31);
  const random = seededRandom(seed);
  const disk = { device: new MemoryDevice(65536) };
  let opened = 0;
  let closed = 0;
  const exports = exportsOf({ disk });
  exports.open = async () => {
    opened++;
    const device = new MemoryDevice(65536);
    device.close = async () => void closed++;
    return { readOnly: false, device, description: "" };
  };
  await using at = serve(exports, { limits: { handshakeTimeoutMs: 2000, requestTimeoutMs: 2000 } });
  const good = Buffer.concat([
    wire.clientFlags(3),
    wire.option(8),
    wire.option(9, wire.meta("disk", [])),
    wire.option(6, wire.name("disk", [0, 1, 2, 3])),
    wire.option(7, wire.name("disk")),
    ...Array.from({ length: 20 }, (_, i) => wire.request([0, 3, 4, 5, 6, 7][i % 6]!, i * 512, 512)),
  ]);
  for (let round = 0; round < 150; round++) {
    const bytes = new Uint8Array(good);
    // Early rounds hit negotiation, later ones only the requests.
    const from = round % 2 === 0 ? 0 : good.length - 20 * 28;
    for (let i = 0; i < 1 + random.below(4); i++) bytes[from + random.below(bytes.length - from)] = random.below(256);
    const raw = await RawSocket.connect(at.path);
    let sent = 0;
    while (sent < bytes.length) {
      const size = 1 + random.below(200);
      await raw.send(bytes.subarray(sent, sent + size));
      sent += size;
    }
    raw.close();
  }
  for (let round = 0; round < 50; round++) {
    const raw = await transmitting(at.path, "disk", true);
    await raw.send(random.bytes(1 + random.below(2000)));
    raw.close();
  }
  await until(
    () => at.server.connections().length === 0 && opened === closed,
    `all is closed (seed ${seed}: ${opened} opened, ${closed} closed)`,
  );
  const client = await connectNbd({ kind: "unix", path: at.path }, "disk");
  await client.write(0, new Uint8Array(512));
  await client.close();
});

test("a device is closed only when the last request of a vanished client has ended", async () => {
  const gate = Promise.withResolvers<void>();
  const device = new MemoryDevice(MIB, { delay: () => gate.promise });
  await using at = serve({ disk: { device } });
  const raw = await transmitting(at.path, "disk", true);
  await raw.send(Buffer.concat([wire.request(1, 0, 512), new Uint8Array(512).fill(9), wire.request(0, 0, 65536)]));
  await until(() => device.pending === 2, "a write and a read are in the device");
  raw.close();
  await until(() => at.server.connections().length === 0, "the session is gone");
  expect(device.closeCount).toBe(0);
  gate.resolve();
  await until(() => device.closeCount === 1, "the device is closed");
  expect(device.pending).toBe(0);
  expect(device.bytes[0]).toBe(9);
});

test("an export that opens only after its client has gone is closed", async () => {
  const gate = Promise.withResolvers<void>();
  const device = new MemoryDevice(MIB);
  const exports = exportsOf({ disk: { device } });
  exports.open = async () => {
    await gate.promise;
    return { readOnly: false, device, description: "" };
  };
  await using at = serve(exports);
  const raw = await greeted(at.path);
  await raw.send(wire.option(7, wire.name("disk")));
  raw.close();
  await until(() => at.server.connections().length === 0, "the session is gone");
  expect(device.closeCount).toBe(0);
  gate.resolve();
  await until(() => device.closeCount === 1, "the device is closed");
});
