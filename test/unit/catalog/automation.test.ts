import { Database } from "bun:sqlite";
import { afterEach, beforeEach, expect, test } from "bun:test";
import { getTableConfig } from "drizzle-orm/sqlite-core";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { systemClock, type Clock } from "../../../src/base/clock.ts";
import { realDisk } from "../../../src/base/real-disk.ts";
import { micros } from "../../../src/base/units.ts";
import { openCatalog, type Catalog, type Schedule } from "../../../src/catalog/catalog.ts";
import { migrate } from "../../../src/catalog/migrations.ts";
import { frozen, machines, machineVolumes, scheduleRuns, schedules } from "../../../src/catalog/schema.ts";

const NOW = micros(1_795_000_000_123_456);
const clock: Clock = { ...systemClock, wall: () => NOW };
const VOLUME = { vault: "default", createdLsn: 7, createdAt: NOW };
const MACHINE = { name: "web", description: "", createdAt: NOW, scripts: null, volumes: [VOLUME] };
const SCHEDULE: Schedule = {
  name: "nightly",
  key: "1a2b3c4d",
  description: "",
  task: { kind: "bookmark", volume: VOLUME, keep: 3 },
  timing: { kind: "calendar", expression: "daily", timeZone: "UTC", jitterSeconds: 60 },
  missed: "skip",
  state: "active",
  createdAt: NOW,
  handledAt: NOW,
};
let dir: string;
let catalog: Catalog;
const open = async (): Promise<Catalog> => (catalog = await openCatalog({ disk: realDisk, dir, clock }));
beforeEach(async () => {
  dir = mkdtempSync(join(tmpdir(), "sternway-automation-"));
  await open();
});
afterEach(() => {
  catalog.close();
  rmSync(dir, { recursive: true, force: true });
});

test("the migrations make exactly the tables that the schema knows", () => {
  const database = new Database(":memory:");
  migrate(database);
  for (const table of [machines, machineVolumes, schedules, scheduleRuns, frozen]) {
    const { name, columns, indexes } = getTableConfig(table);
    const found = database
      .query<{ name: string; type: string; notnull: number; pk: number }, []>(`PRAGMA table_info(${name})`)
      .all();
    expect(found.map((c) => [c.name, c.type.toLowerCase(), c.notnull === 1, c.pk === 1])).toEqual(
      columns.map((c) => [c.name, c.getSQLType(), c.notNull, c.primary]),
    );
    const made = database.query<{ name: string; unique: number }, []>(`PRAGMA index_list(${name})`).all();
    const own = made.filter((each) => !each.name.startsWith("sqlite_")).map((each) => [each.name, each.unique === 1]);
    expect(own).toEqual(indexes.map(({ config }) => [config.name, config.unique]));
  }
});

test("machines and schedules are kept over a restart, to the microsecond", async () => {
  catalog.machines.add({ ...MACHINE, scripts: { pre: "p", timeoutSeconds: 9, ifPreFails: "crash-consistent" } });
  catalog.schedules.add(SCHEDULE);
  const [machine] = catalog.machines.list();
  catalog.close();
  await open();
  expect(catalog.machines.list()).toEqual([machine!]);
  expect(machine).toMatchObject({ volumes: [VOLUME], scripts: { pre: "p" } });
  expect(catalog.schedules.list()).toEqual([SCHEDULE]);
});

test("a run that was under way when the appliance ended is interrupted", async () => {
  catalog.schedules.add(SCHEDULE);
  const run = {
    schedule: "nightly",
    dueAt: NOW,
    startedAt: NOW,
    finishedAt: null,
    outcome: "running" as const,
    job: 3,
  };
  const id = catalog.schedules.addRun(run);
  catalog.close();
  await open();
  expect(catalog.schedules.runs("nightly")).toEqual([{ ...run, id, outcome: "interrupted", finishedAt: NOW }]);
});

test("a volume is in one machine at most, and a refused change leaves everything as it was", () => {
  catalog.machines.add(MACHINE);
  const other = { ...VOLUME, createdLsn: 8 };
  expect(() => catalog.machines.add({ ...MACHINE, name: "db" })).toThrow("belongs to machine web already");
  expect(() => catalog.machines.add({ ...MACHINE, volumes: [other] })).toThrow("there is a machine web already");
  catalog.machines.add({ ...MACHINE, name: "db", volumes: [other] });
  expect(() => catalog.machines.change("db", { description: "new", volumes: [other, VOLUME] })).toThrow("machine web");
  expect(catalog.machines.list().map(({ name, description, volumes }) => [name, description, volumes])).toEqual([
    ["db", "", [other]],
    ["web", "", [VOLUME]],
  ]);
  catalog.machines.change("web", { volumes: [{ ...VOLUME, vault: "elsewhere" }] });
  catalog.machines.change("db", { volumes: [VOLUME, other] });
  expect(catalog.machines.list()[0]!.volumes).toEqual([VOLUME, other]);
  catalog.machines.remove("db");
  expect(() => catalog.machines.remove("db")).toThrow("there is no machine db");
  expect(() => catalog.machines.change("db", {})).toThrow("there is no machine db");
});

test("schedules are refused twice, and unknown ones are not found", () => {
  catalog.schedules.add(SCHEDULE);
  expect(() => catalog.schedules.add(SCHEDULE)).toThrow("there is a schedule nightly already");
  catalog.schedules.change("nightly", { state: "paused", handledAt: micros(NOW + 1) });
  expect(catalog.schedules.list()).toMatchObject([{ state: "paused", handledAt: NOW + 1 }]);
  expect(() => catalog.schedules.change("x", {})).toThrow("there is no schedule x");
  expect(() => catalog.schedules.remove("x")).toThrow("there is no schedule x");
});
