/** A store in a process of its own on a real mount that hangs, vanishes, dies and comes back. */
import { afterAll, afterEach, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { systemClock } from "../../../../src/base/clock.ts";
import { publish } from "../../../../src/base/disk.ts";
import { realDisk } from "../../../../src/base/real-disk.ts";
import { ShareStore, STUCK_MAX } from "../../../../src/tiers/share/share-store.ts";
import { bytesSource } from "../../../../src/tiers/store.ts";
import { eventually, FUSE_TOOLS, FuseMount } from "../../../support/fuse-mount.ts";
import { describeWith } from "../../../support/require-tool.ts";
import { runWithStore } from "../../../support/share-processes.ts";
import { expectKind, expectSame, failure, listed, noise } from "../../../support/store-expectations.ts";

const MIB = 2 ** 20;
/** Real time, for places that hang for real. */
const HUNG_MS = 400;

const scratch = mkdtempSync(join(tmpdir(), "sternway-mount-"));
afterAll(() => rmSync(scratch, { recursive: true, force: true }));

const stores: ShareStore[] = [];
afterEach(async () => {
  for (const store of stores.splice(0)) await store.close();
});

function open(dir: string): ShareStore {
  const store = new ShareStore({ dir, clock: systemClock, timeLimitMs: HUNG_MS });
  stores.push(store);
  return store;
}

let count = 0;
function newDir(): string {
  const dir = join(scratch, `place-${count++}`);
  mkdirSync(dir);
  return dir;
}

describeWith(FUSE_TOOLS, "ShareStore on a mount", () => {
  /** @returns the longest that a turn of the event loop, and that an operation on our own disk took meanwhile */
  async function watched(work: () => Promise<void>): Promise<{ turnMs: number; diskMs: number }> {
    const dir = newDir();
    let isOver = false;
    let turnMs = 0;
    let diskMs = 0;
    const turns = async (): Promise<void> => {
      for (let last = performance.now(); !isOver;) {
        await Bun.sleep(5);
        const now = performance.now();
        turnMs = Math.max(turnMs, now - last);
        last = now;
      }
    };
    const writes = async (): Promise<void> => {
      while (!isOver) {
        const start = performance.now();
        await publish(realDisk, join(dir, "file"), [noise(1, 10_000)]);
        diskMs = Math.max(diskMs, performance.now() - start);
        await Bun.sleep(5);
      }
    };
    const beside = Promise.all([turns(), writes()]);
    try {
      await work();
    } finally {
      isOver = true;
      await beside;
    }
    return { turnMs, diskMs };
  }

  async function mounted(body: (mount: FuseMount, store: ShareStore, dir: string) => Promise<void>): Promise<void> {
    const folder = newDir();
    await using mount = await FuseMount.make(join(folder, "image"), join(folder, "mount"), 64 * MIB);
    const store = open(mount.dir);
    await store.attach("v");
    await store.connect("v");
    await store.put("packs/1", bytesSource(noise(1, 3 * MIB)));
    await body(mount, store, mount.dir);
  }

  test("that hangs fails calls within the limit, blocks nothing else, and works again when it answers", () =>
    mounted(async (mount, store) => {
      await mount.stall();
      const { turnMs, diskMs } = await watched(async () => {
        const start = performance.now();
        const ends = await Promise.all([
          failure(store.get("packs/1")),
          failure(store.put("packs/2", bytesSource(noise(2, 5 * MIB)))),
          failure(listed(store, "")),
          ...Array.from({ length: 20 }, (_, i) => failure(store.stat(`packs/${i}`))),
        ]);
        for (const end of ends) expect(end).toHaveProperty("kind", "unavailable");
        for (let i = 0; i < 3; i++) await expectKind(store.connect("v"), "unavailable");
        expect(performance.now() - start).toBeLessThan(4 * HUNG_MS + 3000);
      });
      expect(turnMs).toBeLessThan(500);
      expect(diskMs).toBeLessThan(1000);
      mount.resume();
      await store.connect("v");
      await expectSame(store.get("packs/1"), noise(1, 3 * MIB));
      await store.put("packs/2", bytesSource(noise(2, 5 * MIB)));
      await expectSame(store.get("packs/2"), noise(2, 5 * MIB));
    }));

  test("that is unmounted is no empty store, and works again when it is mounted", () =>
    mounted(async (mount, store, dir) => {
      await mount.unmount();
      await expectKind(store.stat("packs/1"), "unavailable");
      await expectKind(store.put("packs/2", bytesSource(noise(2, 10))), "unavailable");
      await expectKind(listed(store, ""), "unavailable");
      await expectKind(store.remove("packs/1"), "unavailable");
      await expectKind(store.connect("v"), "invalid");
      expect(readdirSync(dir)).toEqual([]);
      await mount.mount();
      await store.connect("v");
      await expectSame(store.get("packs/1"), noise(1, 3 * MIB));
    }));

  test("whose server died is invalid, and works again when it is mounted", () =>
    mounted(async (mount, store) => {
      await mount.die();
      await expectKind(store.get("packs/1"), "unavailable");
      await expectKind(store.put("packs/2", bytesSource(noise(2, 10))), "unavailable");
      expect(await failure(store.connect("v"))).toMatchObject({
        kind: "invalid",
        message: expect.stringContaining("dead"),
      });
      await mount.unmount();
      await mount.mount();
      await store.connect("v");
      await expectSame(store.get("packs/1"), noise(1, 3 * MIB));
    }));

  test("on a server that hangs in the middle of an answer holds four processes and no more, until it goes on", async () => {
    const folder = newDir();
    // The inner one's server has read its request when it comes to wait for the outer one: then not even SIGKILL ends who asked.
    await using outer = await FuseMount.make(join(folder, "image"), join(folder, "outer"), 128 * MIB);
    await using inner = await FuseMount.make(join(outer.dir, "image"), join(folder, "inner"), 32 * MIB);
    const store = open(inner.dir);
    await store.attach("v");
    await store.connect("v");
    await store.put("packs/1", bytesSource(noise(1, MIB)));
    await outer.stall();
    try {
      await expectKind(store.put("packs/2", bytesSource(noise(2, 3 * MIB))), "unavailable");
      for (let i = 0; i < 20 && store.stuckCount < STUCK_MAX; i++) await expectKind(store.connect("v"), "unavailable");
      expect(store.stuckCount).toBe(STUCK_MAX);
      const start = performance.now();
      for (const call of [store.connect("v"), store.identify(), store.stat("packs/1")]) {
        expect(await failure(call)).toMatchObject({
          kind: "unavailable",
          message: expect.stringContaining("bring its server back"),
        });
      }
      expect(performance.now() - start).toBeLessThan(HUNG_MS);
      // A command must come to its end, whatever becomes of the process that it leaves.
      const command = runWithStore(
        inner.dir,
        HUNG_MS,
        `console.log(await store.identify().catch((error) => error.kind));`,
      );
      expect(await command.stdout.text()).toBe("unavailable\n");
      expect(await command.exited).toBe(0);
    } finally {
      outer.resume();
    }
    await eventually("they are gone", () => store.stuckCount === 0);
    await store.connect("v");
    await expectSame(store.get("packs/1"), noise(1, MIB));
  });
});
