import { Database } from "bun:sqlite";
import { describe, expect, test } from "bun:test";
import { getTableConfig } from "drizzle-orm/sqlite-core";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { systemClock } from "../../../src/base/clock.ts";
import { realDisk } from "../../../src/base/real-disk.ts";
import { micros } from "../../../src/base/units.ts";
import { openCatalog, type SignalTable, type SignalSums } from "../../../src/catalog/catalog.ts";
import { migrate } from "../../../src/catalog/migrations.ts";
import { alarms, signalSeries, signalStates } from "../../../src/catalog/schema.ts";

const HOUR = 3600e6;
const DAY = 24 * HOUR;
const START = Math.floor(1_795_000_000e6 / DAY) * DAY;
const WEB = { vault: "v1", volume: 1 };

const sums = (time: number, blocks: number): SignalSums => ({
  time: micros(time),
  blocks,
  zero: 0,
  duplicate: 1,
  fresh: blocks - 1,
  storedBytes: blocks * 100,
  dense: 0,
  rewrites: 2,
  overPlain: 1,
  turned: 0,
  unknown: 0,
  cleared: 3,
});

async function story(tell: (store: SignalTable) => void): Promise<void> {
  const dir = mkdtempSync(join(tmpdir(), "sternway-catalog-"));
  const catalog = await openCatalog({ disk: realDisk, dir, clock: systemClock });
  try {
    tell(catalog.signals);
  } finally {
    catalog.close();
    rmSync(dir, { recursive: true, force: true });
  }
}

describe("SignalTable", () => {
  test("has exactly the tables that the schema knows", () => {
    const database = new Database(":memory:");
    migrate(database);
    for (const table of [signalSeries, signalStates, alarms]) {
      const { name, columns, indexes } = getTableConfig(table);
      const found = database
        .query<{ name: string; type: string; notnull: number; pk: number }, []>(`PRAGMA table_info(${name})`)
        .all();
      expect(found.map((c) => [c.name, c.type.toLowerCase(), c.notnull === 1, c.pk === 1])).toEqual(
        columns.map((c) => [c.name, c.getSQLType(), c.notNull, c.primary]),
      );
      const made = database.query<{ name: string; unique: number }, []>(`PRAGMA index_list(${name})`).all();
      expect(Object.fromEntries(made.map((each) => [each.name, each.unique === 1]))).toEqual(
        Object.fromEntries(indexes.map(({ config }) => [config.name, config.unique])),
      );
    }
  });

  test("adds sums up by the minute and by the hour, each volume by itself", () =>
    story((store) => {
      store.addSeries(WEB, [sums(START + 1e6, 10), sums(START + 59e6, 5), sums(START + 61e6, 7)]);
      store.addSeries(WEB, [sums(START + 2e6, 100)]);
      store.addSeries({ ...WEB, volume: 2 }, [sums(START, 1000)]);
      const range = { from: micros(START), to: micros(START + HOUR) };
      const fine = store.series(WEB, { ...range, fine: true });
      expect(fine.map(({ time, blocks, duplicate, cleared }) => [time - START, blocks, duplicate, cleared])).toEqual([
        [0, 115, 3, 9],
        [60e6, 7, 1, 3],
      ]);
      expect(store.series(WEB, { ...range, fine: false })).toMatchObject([
        { time: START, blocks: 122, storedBytes: 12_200 },
      ]);
    }));

  test("keeps minutes for a week and hours for a year", () =>
    story((store) => {
      for (const at of [0, 5 * DAY, 8 * DAY, 300 * DAY]) store.addSeries(WEB, [sums(START + at, 4)]);
      const all = { from: micros(START), to: micros(START + 400 * DAY) };
      expect(store.series(WEB, { ...all, fine: true })).toHaveLength(1);
      expect(store.series(WEB, { ...all, fine: false })).toHaveLength(4);
      store.addSeries(WEB, [sums(START + 370 * DAY, 4)]);
      expect(store.series(WEB, { ...all, fine: false })).toHaveLength(4);
    }));

  test("keeps alarms and what becomes of them", () =>
    story((store) => {
      const made = {
        ...WEB,
        raisedAt: micros(START + 5),
        firstLsn: 20,
        firstAt: micros(START),
        beforeLsn: 19,
        beforeAt: micros(START - 1),
        flushPoint: true,
        hold: "h",
        turned: 600,
        perMinute: 600,
        share: 0.75,
      };
      expect([store.addAlarm(made), store.addAlarm({ ...made, volume: 2 })]).toEqual([1, 2]);
      expect(store.alarm(1)).toMatchObject({ ...made, endedAt: null, acknowledgedAt: null, verdict: null });
      expect(store.openAlarms(WEB).map(({ id }) => id)).toEqual([1]);
      store.changeAlarm(1, { endedAt: micros(START + 9), turned: 700 });
      expect(store.alarm(1)).toMatchObject({ endedAt: START + 9, turned: 700 });
      expect(store.openAlarms(WEB)).toEqual([]);
      expect(store.alarms({ limit: 1 }).map(({ id }) => id)).toEqual([2]);
      expect(store.alarms({ before: 2, limit: 5 }).map(({ id }) => id)).toEqual([1]);
      const range = { from: micros(START), to: micros(START + 5), limit: 5 };
      expect(store.alarmsOf(WEB, range)).toEqual([]);
      expect(store.alarmsOf(WEB, { ...range, to: micros(START + 6) })).toHaveLength(1);
      expect(store.alarm(3)).toBeUndefined();
    }));

  test("keeps what is usual for a volume as it was put last", () =>
    story((store) => {
      expect(store.state(WEB)).toBeUndefined();
      store.putState(WEB, "high", { a: [1, 2] });
      store.putState(WEB, "low", { a: [3] });
      expect(store.state(WEB)).toMatchObject({ sensitivity: "low", state: { a: [3] } });
    }));
});
