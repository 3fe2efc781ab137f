import { Database } from "bun:sqlite";
import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { getTableConfig } from "drizzle-orm/sqlite-core";
import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { systemClock, type Clock } from "../../../src/base/clock.ts";
import { realDisk } from "../../../src/base/real-disk.ts";
import { micros } from "../../../src/base/units.ts";
import { openCatalog, type Catalog, type Schedule } from "../../../src/catalog/catalog.ts";
import { catalogVersion, migrate, MIGRATIONS } from "../../../src/catalog/migrations.ts";
import { events, jobs } from "../../../src/catalog/schema.ts";

const NOW = micros(1_795_000_000_123_456);
const clock: Clock = { ...systemClock, wall: () => NOW };
const nightly: Schedule = {
  name: "nightly",
  key: "1a2b3c4d",
  description: "",
  task: { kind: "gc" },
  timing: { kind: "calendar", expression: "daily", timeZone: "UTC", jitterSeconds: 0 },
  missed: "run",
  state: "active",
  createdAt: NOW,
  handledAt: NOW,
};
let dir: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), "sternway-catalog-"));
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));
const open = (): Promise<Catalog> => openCatalog({ disk: realDisk, dir, clock });
const path = (): string => join(dir, "catalog.db");

describe("migrations", () => {
  test("make exactly the tables that the schema knows", () => {
    const database = new Database(":memory:");
    migrate(database);
    for (const table of [jobs, events]) {
      const { name, columns } = getTableConfig(table);
      const found = database
        .query<{ name: string; type: string; notnull: number; pk: number }, []>(`PRAGMA table_info(${name})`)
        .all();
      expect(found.map((c) => [c.name, c.type.toLowerCase(), c.notnull === 1, c.pk === 1])).toEqual(
        columns.map((c) => [c.name, c.getSQLType(), c.notNull, c.primary]),
      );
    }
    expect(catalogVersion(database)).toBe(MIGRATIONS.length);
  });

  test("run each step once, whole or not at all", () => {
    const database = new Database(":memory:");
    migrate(database);
    database.run("INSERT INTO events VALUES (1, 2, 'info', 'a', 'b', 'c')");
    migrate(database);
    const broken = [...MIGRATIONS, "CREATE TABLE half (id integer); CREATE TABLE broken (oops"];
    expect(() => migrate(database, broken)).toThrow();
    expect(catalogVersion(database)).toBe(MIGRATIONS.length);
    expect(database.query("SELECT name FROM sqlite_master WHERE name = 'half'").all()).toEqual([]);
    migrate(database, [...MIGRATIONS, "ALTER TABLE events ADD COLUMN more text"]);
    expect(database.query("SELECT more FROM events").all()).toEqual([{ more: null }]);
  });
});

describe("openCatalog()", () => {
  test("keeps jobs and events over a restart, to the microsecond", async () => {
    const first = await open();
    const id = first.startJob("check", "web1", "anna");
    first.progressJob(id, 0.25);
    expect(first.jobs({ limit: 5 })).toEqual([
      {
        id,
        kind: "check",
        subject: "web1",
        state: "running",
        progress: 0.25,
        startedAt: NOW,
        finishedAt: null,
        error: null,
        askedBy: "anna",
      },
    ]);
    expect(first.job(id)).toMatchObject({ id, progress: 0.25, askedBy: "anna" });
    expect(first.job(id + 1)).toBeUndefined();
    first.finishJob(id);
    const failed = first.startJob("rollback", "web2");
    first.finishJob(failed, "attached");
    const cancelled = first.startJob("gc", "default");
    first.finishJob(cancelled, "at the request of anna", "cancelled");
    first.addEvent({ level: "alert", kind: "damage", subject: "pack 1", message: "frame 2" });
    first.close();
    first.close();
    const second = await open();
    expect(second.inMemory).toBe(false);
    expect(second.jobs({ limit: 5 })).toMatchObject([
      { id: cancelled, state: "cancelled", error: "at the request of anna", askedBy: null },
      { id: failed, state: "failed", error: "attached", finishedAt: NOW },
      { id, state: "done", progress: 1, error: null },
    ]);
    expect(second.events({ limit: 5 })).toEqual([
      { id: 1, time: NOW, level: "alert", kind: "damage", subject: "pack 1", message: "frame 2" },
    ]);
    second.close();
  });

  test("pages newest first", async () => {
    const catalog = await open();
    for (let i = 1; i <= 5; i++) catalog.addEvent({ level: "info", kind: "k", subject: "s", message: `${i}` });
    expect(catalog.events({ limit: 2 }).map((event) => event.message)).toEqual(["5", "4"]);
    expect(catalog.events({ limit: 9, before: 4 }).map((event) => event.message)).toEqual(["3", "2", "1"]);
    catalog.close();
  });

  test("marks what ran when the appliance ended as interrupted", async () => {
    const first = await open();
    first.startJob("check", "vault");
    first.close();
    const second = await open();
    expect(second.jobs({ limit: 1 })).toMatchObject([{ state: "interrupted", finishedAt: NOW }]);
    second.close();
  });

  const damages: [what: string, damage: () => void][] = [
    ["rubbish", () => writeFileSync(path(), "this is not a database, it is a letter".repeat(200))],
    ["a torn half", () => truncateSync(path(), statSync(path()).size - 4096)],
    [
      "a page of zeroes",
      () => {
        const bytes = readFileSync(path());
        bytes.fill(0, 4096, 8192);
        writeFileSync(path(), bytes);
      },
    ],
    [
      "a newer version",
      () => {
        const database = new Database(path());
        database.run(`PRAGMA user_version = ${MIGRATIONS.length + 1}`);
        database.close();
      },
    ],
    [
      "a database without our tables",
      () => {
        rmSync(path());
        const database = new Database(path());
        database.run("CREATE TABLE events (x); ");
        database.close();
      },
    ],
  ];
  for (const [what, damage] of damages) {
    test(`sets ${what} aside and starts anew with an event that says so`, async () => {
      const first = await open();
      first.addEvent({ level: "info", kind: "old", subject: "s", message: "m" });
      first.close();
      damage();
      const second = await open();
      expect(second.inMemory).toBe(false);
      expect(second.events({ limit: 5 })).toMatchObject([{ kind: "catalog-lost", level: "alert" }]);
      second.close();
      expect(readdirSync(dir).some((name) => name.startsWith("catalog.db.set-aside-"))).toBe(true);
      const third = await open();
      expect(third.events({ limit: 5 })).toHaveLength(1);
      third.close();
    });
  }

  test("a file that cannot be used at the moment is neither renamed nor changed, and is there again at the next start", async () => {
    const first = await open();
    first.schedules.add(nightly);
    first.close();
    // As a full disk does: the file is whole, and nothing can be written beside it.
    rmSync(`${path()}-wal`, { force: true });
    mkdirSync(`${path()}-wal`);
    const second = await open();
    expect(second.inMemory).toBe(true);
    expect(second.events({ limit: 5 })).toMatchObject([{ kind: "catalog-lost", level: "alert" }]);
    expect(second.events({ limit: 1 })[0]!.message).toContain("left as it is");
    second.close();
    rmSync(`${path()}-wal`, { recursive: true });
    const third = await open();
    expect(third.inMemory).toBe(false);
    expect(third.schedules.list()).toEqual([nightly]);
    third.close();
    expect(readdirSync(dir).filter((name) => name.includes("set-aside"))).toEqual([]);
  });

  test("a disk that is full at the start costs what is written, and nothing that can be read", async () => {
    const first = await open();
    first.schedules.add(nightly);
    first.startJob("check", "vault");
    first.close();
    // What stands in for the full disk: every change of a row that the start puts right fails.
    const database = new Database(path());
    database.run(
      "CREATE TRIGGER full BEFORE UPDATE ON jobs BEGIN SELECT RAISE(ABORT, 'database or disk is full'); END",
    );
    database.close();
    const second = await open();
    expect([second.inMemory, second.schedules.list()]).toEqual([false, [nightly]]);
    expect(second.jobs({ limit: 1 })).toMatchObject([{ state: "running" }]);
    second.close();
  });

  for (let version = 1; version < MIGRATIONS.length; version++) {
    test(`takes over a catalog of version ${version} with what it holds`, async () => {
      const database = new Database(path(), { create: true });
      migrate(database, MIGRATIONS.slice(0, version));
      database.run("INSERT INTO events VALUES (7, 2, 'info', 'a', 'b', 'c')");
      database.run(
        "INSERT INTO jobs (id, kind, subject, state, progress, started_at) VALUES (9, 'check', 's', 'done', 1, 3)",
      );
      database.close();
      const catalog = await open();
      expect(catalog.inMemory).toBe(false);
      expect(catalog.events({ limit: 9 })).toMatchObject([{ id: 7, message: "c" }]);
      expect(catalog.jobs({ limit: 9 })).toMatchObject([{ id: 9, state: "done", askedBy: null }]);
      catalog.schedules.add(nightly);
      catalog.growth.add([]);
      expect(catalog.signals.alarms({ limit: 1 })).toEqual([]);
      catalog.close();
      expect(readdirSync(dir).filter((name) => name.includes("set-aside"))).toEqual([]);
    });
  }

  test("certificates of before users could have credentials go on to hold, and users may be added beside them", async () => {
    const before = MIGRATIONS.findIndex((step) => step.includes("new_credentials"));
    const database = new Database(path(), { create: true });
    migrate(database, MIGRATIONS.slice(0, before));
    database.run("INSERT INTO credentials VALUES (3, 'shop', 'host', 'aa', 0, 'ann', 5, 9000)");
    database.close();
    const catalog = await open();
    const common = { machine: "shop", readOnly: true, createdBy: "ann", createdAt: micros(6), expiresAt: micros(9000) };
    const of = { uid: 4_294_967_294, user: "vms" };
    for (const name of ["a", "b"]) catalog.credentials.add({ ...common, name, ...of });
    expect(() => catalog.credentials.add({ ...common, name: "c", fingerprint: "aa" })).toThrow();
    const certificate = { id: 3, name: "host", fingerprint: "aa", uid: null, user: null, readOnly: false };
    expect(catalog.credentials.byFingerprint("aa", micros(8999))).toMatchObject(certificate);
    const users = [
      { id: 4, name: "a", fingerprint: null, ...of },
      { id: 5, name: "b", fingerprint: null, ...of },
    ];
    expect(catalog.credentials.ofUser(of.uid)).toMatchObject(users);
    expect(catalog.credentials.ofMachine("shop")).toMatchObject([certificate, ...users]);
    catalog.close();
  });

  test("lives in memory when no file can be made, and says so", async () => {
    rmSync(dir, { recursive: true });
    const catalog = await open();
    expect(catalog.inMemory).toBe(true);
    const id = catalog.startJob("check", "vault");
    catalog.finishJob(id);
    expect(catalog.jobs({ limit: 1 })).toMatchObject([{ state: "done" }]);
    expect(catalog.events({ limit: 1 })).toMatchObject([{ kind: "catalog-lost" }]);
    catalog.close();
    mkdirSync(dir);
  });

  test("throws unavailable when used after close()", async () => {
    const catalog = await open();
    catalog.close();
    expect(() => catalog.addEvent({ level: "info", kind: "k", subject: "s", message: "m" })).toThrow(
      /catalog could not be used/,
    );
  });
});
