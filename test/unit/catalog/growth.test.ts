import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { Database } from "bun:sqlite";
import { drizzle } from "drizzle-orm/bun-sqlite";
import { getTableConfig } from "drizzle-orm/sqlite-core";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { systemClock } from "../../../src/base/clock.ts";
import { realDisk } from "../../../src/base/real-disk.ts";
import { micros } from "../../../src/base/units.ts";
import { openCatalog, type Catalog, type GrowthSample } from "../../../src/catalog/catalog.ts";
import { growthTable } from "../../../src/catalog/growth.ts";
import { migrate } from "../../../src/catalog/migrations.ts";
import { channels, deliveries, growth, rules, troubles } from "../../../src/catalog/schema.ts";

const HOUR = 3_600e6;
const DAY = 24 * HOUR;
const T0 = micros(Math.floor(1_795_000_000e6 / DAY) * DAY);
const EVER = { from: micros(0), to: micros(T0 + 10_000 * DAY) };

let dir: string;
let catalog: Catalog;
beforeEach(async () => {
  dir = mkdtempSync(join(tmpdir(), "sternway-growth-"));
  catalog = await openCatalog({ disk: realDisk, dir, clock: systemClock });
});
afterEach(() => {
  catalog.close();
  rmSync(dir, { recursive: true, force: true });
});

const NONE = { storedBytes: null, liveBytes: null, freeBytes: null, totalBytes: null, writtenBytes: null };
const vault = (after: number, change: Partial<GrowthSample>): GrowthSample => ({
  ...NONE,
  time: micros(T0 + after),
  kind: "vault",
  name: "default",
  ...change,
});
const volume = (after: number, writtenBytes: number): GrowthSample => ({
  ...vault(after, { writtenBytes }),
  kind: "volume",
  name: "web1",
});

test("the tables of notifications and growth are what the schema says", () => {
  const database = new Database(":memory:");
  migrate(database);
  for (const table of [channels, rules, troubles, deliveries, growth]) {
    const { name, columns } = getTableConfig(table);
    const found = database
      .query<{ name: string; type: string; notnull: number; pk: number }, []>(`PRAGMA table_info(${name})`)
      .all();
    expect(found.map((c) => [c.name, c.type.toLowerCase(), c.notnull === 1, c.pk === 1])).toEqual(
      columns.map((c) => [c.name, c.getSQLType(), c.notNull, c.primary]),
    );
  }
});

describe("samples of growth", () => {
  test("of one hour become one: the newest reading, and the sum of what was written", () => {
    catalog.growth.add([vault(0, { storedBytes: 1, freeBytes: 100, liveBytes: 7 }), volume(0, 10)]);
    catalog.growth.add([vault(HOUR / 2, { storedBytes: 2, freeBytes: 90 }), volume(HOUR / 2, 5)]);
    catalog.growth.add([vault(HOUR, { storedBytes: 3, freeBytes: 80 }), volume(HOUR, 1)]);
    const hours = catalog.growth.samples({ kind: "vault", rhythm: "hour", ...EVER });
    expect(hours).toMatchObject([
      { time: T0, storedBytes: 2, freeBytes: 90, liveBytes: 7 },
      { time: T0 + HOUR, storedBytes: 3, freeBytes: 80, liveBytes: null },
    ]);
    const written = (rhythm: "hour" | "day") =>
      catalog.growth.samples({ kind: "volume", rhythm, ...EVER }).map(({ writtenBytes }) => writtenBytes);
    expect(written("hour")).toEqual([15, 1]);
    expect(written("day")).toEqual([16]);
    expect(catalog.growth.samples({ kind: "vault", rhythm: "day", ...EVER })).toMatchObject([
      { storedBytes: 3, liveBytes: 7 },
    ]);
  });

  test("sums stay exact above 32 bits", () => {
    for (let i = 0; i < 3; i++) catalog.growth.add([volume(i, 2 ** 45 + 1)]);
    expect(catalog.growth.samples({ kind: "volume", rhythm: "day", ...EVER })[0]!.writtenBytes).toBe(3 * (2 ** 45 + 1));
  });

  test("by the hour go after 90 days, by the day after five years", () => {
    catalog.growth.add([vault(0, { storedBytes: 1 })]);
    catalog.growth.add([vault(91 * DAY, { storedBytes: 2 })]);
    expect(catalog.growth.samples({ kind: "vault", rhythm: "hour", ...EVER })).toHaveLength(1);
    expect(catalog.growth.samples({ kind: "vault", rhythm: "day", ...EVER })).toHaveLength(2);
    catalog.growth.add([vault(6 * 365 * DAY, { storedBytes: 3 })]);
    expect(catalog.growth.samples({ kind: "vault", rhythm: "day", ...EVER })).toHaveLength(1);
  });

  test("many volumes push out their own oldest samples, and none of a vault", () => {
    const database = new Database(":memory:", { strict: true, safeIntegers: true });
    migrate(database);
    const table = growthTable(drizzle(database), (work) => work(), 10);
    table.add([vault(0, { storedBytes: 5 })]);
    for (let hour = 0; hour < 24; hour++) table.add([volume(hour * HOUR, 1)]);
    expect(table.samples({ kind: "vault", rhythm: "day", ...EVER })).toHaveLength(1);
    expect(table.samples({ kind: "volume", rhythm: "hour", ...EVER }).length).toBeLessThanOrEqual(11);
  });

  test("are asked for by name and range", () => {
    catalog.growth.add([vault(0, { storedBytes: 1 }), vault(0, { name: "other" }), vault(HOUR, { storedBytes: 2 })]);
    const range = { from: T0, to: micros(T0 + HOUR) };
    expect(catalog.growth.samples({ kind: "vault", name: "default", rhythm: "hour", ...range })).toHaveLength(1);
  });
});

describe("the queue of notifications", () => {
  test("forgets the oldest that have ended, and never one that is open", () => {
    const row = {
      channel: "ops",
      content: "{}",
      createdAt: T0,
      releasedAt: T0,
      nextAt: T0,
      endedAt: null,
      attempts: 0,
      lastError: null,
    };
    const open = catalog.notify.addDelivery({ ...row, state: "waiting" });
    const ids = Array.from({ length: 1_005 }, () => catalog.notify.addDelivery({ ...row, state: "waiting" }));
    for (const id of ids) catalog.notify.updateDelivery(id, { state: "sent", endedAt: T0 });
    expect(catalog.notify.endedCount("sent")).toBe(1_000);
    expect(catalog.notify.openDeliveries().map(({ id }) => id)).toEqual([open]);
    expect(catalog.notify.deliveries({ limit: 1 })[0]!.id).toBe(ids.at(-1)!);
  });
});

describe("onEvent()", () => {
  test("hears each event as it was kept; what it throws harms nobody; it can be ended", () => {
    const heard: string[] = [];
    catalog.onEvent(() => {
      throw new Error("a defect of the listener");
    });
    const end = catalog.onEvent(({ id, kind }) => heard.push(`${id} ${kind}`));
    const event = { level: "info", subject: "s", message: "m" } as const;
    catalog.addEvent({ ...event, kind: "a" });
    end();
    catalog.addEvent({ ...event, kind: "b" });
    expect(heard).toEqual(["1 a"]);
    expect(catalog.events({ limit: 9 })).toHaveLength(2);
  });
});
