/** Who is at the other end of a unix socket, as the kernel says it, and what a server and credentials make of that. */
import { expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { systemClock, type Clock } from "../../src/base/clock.ts";
import { knowsPeers } from "../../src/base/descriptor.ts";
import { realDisk } from "../../src/base/real-disk.ts";
import { micros } from "../../src/base/units.ts";
import { openCatalog } from "../../src/catalog/catalog.ts";
import { endExpired, grantedExports } from "../../src/daemon/granted-exports.ts";
import { connectNbd } from "../../src/nbd/client.ts";
import type { NbdPeer } from "../../src/nbd/server.ts";
import { MemoryDevice } from "../support/memory-device.ts";
import { exportsOf, RawSocket, serve, until } from "../support/nbd-harness.ts";

const MIB = 2 ** 20;
/** As many as the server lets in at a time. */
const STRANGERS = 16;

test.skipIf(!knowsPeers)("a client on a unix socket is known by its user, group and process", async () => {
  await using bed = serve({ disk: { device: new MemoryDevice(MIB) } });
  const client = await RawSocket.connect(bed.path);
  await client.take(18);
  expect(bed.server.connections().map(({ peer }) => peer.process)).toEqual([
    { pid: process.pid, uid: process.getuid!(), gid: process.getgid!() },
  ]);
  client.close();
});

test("a client over TCP is no process of this machine", async () => {
  await using bed = serve({}, { listen: { kind: "tcp", host: "127.0.0.1", port: 0 } });
  const { address } = bed.server;
  const { port } = address as { port: number };
  const client = await Bun.connect({ hostname: "127.0.0.1", port, socket: { data() {} } });
  await until(() => bed.server.connections().length === 1, "the connection");
  expect(bed.server.connections()[0]?.peer).not.toHaveProperty("process");
  client.end();
});

test("clients without rights leave room for the others, and for the next of their own kind", async () => {
  let isStranger = true;
  await using bed = serve({ disk: { device: new MemoryDevice(MIB) } }, { isStranger: (_peer: NbdPeer) => isStranger });
  const strangers = await Promise.all(Array.from({ length: STRANGERS }, () => RawSocket.connect(bed.path)));
  await Promise.all(strangers.map((each) => each.take(18)));
  const oneMore = await RawSocket.connect(bed.path);
  await until(() => oneMore.closed, "the end of one stranger too many");
  expect(oneMore.received.length).toBe(0);
  expect(bed.events.filter(({ kind }) => kind === "refused")).toMatchObject([
    { reason: `${STRANGERS} sessions of clients without rights are open` },
  ]);
  isStranger = false;
  const known = await RawSocket.connect(bed.path);
  await known.take(18);
  isStranger = true;
  strangers.pop()!.close();
  await until(() => bed.server.connections().length === STRANGERS, "one stranger less");
  const next = await RawSocket.connect(bed.path);
  await next.take(18);
  for (const each of [...strangers, known, next]) each.close();
});

test.skipIf(!knowsPeers)(
  "a credential that expires ends the running session of its user, and opens nothing more",
  async () => {
    const dir = mkdtempSync(join(tmpdir(), "nbd-peers-"));
    const catalog = await openCatalog({ disk: realDisk, dir, clock: systemClock });
    let now = 0;
    const expiresAt = 1000;
    catalog.credentials.add({
      machine: "shop",
      name: "vms",
      uid: process.getuid!(),
      user: "vms",
      readOnly: false,
      createdBy: "root",
      createdAt: micros(0),
      expiresAt: micros(expiresAt),
    });
    const granted = grantedExports(exportsOf({ disk: { device: new MemoryDevice(MIB) } }), {
      credentials: catalog.credentials,
      users: { isOwner: () => false, isAmbiguous: () => false },
      machineOf: () => "shop",
      owners: () => new Map([["disk", "shop"]]),
      now: () => micros(now),
      onRefused() {},
    });
    // Its wall clock is the test's, and its timers do not make the test wait.
    const clock: Clock = {
      ...systemClock,
      wall: () => micros(now),
      timer: (delayMs, fire) => systemClock.timer(Math.min(delayMs, 5), fire),
    };
    const bed = serve(granted, { isStranger: (peer) => granted.isStranger(peer) });
    const watch = endExpired(clock, [bed.server], granted);
    try {
      const client = await connectNbd({ kind: "unix", path: bed.path }, "disk");
      now = expiresAt - 1;
      expect((await client.read(0, 512)).length).toBe(512);
      now = expiresAt;
      await until(() => bed.events.some((event) => event.kind === "closed"), "the end of the session");
      expect(bed.events.at(-1)).toMatchObject({ kind: "closed", reason: "its credential has expired" });
      await expect(client.read(0, 512)).rejects.toMatchObject({ kind: "unavailable" });
      await client.close();
      await expect(connectNbd({ kind: "unix", path: bed.path }, "disk")).rejects.toThrow();
    } finally {
      watch.stop();
      await bed[Symbol.asyncDispose]();
      catalog.close();
      rmSync(dir, { recursive: true, force: true });
    }
  },
);
