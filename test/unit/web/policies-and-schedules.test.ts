import { describe, expect, test } from "bun:test";
import type { WirePlan } from "../../../src/contract/contract.ts";
import { jobLength, jobTitle, lineWords, progressOf } from "../../../src/web/console/job-words.ts";
import {
  formOf,
  lengthOf,
  losesSomething,
  planSentences,
  policyWords,
  readForm,
  USUAL_POLICY,
} from "../../../src/web/console/policy-words.ts";
import { keepTrouble, taskOf } from "../../../src/web/console/schedule-task.ts";
import { cronWords, taskWords, timingOf, timingWords } from "../../../src/web/console/schedule-words.ts";

const DAY = 86_400;
const NONE = { hourlySeconds: 0, dailySeconds: 0, weeklySeconds: 0, monthlySeconds: 0 };

const plan = (over: Partial<WirePlan> = {}): WirePlan => ({
  volume: "web1",
  now: "2026-11-21T12:00:00Z",
  clockAheadSeconds: 0,
  from: { lsn: 1, time: "2026-11-11T12:00:00Z" },
  to: { lsn: 1, time: "2026-11-11T12:00:00Z" },
  writes: 0,
  writtenBytes: 0,
  newPoints: [],
  goingPoints: [],
  pointCount: 0,
  lockHolds: false,
  ...over,
});

describe("policies", () => {
  test("a policy survives the form and back", () => {
    const policy = {
      allSeconds: 2 * DAY,
      hourlySeconds: 14 * DAY,
      dailySeconds: 56 * DAY,
      weeklySeconds: 0,
      monthlySeconds: 744 * DAY,
    };
    expect(readForm(formOf(policy))).toEqual({ policy });
  });
  test("lengths are shown in the largest unit that fits", () => {
    expect(lengthOf(14 * DAY)).toEqual({ count: "2", unit: "weeks" });
    expect(lengthOf(36 * 3600)).toEqual({ count: "36", unit: "hours" });
    expect(lengthOf(0)).toEqual({ count: "", unit: "days" });
  });
  test("a form that keeps nothing or makes no sense is refused by its field", () => {
    const empty = { ...USUAL_POLICY, allSeconds: { count: "", unit: "days" as const } };
    expect(readForm(empty)).toMatchObject({ errors: { allSeconds: expect.any(String) } });
    const word = { ...USUAL_POLICY, dailySeconds: { count: "few", unit: "days" as const } };
    expect(readForm(word)).toMatchObject({ errors: { dailySeconds: expect.any(String) } });
    const long = { ...USUAL_POLICY, monthlySeconds: { count: "101", unit: "years" as const } };
    expect(readForm(long)).toMatchObject({ errors: { monthlySeconds: expect.any(String) } });
  });
  test("a policy is said in one line", () => {
    expect(policyWords(undefined)).toBe("everything, for ever");
    expect(policyWords({ allSeconds: 2 * DAY, ...NONE, hourlySeconds: 14 * DAY })).toBe(
      "every write for 2 days, one an hour for 2 weeks",
    );
  });
});

describe("planSentences()", () => {
  test("says that nothing goes", () => {
    expect(planSentences(plan())).toEqual(["Nothing goes now."]);
    expect(losesSomething(plan())).toBe(false);
  });
  test("says what goes, that it cannot be undone, and what it frees", () => {
    const loses = plan({
      to: { lsn: 50, time: "2026-11-19T12:00:00Z" },
      writes: 1000,
      writtenBytes: 2 ** 20,
      newPoints: [{ lsn: 5, time: "2026-11-12T00:00:00Z", why: "daily" }],
      pointCount: 9,
      freedBytes: 2 ** 20,
    });
    const text = planSentences(loses).join(" ");
    expect(losesSomething(loses)).toBe(true);
    expect(text).toContain("1,000 writes of 1 MiB");
    expect(text).toContain("1 moment of that time stays");
    expect(text).toContain("cannot be undone");
    expect(text).toContain("about 1 MiB");
  });
  test("a point that goes counts as a loss by itself", () => {
    expect(losesSomething(plan({ goingPoints: [{ lsn: 5, time: "2026-11-12T00:00:00Z", why: "daily" }] }))).toBe(true);
  });
});

describe("schedules", () => {
  test("usual cron expressions are said in words, others as they are", () => {
    expect(cronWords("30 1 * * *")).toBe("each day at 01:30");
    expect(cronWords("0 22 * * 1-5")).toBe("Monday to Friday at 22:00");
    expect(cronWords("5 4 * * 0")).toBe("each Sunday at 04:05");
    expect(cronWords("15 * * * *")).toBe("each hour at minute 15");
    expect(cronWords("0 3 1 * *")).toBe("each month on day 1 at 03:00");
    expect(cronWords("*/5 * * * *")).toBeUndefined();
    expect(timingWords({ kind: "calendar", expression: "*/5 * * * *", timeZone: "UTC" })).toBe("*/5 * * * *, UTC");
    expect(timingWords({ kind: "interval", everySeconds: 1800 })).toBe("every 30 min");
  });
  test("a form gives the timing that it says", () => {
    const form = {
      rhythm: "daily" as const,
      minutes: "5",
      at: "01:30",
      weekday: "1",
      cron: "",
      timeZone: "Europe/Berlin",
    };
    expect(timingOf(form)).toEqual({ kind: "calendar", expression: "30 1 * * *", timeZone: "Europe/Berlin" });
    expect(timingOf({ ...form, rhythm: "weekly" })).toMatchObject({ expression: "30 1 * * 1" });
    expect(timingOf({ ...form, rhythm: "minutes" })).toEqual({ kind: "interval", everySeconds: 300 });
    expect(timingOf({ ...form, at: "25:00" })).toBeUndefined();
    expect(timingOf({ ...form, rhythm: "minutes", minutes: "0" })).toBeUndefined();
  });
  test("a task says what it does to what", () => {
    expect(taskWords({ kind: "bookmark", machine: "shop", keep: 7 })).toBe("Bookmark shop, the last 7 stay");
    expect(taskWords({ kind: "check" })).toBe("Check, all vaults");
    expect(taskWords({ kind: "verify-tier", vault: "default", tier: "usb" })).toBe(
      "Verify a tier: usb of vault default",
    );
  });
});

describe("jobs", () => {
  test("progress of every kind of job is a share of the whole", () => {
    expect(progressOf({ line: "progress", what: "packs", done: 1, total: 4 })).toEqual({
      progress: 0.25,
      what: "packs",
    });
    expect(progressOf({ line: "progress", objects: 3, objectsTotal: 2 })).toEqual({ progress: 1, what: undefined });
    expect(progressOf({ line: "progress", done: 0, total: 0 })).toEqual({ progress: undefined, what: undefined });
  });
  test("lines are said in words, and unknown ones by their facts", () => {
    expect(lineWords({ line: "end", objects: 2, bytes: 8192, findings: 0 })).toBe("2 objects of 8 KiB read, no damage");
    expect(lineWords({ line: "finding", severity: "damage", subject: "pack 3", message: "torn" })).toBe(
      "damage: pack 3: torn",
    );
    expect(lineWords({ line: "new-kind", speed: 3 })).toBe("speed: 3");
  });
  test("a job's length is up to its end, or to now while it runs", () => {
    const job = {
      id: 1,
      kind: "check",
      subject: "web1",
      state: "running" as const,
      progress: 0,
      startedAt: "2026-11-21T12:00:00Z",
    };
    expect(jobLength(job, Date.parse("2026-11-21T12:05:00Z"))).toBe("5 min");
    expect(jobLength({ ...job, finishedAt: "2026-11-21T12:01:00Z" }, Date.parse("2026-11-21T13:00:00Z"))).toBe("1 min");
    expect(jobTitle(job)).toBe("Check: web1");
  });
});

describe("the task of a schedule's form", () => {
  const details = { keep: "30", report: "protection", span: "week" } as const;

  test("keepTrouble() says what is wrong with a count, and nothing becomes a task with it", () => {
    for (const keep of ["", " ", "1", "1000"]) expect(keepTrouble(keep)).toBeUndefined();
    for (const keep of ["0", "1001", "2.5", "-1", "many"]) {
      expect(keepTrouble(keep)).toBe("From 1 to 1,000.");
      expect(taskOf("bookmark", "volume/web1", { ...details, keep })).toBeUndefined();
    }
    expect(taskOf("bookmark", "volume/web1", details)).toEqual({ kind: "bookmark", volume: "web1", keep: 30 });
  });
});
