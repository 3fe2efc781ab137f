import { describe, expect, test } from "bun:test";
import type { Disk } from "../../../../src/base/disk.ts";
import { diskError } from "../../../../src/base/disk-errors.ts";
import { isSternwayError } from "../../../../src/base/errors.ts";
import { seededRandom } from "../../../../src/base/random.ts";
import { SimulatedDisk } from "../../../../src/base/simulated-disk.ts";
import { Simulation } from "../../../../src/base/simulation.ts";
import { DirectoryStore } from "../../../../src/tiers/directory/directory-store.ts";
import { bytesSource, type ObjectSource, type ObjectStore } from "../../../../src/tiers/store.ts";
import { forSeeds } from "../../../support/seeds.ts";
import { expectKind, expectSame, failure, listed, noise, numbered } from "../../../support/store-expectations.ts";

const DIR = "/mnt/tier";
const TEMPORARY = `${DIR}/.sternway-tmp`;
const HOUR_MS = 3_600_000;
const MIB = 2 ** 20;

interface World {
  simulation: Simulation;
  disk: SimulatedDisk;
  open(disk?: Disk): DirectoryStore;
  /** Attached to "v" and connected. */
  store: DirectoryStore;
}

/** Runs a body on a store over a simulated disk. */
async function inWorld(
  body: (world: World) => Promise<void>,
  prepare?: (disk: SimulatedDisk) => Promise<void>,
): Promise<void> {
  const simulation = new Simulation(11);
  const disk = new SimulatedDisk(simulation);
  const open = (on: Disk = disk): DirectoryStore =>
    new DirectoryStore({ disk: on, dir: DIR, clock: simulation.clock, random: simulation.random });
  await simulation.run(async () => {
    await disk.mkdir(DIR);
    await prepare?.(disk);
    const store = open();
    if (!prepare) {
      await store.attach("v");
      await store.connect("v");
    }
    await body({ simulation, disk, open, store });
  });
  expect(disk.openFileCount).toBe(0);
}

async function create(disk: Disk, path: string): Promise<void> {
  const file = await disk.open(path, "create");
  await file.close();
}

/** A disk with one call of another kind. */
const altered = (disk: Disk, changes: Partial<Disk>): Disk =>
  new Proxy(disk, {
    get(target, key) {
      const change: unknown = Reflect.get(changes, key);
      if (change !== undefined) return change;
      const own: unknown = Reflect.get(target, key);
      return typeof own === "function" ? (own as () => unknown).bind(target) : own;
    },
  });

describe("attach()", () => {
  test("refuses a directory that does not exist, and makes none", () =>
    inWorld(async ({ disk }) => {
      const simulated = { clock: new Simulation(1).clock, random: seededRandom(1) };
      const store = new DirectoryStore({ disk, dir: "/mnt/none", ...simulated });
      await expectKind(store.attach("v"), "invalid");
      await expectKind(store.connect("v"), "invalid");
      await expectKind(store.identify(), "invalid");
      expect(await disk.list("/mnt")).toEqual(["tier"]);
    }));

  test("refuses a directory that holds something else", () =>
    inWorld(
      async ({ store, disk }) => {
        expect(await failure(store.attach("v"))).toHaveProperty("message", expect.stringContaining("letters"));
        expect(await disk.list(DIR)).toEqual(["letters"]);
      },
      (disk) => disk.mkdir(`${DIR}/letters`),
    ));

  test("takes a fresh file system, and one where it was cut short before", () =>
    inWorld(
      async ({ store }) => {
        await store.attach("v");
        await store.connect("v");
      },
      async (disk) => {
        for (const name of ["lost+found", "probe", ".sternway-tmp"]) await disk.mkdir(`${DIR}/${name}`);
        await create(disk, `${DIR}/probe/conditions`);
      },
    ));

  test("refuses a file system without hard links, and leaves nothing there", () =>
    inWorld(
      async ({ open, disk }) => {
        const store = open(altered(disk, { link: (_, to) => Promise.reject(diskError("EPERM", "link", to)) }));
        const error = await failure(store.attach("v"));
        expect(isSternwayError(error, "invalid")).toBe(true);
        expect(error).toHaveProperty("message", expect.stringContaining("hard links"));
        expect(disk.paths()).toEqual([]);
      },
      () => Promise.resolve(),
    ));

  test("takes a directory written with a slash at its end", () =>
    inWorld(async ({ disk, simulation }) => {
      const store = new DirectoryStore({ disk, dir: `${DIR}/`, clock: simulation.clock, random: simulation.random });
      await store.connect("v");
      expect(await store.identify()).toBe("v");
    }));
});

describe("a mount that", () => {
  const work: [string, (store: ObjectStore) => Promise<unknown>][] = [
    ["put()", (store) => store.put("packs/2", bytesSource(noise(2, 10)))],
    ["put() with ifAbsent", (store) => store.put("packs/2", bytesSource(noise(2, 10)), { ifAbsent: true })],
    ["get()", (store) => store.get("packs/1")],
    ["stat()", (store) => store.stat("packs/1")],
    ["remove()", (store) => store.remove("packs/1")],
    ["list()", (store) => listed(store, "")],
  ];
  for (const [name, call] of work) {
    test(`vanished is no empty store to ${name}`, () =>
      inWorld(async ({ store, disk }) => {
        await store.put("packs/1", bytesSource(noise(1, 10)));
        await disk.rename(DIR, "/mnt/away");
        await disk.mkdir(DIR);
        await expectKind(call(store), "unavailable");
        await expectKind(store.connect("v"), "invalid");
        expect(await disk.list(DIR)).toEqual([]);
        await disk.rename("/mnt/away", DIR);
        await store.connect("v");
        await expectSame(store.get("packs/1"), noise(1, 10));
      }));

    test(`was replaced by another vault's is not taken for its own by ${name}`, () =>
      inWorld(async ({ store, disk, open }) => {
        await store.put("packs/1", bytesSource(noise(1, 10)));
        await disk.rename(DIR, "/mnt/away");
        await disk.mkdir(DIR);
        const other = open();
        await other.attach("w");
        await other.put("packs/3", bytesSource(noise(3, 10)));
        await expectKind(call(store), "unavailable");
        await expectKind(store.connect("v"), "invalid");
        expect(await listed(other, "")).toEqual([{ name: "packs/3", sizeBytes: 10 }]);
      }));
  }

  test("is another vault's now loses nothing to remove()", () =>
    inWorld(async ({ store, disk, open }) => {
      await disk.rename(DIR, "/mnt/away");
      await disk.mkdir(DIR);
      const other = open();
      await other.attach("w");
      await other.put("packs/1", bytesSource(noise(1, 10)));
      await expectKind(store.remove("packs/1"), "unavailable");
      await expectSame(other.get("packs/1"), noise(1, 10));
    }));

  test("vanishes before or while an object is written is not said to hold it", async () => {
    for (const operation of ["mkdir", "create", "source", "link"]) {
      await inWorld(async ({ disk, open }) => {
        let isGone = false;
        const vanish = async (at: string): Promise<void> => {
          if (at !== operation || isGone) return;
          isGone = true;
          await disk.rename(DIR, "/mnt/away");
          await disk.mkdir(TEMPORARY);
        };
        const store = open(
          altered(disk, {
            mkdir: async (dir) => {
              await vanish("mkdir");
              await disk.mkdir(dir);
            },
            open: async (path, mode) => {
              await vanish(mode);
              return await disk.open(path, mode);
            },
            link: async (from, to) => {
              await vanish("link");
              await disk.link(from, to);
            },
          }),
        );
        await store.connect("v");
        const source: ObjectSource = {
          sizeBytes: 3 * MIB,
          async read(offset, length) {
            await vanish("source");
            return numbered(offset, length);
          },
        };
        await expectKind(store.put("one", source, { ifAbsent: true }), "unavailable");
        expect(isGone).toBe(true);
        await expectKind(store.connect("v"), "invalid");
      });
    }
  });

  test("vanishes while an object is written gets nothing on the bare folder beneath", () =>
    inWorld(async ({ disk, store }) => {
      await store.put("one", bytesSource(noise(1, 1)));
      const source: ObjectSource = {
        sizeBytes: MIB,
        async read(offset, length) {
          await disk.rename(DIR, "/mnt/away");
          await disk.mkdir(DIR);
          return numbered(offset, length);
        },
      };
      await expectKind(store.put("tail/1/2/3", source), "unavailable");
      expect(await disk.list(DIR)).toEqual([]);
    }));

  test("is dead is invalid to connect(), and unavailable to the rest", () =>
    inWorld(async ({ disk, open }) => {
      let isDead = false;
      const dead = open(
        altered(disk, {
          open: (path, mode) => (isDead ? Promise.reject(diskError("ENOTCONN", "open", path)) : disk.open(path, mode)),
          sizeOf: (path) => (isDead ? Promise.reject(diskError("ENOTCONN", "sizeOf", path)) : disk.sizeOf(path)),
        }),
      );
      await dead.connect("v");
      isDead = true;
      await expectKind(dead.stat("a"), "unavailable");
      await expectKind(dead.put("a", bytesSource(noise(1, 1))), "unavailable");
      await expectKind(dead.connect("v"), "invalid");
    }));
});

describe("put()", () => {
  test("of a full disk is unavailable with ENOSPC, and gives the space back", () =>
    inWorld(async ({ store, disk }) => {
      await store.put("a", bytesSource(noise(1, 100)));
      const before = disk.usedBytes;
      disk.inject({ effect: "ENOSPC", operations: ["write"], skip: 1 });
      const error = await failure(
        store.put("a", { sizeBytes: 3 * MIB, read: (o, l) => Promise.resolve(numbered(o, l)) }),
      );
      expect(isSternwayError(error, "unavailable") && error.facts["code"]).toBe("ENOSPC");
      expect(disk.usedBytes).toBe(before);
      await expectSame(store.get("a"), noise(1, 100));
    }));

  test("fails when any of its syncs fails", async () => {
    for (const skip of [0, 1, 2]) {
      await inWorld(async ({ store, disk }) => {
        const fault = disk.inject({ effect: "EIO", operations: ["sync"], skip });
        const source: ObjectSource = { sizeBytes: 20 * MIB, read: (o, l) => Promise.resolve(numbered(o, l)) };
        await expectKind(store.put("a", source), "unavailable");
        expect(fault.hits).toBe(1);
        expect(await store.stat("a")).toBeUndefined();
      });
    }
  });

  test("onto a folder, or below an object, is invalid", () =>
    inWorld(async ({ store }) => {
      await store.put("packs/1", bytesSource(noise(1, 1)));
      await expectKind(store.put("packs", bytesSource(noise(1, 1))), "invalid");
      await expectKind(store.put("packs/1/2", bytesSource(noise(1, 1))), "invalid");
      await expectSame(store.get("packs/1"), noise(1, 1));
    }));

  test("makes folders again that somebody removed", () =>
    inWorld(async ({ store, disk }) => {
      await store.put("packs/1", bytesSource(noise(1, 1)));
      await disk.rename(`${DIR}/packs`, "/mnt/elsewhere");
      await expectKind(store.put("packs/2", bytesSource(noise(2, 1))), "unavailable");
      await store.put("packs/2", bytesSource(noise(2, 1)));
      await expectSame(store.get("packs/2"), noise(2, 1));
    }));

  test("says so when its source gives less than it was asked for", () =>
    inWorld(async ({ store }) => {
      await expectKind(store.put("a", { sizeBytes: 10, read: () => Promise.resolve(noise(1, 9)) }), "internal");
      expect(await store.stat("a")).toBeUndefined();
    }));
});

describe("temporary files", () => {
  const seconds = (simulation: Simulation): number => Math.floor(simulation.clock.wall() / 1e6);

  test("go at a connection when they are old, in either direction of time; young ones may be another appliance's", () =>
    inWorld(async ({ store, disk, simulation }) => {
      const now = seconds(simulation);
      for (const age of [10, 3500, 3700, -3700]) await create(disk, `${TEMPORARY}/${now - age}-aa`);
      await store.connect("v");
      expect(await disk.list(TEMPORARY)).toEqual([`${now - 3500}-aa`, `${now - 10}-aa`]);
      expect(await listed(store, "")).toEqual([]);
    }));

  test("of a crash go with a later put", () =>
    inWorld(async ({ store, disk, simulation }) => {
      await create(disk, `${TEMPORARY}/${seconds(simulation)}-aa`);
      await store.put("a", bytesSource(noise(1, 1)));
      expect(await disk.list(TEMPORARY)).toHaveLength(1);
      await simulation.clock.sleep(1.1 * HOUR_MS);
      await store.put("a", bytesSource(noise(1, 1)));
      expect(await disk.list(TEMPORARY)).toEqual([]);
    }));

  test("of puts under way are left alone by a connection", () =>
    inWorld(async ({ store, open }) => {
      const source: ObjectSource = {
        sizeBytes: 2 * MIB,
        async read(offset, length) {
          await open().connect("v");
          return numbered(offset, length);
        },
      };
      await store.put("a", source);
      await expectSame(store.get("a"), numbered(0, 2 * MIB));
    }));

  test("that cannot be removed keep nobody from reading", () =>
    inWorld(async ({ disk, open, store }) => {
      await store.put("a", bytesSource(noise(1, 5)));
      await create(disk, `${TEMPORARY}/1-aa`);
      const readOnly = open(altered(disk, { remove: (path) => Promise.reject(diskError("EROFS", "remove", path)) }));
      await readOnly.connect("v");
      await expectSame(readOnly.get("a"), noise(1, 5));
      await expectKind(readOnly.remove("a"), "denied");
    }));
});

describe("a crash at any point leaves each object whole, and those that were answered", () => {
  /** Puts, replaces, creates and removes for a while, pulls the plug, and looks. */
  async function crash(seed: number): Promise<void> {
    const simulation = new Simulation(seed);
    const order = seed % 2 === 0 ? "prefix" : "any-order";
    const disk = new SimulatedDisk(simulation, { directoryOrder: order });
    const random = seededRandom(seed ^ 0x77);
    /** What each object may hold: seeds of noise, undefined for none. The last one alone once it was answered. */
    const may = new Map<string, (number | undefined)[]>();
    const size = (value: number): number => (value * 7919) % (2 * MIB);
    let isAttached = false;
    await simulation.runFor(200 + random.below(1500), async () => {
      await disk.mkdir(DIR);
      await disk.syncDir("/mnt");
      await disk.syncDir("/");
      const store = new DirectoryStore({ disk, dir: DIR, clock: simulation.clock, random: simulation.random });
      await store.attach("v");
      isAttached = true;
      await store.connect("v");
      for (let step = 1; ; step++) {
        const name = `f${random.below(3)}/o${random.below(4)}`;
        const states = may.get(name) ?? [undefined];
        const isThere = states.at(-1) !== undefined;
        const isRemoval = isThere && random.below(3) === 0;
        const next = isRemoval ? undefined : step;
        may.set(name, [...states, next]);
        if (isRemoval) await store.remove(name);
        else await store.put(name, bytesSource(noise(step, size(step))), { ifAbsent: !isThere });
        may.set(name, [next]);
      }
    });
    const next = simulation.rebooted(seed);
    const after = disk.crashed(next);
    await next.run(async () => {
      const store = new DirectoryStore({ disk: after, dir: DIR, clock: next.clock, random: next.random });
      if (!isAttached) return;
      await store.connect("v");
      const found = new Map<string, number>();
      for (const { name } of await listed(store, "")) {
        const bytes = await store.get(name);
        const value = may
          .get(name)
          ?.find((each) => each !== undefined && Buffer.compare(bytes, noise(each, size(each))) === 0);
        if (value === undefined) throw new Error(`seed ${seed}: ${name} holds ${bytes.length} bytes that it must not`);
        found.set(name, value);
      }
      for (const [name, states] of may) {
        if (!states.includes(found.get(name))) throw new Error(`seed ${seed}: ${name} is gone`);
      }
    });
  }

  forSeeds("crash", 60, [], crash);
});
