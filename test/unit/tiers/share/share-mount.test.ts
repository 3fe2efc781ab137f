/** A store in a process of its own on a real mount that hangs, vanishes, dies and comes back. */
import { afterAll, afterEach, beforeEach, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { publish } from "../../../../src/base/disk.ts";
import { realDisk } from "../../../../src/base/real-disk.ts";
import { ShareStore, STUCK_MAX } from "../../../../src/tiers/share/share-store.ts";
import { bytesSource } from "../../../../src/tiers/store.ts";
import { eventually, FUSE_TOOLS, FuseMount } from "../../../support/fuse-mount.ts";
import { describeWith } from "../../../support/require-tool.ts";
import { RunningClock } from "../../../support/running-clock.ts";
import { runWithStore } from "../../../support/share-processes.ts";
import { expectKind, expectSame, failure, listed, noise } from "../../../support/store-expectations.ts";

const MIB = 2 ** 20;
/** For places that hang for real. */
const HUNG_MS = 400;
/** The clock's pace while nothing is meant to hang: a process may take seconds to start on a busy machine. */
const PATIENT_PACE = 0.02;

const scratch = mkdtempSync(join(tmpdir(), "sternway-mount-"));
afterAll(() => rmSync(scratch, { recursive: true, force: true }));

const stores: ShareStore[] = [];
const clock = new RunningClock();
beforeEach(() => {
  clock.pace = PATIENT_PACE;
});
afterEach(async () => {
  // Closing waits for a process that may be stuck.
  clock.pace = 1;
  for (const store of stores.splice(0)) await store.close();
});

function open(dir: string): ShareStore {
  const store = new ShareStore({ dir, clock, timeLimitMs: HUNG_MS });
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
  /** @returns how many turns of the event loop, and writes to our own disk came to their end meanwhile; what waits for a stalled mount waits until it goes on */
  async function watched(work: () => Promise<void>): Promise<{ turns: number; writes: number }> {
    const dir = newDir();
    let isOver = false;
    let turns = 0;
    let writes = 0;
    const turning = async (): Promise<void> => {
      for (; !isOver; turns++) await Bun.sleep(5);
    };
    const writing = async (): Promise<void> => {
      for (; !isOver; writes++) await publish(realDisk, join(dir, "file"), [noise(1, 10_000)]);
    };
    const beside = Promise.all([turning(), writing()]);
    try {
      await work();
    } finally {
      isOver = true;
      await beside;
    }
    return { turns, writes };
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
      clock.pace = 1;
      const { turns, writes } = await watched(async () => {
        const start = clock.monotonic();
        const ends = await Promise.all([
          failure(store.get("packs/1")),
          failure(store.put("packs/2", bytesSource(noise(2, 5 * MIB)))),
          failure(listed(store, "")),
          ...Array.from({ length: 20 }, (_, i) => failure(store.stat(`packs/${i}`))),
        ]);
        for (const end of ends) expect(end).toHaveProperty("kind", "unavailable");
        for (let i = 0; i < 3; i++) await expectKind(store.connect("v"), "unavailable");
        expect(clock.monotonic() - start).toBeLessThan(2 * 4 * HUNG_MS * 1000);
      });
      expect(turns).toBeGreaterThan(50);
      expect(writes).toBeGreaterThan(2);
      clock.pace = PATIENT_PACE;
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
    clock.pace = 1;
    try {
      await expectKind(store.put("packs/2", bytesSource(noise(2, 3 * MIB))), "unavailable");
      for (let i = 0; i < 20 && store.stuckCount < STUCK_MAX; i++) {
        await expectKind(store.connect("v"), "unavailable");
        // A process that was ended before it came to touch the place is not stuck: the next has longer to come there.
        clock.pace *= 0.8;
      }
      expect(store.stuckCount).toBe(STUCK_MAX);
      clock.pace = 1;
      const start = clock.monotonic();
      for (const call of [() => store.connect("v"), () => store.identify(), () => store.stat("packs/1")]) {
        expect(await failure(call())).toMatchObject({
          kind: "unavailable",
          message: expect.stringContaining("bring its server back"),
        });
      }
      expect(clock.monotonic() - start).toBeLessThan(HUNG_MS * 1000);
      // A command must come to its end, whatever becomes of the process that it leaves.
      const command = runWithStore(
        inner.dir,
        HUNG_MS,
        `console.log(await store.identify().catch((error) => error.kind));`,
      );
      expect(await command.stdout.text()).toBe("unavailable\n");
      expect(await command.exited).toBe(0);
    } finally {
      clock.pace = PATIENT_PACE;
      outer.resume();
    }
    await eventually("they are gone", () => store.stuckCount === 0);
    await store.connect("v");
    await expectSame(store.get("packs/1"), noise(1, MIB));
  });
});
