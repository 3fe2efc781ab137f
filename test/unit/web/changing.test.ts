/** Changing what is set up, and growth in words: what a form does not show must not get lost by it. */
import { describe, expect, test } from "bun:test";
import type { WireForecast } from "../../../src/contract/growth.ts";
import { changeSentence, endsSentence, seriesOf } from "../../../src/web/console/growth-facts.ts";
import { changedTask, timingFieldsOf, timingOf } from "../../../src/web/console/schedule-words.ts";

describe("a timing that is changed", () => {
  test("comes out of the form as it went in", () => {
    for (const timing of [
      { kind: "calendar", expression: "30 1 * * *", timeZone: "Europe/Berlin" },
      { kind: "calendar", expression: "5 23 * * 6" },
      { kind: "calendar", expression: "hourly", timeZone: "UTC" },
      { kind: "calendar", expression: "*/5 8-18 * * 1-5", timeZone: "UTC" },
      { kind: "calendar", expression: "0 3 1 * *" },
      { kind: "calendar", expression: "weekly" },
      { kind: "interval", everySeconds: 60 },
      { kind: "interval", everySeconds: 5_430 },
    ] as const) {
      expect(timingOf(timingFieldsOf(timing))).toEqual(timing);
    }
  });
  test("is shown by the fields that people know", () => {
    expect(timingFieldsOf({ kind: "calendar", expression: "5 9 * * 7" })).toMatchObject({
      rhythm: "weekly",
      at: "09:05",
      weekday: "0",
    });
    expect(timingFieldsOf({ kind: "calendar", expression: "0 2 1 * *" }).rhythm).toBe("cron");
  });
});

describe("changedTask()", () => {
  const scripts = { pre: "freeze", timeoutSeconds: 60, ifPreFails: "no-bookmark" as const };
  const bookmark = { kind: "bookmark" as const, machine: "shop", prefix: "night", keep: 7, scripts };
  test("is undefined for a task that stays as it is", () => {
    expect(changedTask(bookmark, { kind: "bookmark", machine: "shop", keep: 7 })).toBeUndefined();
    expect(changedTask({ kind: "check", quick: true }, { kind: "check" })).toBeUndefined();
    expect(
      changedTask({ kind: "sync-tier", vault: "default" }, { kind: "sync-tier", vault: "default" }),
    ).toBeUndefined();
  });
  test("keeps what the form does not show", () => {
    expect(changedTask(bookmark, { kind: "bookmark", volume: "web1", keep: 7 })).toEqual({
      kind: "bookmark",
      volume: "web1",
      keep: 7,
      prefix: "night",
      scripts,
    });
    expect(changedTask({ kind: "check", quick: true }, { kind: "check", vault: "big" })).toEqual({
      kind: "check",
      vault: "big",
      quick: true,
    });
  });
  test("tells a bound that is lifted, and a tier that is chosen", () => {
    expect(changedTask(bookmark, { kind: "bookmark", machine: "shop" })).toMatchObject({ prefix: "night" });
    expect(
      changedTask({ kind: "sync-tier", vault: "default" }, { kind: "sync-tier", vault: "default", tier: "usb" }),
    ).toMatchObject({ tier: "usb" });
    expect(changedTask({ kind: "check", vault: "default" }, { kind: "check" })).toEqual({ kind: "check" });
  });
  test("takes nothing over from a task of another kind", () => {
    expect(changedTask(bookmark, { kind: "gc" })).toEqual({ kind: "gc" });
  });
});

describe("growth", () => {
  const GIB = 2 ** 30;
  const forecast: WireForecast = { kind: "not-growing", bytesPerDay: 0 };
  const of = (...stored: (number | undefined)[]) => ({
    vault: "default",
    forecast,
    points: stored.map((storedBytes, hour) => ({
      time: `2026-11-21T${String(hour).padStart(2, "0")}:00:00Z`,
      ...(storedBytes === undefined ? {} : { storedBytes }),
    })),
  });
  test("changeSentence() compares the first known figure with the last", () => {
    expect(changeSentence(of(undefined, GIB, 4 * GIB, undefined))).toBe(
      "4 GiB were stored when last counted, 3 GiB more than at the beginning of this time.",
    );
    expect(changeSentence(of(3 * GIB, GIB))).toContain("2 GiB less");
    expect(changeSentence(of(GIB, GIB))).toContain("as at the beginning");
    expect(changeSentence(of(GIB))).toBe("1 GiB were stored when last counted.");
    expect(changeSentence(of(undefined))).toBeUndefined();
  });
  test("seriesOf() has null where a figure is not known, never zero", () => {
    expect(seriesOf(of(undefined, 5))).toMatchObject({ stored: [null, 5], live: [null, null], free: [null, null] });
  });
  test("endsSentence() says the day and how far it may be off", () => {
    const ends = { kind: "ends" as const, bytesPerDay: GIB, daysLeft: 20, at: "2026-12-11T12:00:00Z" };
    const earliest = "2026-12-01T12:00:00Z";
    expect(endsSentence({ ...ends, earliest, latest: "2027-01-05T12:00:00Z" }, "UTC")).toBe(
      "It would end on 11 Dec 2026; between 1 Dec 2026 and 5 Jan 2027 by how much single days differ.",
    );
    expect(endsSentence({ ...ends, earliest }, "UTC")).toContain("1 Dec 2026 at the earliest, and perhaps never");
    expect(endsSentence(forecast)).toBeUndefined();
  });
});
