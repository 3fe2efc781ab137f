/** Machines on real vaults in a simulated world: two of them, as one appliance has them. */
import { Database } from "bun:sqlite";
import { afterAll, expect, test } from "bun:test";
import { drizzle } from "drizzle-orm/bun-sqlite";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { MachineDesk } from "../../../src/automation/machine-desk.ts";
import { scheduledBookmark } from "../../../src/automation/scheduled-bookmark.ts";
import { referenceOf } from "../../../src/automation/volume-reference.ts";
import { ScriptFolder } from "../../../src/automation/script-folder.ts";
import { SternwayError } from "../../../src/base/errors.ts";
import type { StoredBookmarkTask } from "../../../src/catalog/catalog.ts";
import { frozenTable } from "../../../src/catalog/frozen.ts";
import { machineTable } from "../../../src/catalog/machines.ts";
import { migrate } from "../../../src/catalog/migrations.ts";
import { createLog } from "../../../src/observe/log.ts";
import { openVolumes } from "../../../src/volume/volume-set.ts";
import { volumesOf } from "../../../src/volume/vault-volumes.ts";
import type { Volumes } from "../../../src/volume/volumes.ts";
import { inWorld, type World } from "../../support/world.ts";

const MIB = 2 ** 20;
const log = createLog({ level: "error", format: "json", write: () => undefined });
const scripts = mkdtempSync(join(tmpdir(), "sternway-machines-"));
afterAll(() => rmSync(scripts, { recursive: true, force: true }));

interface Bed extends World {
  volumes: Volumes;
  desk: MachineDesk;
  /** Volumes of vault `other`, to close it or break it. */
  closeOther(): void;
  put(volume: string, value: number): Promise<void>;
  byte(volume: string, at?: { lsn: number }): Promise<number>;
  /** Makes the next call of a method on a volume fail. */
  breaks(method: "rollback" | "bookmark" | "branch", volume: string): void;
}

function bed(story: (bed: Bed) => Promise<void>): Promise<void> {
  return inWorld(1, async (world) => {
    const first = await world.open({ dir: "/data/default" });
    const second = await world.open({ dir: "/data/other" });
    const other = await openVolumes(second.vault, world.sim.clock, "other");
    let isOpen = true;
    const home = (name: string, own: Volumes) => ({
      name,
      get volumes() {
        return name === "other" && !isOpen ? undefined : own;
      },
      holds: (volume: string) => own.list().some((info) => info.name === volume),
      closedError: () => new SternwayError("unavailable", `vault ${name} is closed`),
      readers: 0,
    });
    const homes = [home("default", first.volumes), home("other", other)];
    const inner = volumesOf({ all: () => homes, reserve: async () => {}, settle: async () => {} });
    let broken: string | undefined;
    const volumes = new Proxy(inner, {
      get(target, key) {
        const value = Reflect.get(target, key, target) as unknown;
        if (typeof value !== "function") return value;
        return (...args: unknown[]) => {
          if (broken === `${String(key)} ${String(args[0])}`) {
            broken = undefined;
            return Promise.reject(new SternwayError("unavailable", "the disk is full"));
          }
          return (value as (...given: unknown[]) => unknown).apply(target, args);
        };
      },
    });
    const database = new Database(":memory:", { strict: true, safeIntegers: true });
    migrate(database);
    const desk = new MachineDesk({
      volumes,
      table: machineTable(
        drizzle(database),
        (work) => work(),
        (work) => work(),
      ),
      frozen: frozenTable(
        drizzle(database),
        (work) => work(),
        (work) => work(),
      ),
      folder: new ScriptFolder({ dir: scripts }),
      clock: world.sim.clock,
      log,
      tell: () => undefined,
      stopping: new AbortController().signal,
    });
    await volumes.create("a", MIB);
    await volumes.create("b", MIB);
    await volumes.create("c", MIB, { vault: "other" });
    await volumes.create("loose", MIB);
    desk.add({ name: "web", description: "", volumes: ["a", "b", "c"], scripts: null });
    await story({
      ...world,
      volumes,
      desk,
      closeOther: () => void (isOpen = false),
      breaks: (method, volume) => void (broken = `${method} ${volume}`),
      async put(volume, value) {
        const device = await volumes.openLive(volume);
        await device.write(0, new Uint8Array(4096).fill(value), false);
        await device.close();
      },
      async byte(volume, at) {
        const moment = at ? ({ kind: "lsn", lsn: at.lsn as never } as const) : ({ kind: "now" } as const);
        const device = await volumes.openAt(volume, moment);
        const bytes = await device.read(0, 4096);
        await device.close();
        return bytes[0]!;
      },
    });
  });
}

const bytesOf = (bed: Bed): Promise<number[]> => Promise.all(["a", "b", "c"].map((name) => bed.byte(name)));
async function putAll(on: Bed, value: number): Promise<void> {
  for (const name of ["a", "b", "c"]) await on.put(name, value);
}

test("a bookmark is one LSN in each vault, and holds of every volume what was written before it", () =>
  bed(async (on) => {
    await putAll(on, 1);
    const making = on.desk.bookmark("web", { name: "before" });
    const writing = putAll(on, 2);
    const { result } = await making;
    await writing;
    expect(result.isOne).toBe(true);
    const lsns = Object.fromEntries(result.volumes.map(({ volume, bookmark }) => [volume, bookmark.lsn]));
    expect(lsns["a"]).toBe(lsns["b"]!);
    for (const name of ["a", "b", "c"]) expect(await on.byte(name, { lsn: lsns[name]! })).toBe(1);
    expect(on.desk.bookmarks("web")).toMatchObject([{ name: "before", isOne: true }]);
    expect(result.volumes.map(({ bookmark }) => bookmark.note)).toEqual(Array(3).fill("machine web"));
    await on.desk.removeBookmark("web", "before");
    expect(on.desk.bookmarks("web")).toEqual([]);
  }));

test("a bookmark that one volume cannot take is taken back from the others", () =>
  bed(async (on) => {
    on.breaks("bookmark", "c");
    await expect(on.desk.bookmark("web", { name: "x" })).rejects.toThrow("the disk is full");
    expect(["a", "b", "c"].flatMap((name) => on.volumes.bookmarks(name))).toEqual([]);
    await on.volumes.bookmark("b", "taken", { kind: "now" }, "");
    await expect(on.desk.bookmark("web", { name: "taken" })).rejects.toThrow("exists already on b");
    expect(on.volumes.bookmarks("a")).toEqual([]);
  }));

test("a rollback sets all volumes back, and its undo bookmark brings the state before it back", () =>
  bed(async (on) => {
    await putAll(on, 1);
    await on.desk.bookmark("web", { name: "good" });
    await putAll(on, 2);
    const done = await on.desk.rollback("web", "bookmark:good", {});
    expect(done.volumes.map(({ state }) => state)).toEqual(Array(3).fill("rolled-back"));
    expect(await bytesOf(on)).toEqual([1, 1, 1]);
    await on.desk.rollback("web", done.undo, {});
    expect(await bytesOf(on)).toEqual([2, 2, 2]);
  }));

test("a time is one moment over several vaults; an age counts once for all", () =>
  bed(async (on) => {
    await putAll(on, 1);
    await on.sim.clock.sleep(60_000);
    await putAll(on, 2);
    await on.sim.clock.sleep(1_000);
    expect((await on.desk.resolve("web", "-30s")).isOne).toBe(true);
    await on.desk.rollback("web", "-30s", {});
    expect(await bytesOf(on)).toEqual([1, 1, 1]);
    await expect(on.desk.resolve("web", "lsn:5")).rejects.toThrow(/belongs to one vault/);
    expect(on.desk.change("web", { volumes: ["a", "b"] }).volumes.map(({ name }) => name)).toEqual(["a", "b"]);
    expect((await on.desk.resolve("web", "lsn:5")).volumes.map(({ moment }) => moment.lsn as number)).toEqual([5, 5]);
  }));

test("a rollback that fails in the middle says of each volume what it is, and how to undo it", () =>
  bed(async (on) => {
    await putAll(on, 1);
    await on.desk.bookmark("web", { name: "good" });
    await putAll(on, 2);
    on.breaks("rollback", "b");
    const done = await on.desk.rollback("web", "bookmark:good", {});
    expect(done.volumes.map(({ volume, state, error }) => [volume, state, error])).toEqual([
      ["a", "rolled-back", undefined],
      ["b", "failed", "the disk is full"],
      ["c", "untouched", undefined],
    ]);
    expect(await bytesOf(on)).toEqual([1, 2, 2]);
    await on.volumes.rollback("a", { kind: "lsn", lsn: done.volumes[0]!.undoLsn });
    expect(await bytesOf(on)).toEqual([2, 2, 2]);
  }));

test("a rollback changes nothing when a volume lacks the moment, or a client is attached without force", () =>
  bed(async (on) => {
    await putAll(on, 1);
    await on.volumes.bookmark("a", "good", { kind: "now" }, "");
    await expect(on.desk.rollback("web", "bookmark:good", {})).rejects.toThrow(/has no bookmark good/);
    const device = await on.volumes.openLive("c");
    await expect(on.desk.rollback("web", "now", {})).rejects.toThrow("clients are attached to c");
    expect(on.volumes.bookmarks("b")).toEqual([]);
    const forced = await on.desk.rollback("web", "now", { force: true });
    expect(forced.volumes.every(({ state }) => state === "rolled-back")).toBe(true);
    await device.close();
  }));

test("bookmarks of one name that were made one by one are not one moment, unless that is asked for", () =>
  bed(async (on) => {
    for (const name of ["a", "b", "c"]) {
      await on.put(name, 1);
      await on.volumes.bookmark(name, "each", { kind: "now" }, "");
    }
    expect(on.desk.bookmarks("web")).toMatchObject([{ name: "each", isOne: false }]);
    await expect(on.desk.rollback("web", "bookmark:each", {})).rejects.toThrow(/not at one moment: a at lsn/);
    await putAll(on, 2);
    await on.desk.rollback("web", "bookmark:each", { approximate: true });
    expect(await bytesOf(on)).toEqual([1, 1, 1]);
  }));

test("branches are made of all volumes or of none", () =>
  bed(async (on) => {
    await putAll(on, 1);
    const made = await on.desk.branch("web", "now", { suffix: "-trial" });
    expect(made.map(({ name, vault }) => [name, vault])).toEqual([
      ["a-trial", "default"],
      ["b-trial", "default"],
      ["c-trial", "other"],
    ]);
    expect(await on.byte("c-trial")).toBe(1);
    on.breaks("branch", "c");
    await expect(on.desk.branch("web", "now", { prefix: "x-" })).rejects.toThrow("the disk is full");
    await expect(on.desk.branch("web", "now", { suffix: "-trial" })).rejects.toThrow(
      "there is a volume a-trial already",
    );
    await expect(on.desk.branch("web", "now", { suffix: "/.." })).rejects.toThrow(/is not a name/);
    await expect(on.desk.branch("web", "now", { suffix: "y".repeat(64) })).rejects.toThrow(/is not a name/);
    expect(
      on.volumes
        .list()
        .map(({ name }) => name)
        .sort(),
    ).toEqual(["a", "a-trial", "b", "b-trial", "c", "c-trial", "loose"]);
  }));

test("a volume belongs to one machine at most", () =>
  bed(async ({ desk }) => {
    expect(() => desk.add({ name: "db", description: "", volumes: ["loose", "b"], scripts: null })).toThrow(
      "volume b belongs to machine web already",
    );
    expect(desk.list().map(({ name }) => name)).toEqual(["web"]);
    desk.add({ name: "db", description: "", volumes: ["loose"], scripts: null });
    expect(() => desk.change("db", { volumes: ["loose", "c"] })).toThrow("belongs to machine web");
    expect(["a", "loose", "nobody's"].map((name) => desk.machineOf(name))).toEqual(["web", "db", undefined]);
    desk.remove("web");
    expect(desk.change("db", { volumes: ["loose", "c"] }).volumes.map(({ name }) => name)).toEqual(["loose", "c"]);
  }));

test("a machine with a volume of an encrypted vault, or of a closed one, is known as a secret of that vault", () =>
  bed(async (on) => {
    const naming = (volume: string): string | undefined => (volume === "c" ? "other" : undefined);
    on.desk.add({ name: "plain", description: "", volumes: ["loose"], scripts: null });
    const secret = (machine: string) => on.desk.secretVaultOf(machine, naming, (vault) => vault === "default");
    expect(["web", "plain", "c"].map(secret)).toEqual(["other", undefined, undefined]);
    on.closeOther();
    expect(["web", "plain"].map(secret)).toEqual(["other", undefined]);
    // A volume that is gone from a plain vault makes no secret of its machine.
    await on.volumes.delete("loose");
    expect(secret("plain")).toBeUndefined();
    expect(on.desk.secretVaultOf("plain", naming, () => false)).toBe("default");
  }));

test("volumes that cannot be had are named, and nothing is done by halves; one made anew under the name is another", () =>
  bed(async (on) => {
    await on.volumes.delete("b");
    await on.volumes.create("b", MIB);
    expect(on.desk.get("web").missing).toMatchObject([
      { vault: "default", reason: "it was deleted from vault default" },
    ]);
    on.closeOther();
    expect(on.desk.get("web").missing.map(({ reason }) => reason)[1]).toContain("vault other is closed");
    for (const work of [
      () => on.desk.bookmark("web", { name: "x" }),
      () => on.desk.rollback("web", "now", {}),
      () => on.desk.branch("web", "now", { suffix: "-x" }),
    ]) {
      await expect(work()).rejects.toThrow(/cannot be had/);
    }
    expect(on.volumes.bookmarks("a")).toEqual([]);
  }));

test("a scheduled bookmark keeps as many of its own as it is told, and touches no others", () =>
  bed(async (on) => {
    await on.desk.bookmark("web", { name: "mine", note: "[schedule nightly 00000000]" });
    const run = async (task: StoredBookmarkTask, key: string): Promise<string> => {
      await on.sim.clock.sleep(1_000);
      const { signal } = new AbortController();
      const now = on.sim.clock.wall();
      return await scheduledBookmark({ name: "nightly", key }, task, {
        volumes: on.volumes,
        machines: on.desk,
        now,
        signal,
      });
    };
    for (let i = 0; i < 5; i++) await run({ kind: "bookmark", machine: "web", keep: 2 }, "11111111");
    // Of an earlier schedule of the same name, such as one that went with a lost catalog.
    await run({ kind: "bookmark", machine: "web", keep: 1 }, "22222222");
    const names = on.desk.bookmarks("web").map(({ name }) => name);
    expect(names.map((name) => name.replace(/-\d{8}T\d{6}Z/, "-TIME"))).toEqual([
      "mine",
      "nightly-TIME",
      "nightly-TIME",
      "nightly-TIME",
    ]);
    const volume = referenceOf(on.volumes.get("loose"));
    const text = await run({ kind: "bookmark", volume, prefix: "hourly", keep: 1 }, "33333333");
    expect(text).toStartWith("bookmark hourly-2026");
    expect(on.volumes.bookmarks("loose")).toHaveLength(1);
    await on.volumes.delete("loose");
    await expect(run({ kind: "bookmark", volume }, "33333333")).rejects.toThrow(/was deleted from vault default/);
  }));

test("what a lock protects stays, and goes after a later run", () =>
  bed(async (on) => {
    const volume = referenceOf(on.volumes.get("loose"));
    const run = async (): Promise<string> => {
      await on.sim.clock.sleep(1_000);
      const given = {
        volumes: on.volumes,
        machines: on.desk,
        now: on.sim.clock.wall(),
        signal: new AbortController().signal,
      };
      return await scheduledBookmark({ name: "s", key: "k" }, { kind: "bookmark", volume, keep: 1 }, given);
    };
    await on.volumes.setLock("loose", 3_600e6);
    await run();
    expect(await run()).toContain("these stay longer: s-");
    expect(on.volumes.bookmarks("loose")).toHaveLength(2);
  }));
