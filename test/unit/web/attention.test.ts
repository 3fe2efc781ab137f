import { describe, expect, test } from "bun:test";
import type { WireAlarm, WireTier, WireVault, WireVolume } from "../../../src/contract/contract.ts";
import {
  attentionOf,
  forecastSentence,
  protectionSentence,
  tierFreshness,
} from "../../../src/web/console/attention.ts";

const NOW = Date.parse("2026-11-21T12:00:00Z");

const vault = (over: Partial<WireVault> & { free?: number } = {}): WireVault => ({
  name: "default",
  state: "writable",
  volumes: ["web1"],
  volumeCount: 1,
  status: {
    id: "0",
    state: "writable",
    epoch: 1,
    lastLsn: 1,
    durableLsn: 1,
    sealedLsn: 1,
    volumeCount: 1,
    journalUsedBytes: 0,
    journalSizeBytes: 1,
    storedBytes: 0,
    packCount: 0,
    layerCount: 0,
    freeBytes: over.free ?? 60,
    totalBytes: 100,
  },
  ...over,
});

const tier = (over: Partial<WireTier> = {}): WireTier => ({
  vault: "default",
  name: "offsite",
  url: "file:///mnt/usb",
  mode: "continuous",
  rpoSeconds: 5,
  state: "online",
  reachedLsn: 1,
  lagSeconds: 0,
  lagBytes: 0,
  objectsPut: 0,
  bytesPut: 0,
  attempts: 0,
  failures: 0,
  ...over,
});

const alarm = (over: Partial<WireAlarm> = {}): WireAlarm => ({
  id: 1,
  volume: "web1",
  vault: "default",
  raisedAt: "2026-11-21T11:58:00Z",
  state: "open",
  first: { lsn: 10, time: "2026-11-21T11:57:00Z" },
  before: { lsn: 9, time: "2026-11-21T11:56:59Z", flushPoint: true },
  hold: "before-suspicion",
  turnedBytes: 1e7,
  share: 0.9,
  ...over,
});

const volume = (name: string, attached = 0): WireVolume => ({
  name,
  vault: "default",
  sizeBytes: 10 * 2 ** 30,
  createdAt: "2026-11-20T12:00:00Z",
  createdLsn: 1,
  lastLsn: 2,
  lastWriteAt: "2026-11-21T11:59:00Z",
  lastFlushLsn: 2,
  attached,
  bookmarkCount: 0,
});

const titles = (known: Parameters<typeof attentionOf>[0]): string[] =>
  attentionOf(known, NOW).map((item) => item.title);

describe("attentionOf()", () => {
  test("says nothing when all is well, and nothing of what could not be asked", () => {
    const health = { status: "ok" as const, version: "1", startedAt: "2026-11-21T11:00:00Z", reasons: [] };
    expect(attentionOf({ vaults: [vault()], tiers: [tier()], health }, NOW)).toEqual([]);
    expect(attentionOf({}, NOW)).toEqual([]);
  });

  test("puts what is bad before what only warns", () => {
    const list = attentionOf({ tiers: [tier({ state: "offline" })], alarms: [alarm()] }, NOW);
    expect(list.map((item) => item.tone)).toEqual(["bad", "warn"]);
    expect(list[0]?.title).toContain("web1");
  });

  test("tells an alarm until somebody has looked into it, and whether it was held", () => {
    expect(titles({ alarms: [alarm()] })).toHaveLength(1);
    const acknowledged = { at: "2026-11-21T11:59:00Z", by: "anna", verdict: "mine" as const, note: "" };
    expect(titles({ alarms: [alarm({ acknowledged })] })).toEqual([]);
    const { hold: _, ...unheld } = alarm();
    expect(attentionOf({ alarms: [unheld] }, NOW)[0]?.detail).toContain("could not be held");
    expect(attentionOf({ alarms: [alarm()] }, NOW)[0]?.detail).toContain("held and stays");
  });

  test("tells vaults that do not serve, each in its words", () => {
    expect(titles({ vaults: [vault({ state: "locked" })] })).toEqual(["Vault default is locked"]);
    expect(titles({ vaults: [vault({ state: "missing" })] })).toEqual(["Vault default is missing"]);
    expect(titles({ vaults: [vault({ state: "read-only" })] })).toEqual(["Vault default is read-only"]);
  });

  test("tells a disk that is nearly full, and not one that is not", () => {
    expect(titles({ vaults: [vault({ free: 16 })] })).toEqual([]);
    expect(titles({ vaults: [vault({ free: 15 })] })).toEqual(["The disk of vault default is 85 % full"]);
    expect(attentionOf({ vaults: [vault({ free: 4 })] }, NOW)[0]?.tone).toBe("bad");
  });

  test("tells a tier that is late by more than twice what it may be", () => {
    expect(titles({ tiers: [tier({ lagSeconds: 10, lagBytes: 1 })] })).toEqual([]);
    expect(titles({ tiers: [tier({ lagSeconds: 11, lagBytes: 1 })] })).toEqual([
      "Tier offsite of vault default is 11 s behind",
    ]);
    expect(attentionOf({ tiers: [tier({ lagSeconds: 60, lagBytes: 1 })] }, NOW)[0]?.tone).toBe("bad");
    expect(titles({ tiers: [tier({ mode: "scheduled", lagSeconds: 9999 })] })).toEqual([]);
  });

  test("tells since when a tier is out of reach", () => {
    const [item] = attentionOf({ tiers: [tier({ state: "offline", since: "2026-11-21T11:00:00Z" })] }, NOW);
    expect(item?.title).toBe("Tier offsite of vault default has been out of reach for 1 h");
  });

  test("leaves out what health says of a vault that has a line of its own", () => {
    const reasons = ["vault default is locked", "space is critical: writes are refused"];
    const health = { status: "degraded" as const, version: "1", startedAt: "2026-11-21T11:00:00Z", reasons };
    expect(titles({ health, vaults: [vault({ state: "locked" })] })).toEqual([
      "Vault default is locked",
      "Space is critical: writes are refused.",
    ]);
  });

  test("leaves out what health says of a tier that has a line of its own, and of no other", () => {
    const reasons = ["vault default: tier offsite is offline", "vault default: tier offsite-2 is offline"];
    const health = { status: "degraded" as const, version: "1", startedAt: "2026-11-21T11:00:00Z", reasons };
    const found = attentionOf({ health, tiers: [tier({ state: "offline" })] }, NOW);
    expect(found).toHaveLength(2);
    expect(found[1]?.title).toContain("offsite-2");
  });

  test("tells the end of space when it is near", () => {
    const ends = (daysLeft: number) => ({
      vault: "default",
      forecast: {
        kind: "ends" as const,
        bytesPerDay: 1,
        at: "2026-12-01T00:00:00Z",
        daysLeft,
        earliest: "2026-12-01T00:00:00Z",
      },
    });
    expect(titles({ forecasts: [ends(31)] })).toEqual([]);
    expect(titles({ forecasts: [ends(12.7)] })).toEqual(["The space of vault default ends in 12 days"]);
    expect(attentionOf({ forecasts: [ends(3)] }, NOW)[0]?.tone).toBe("bad");
  });
});

test("protectionSentence() says how much is protected and what is connected", () => {
  expect(protectionSentence([])).toBe("Nothing is protected yet.");
  expect(protectionSentence([volume("a", 1)])).toBe("1 disk of 10 GiB is protected; it is connected.");
  expect(protectionSentence([volume("a", 1), volume("b")])).toBe(
    "2 disks of 20 GiB are protected; 1 of them connected now.",
  );
  expect(protectionSentence([volume("a"), volume("b")])).toContain("none is connected now");
});

describe("a disk that was never written to", () => {
  const untouched = (name: string): WireVolume => ({ ...volume(name), lastLsn: 1 });
  const branch: WireVolume = { ...untouched("try"), origin: { volume: "a", lsn: 2 } };
  test("does not count as protected", () => {
    expect(protectionSentence([untouched("a")])).toBe("Nothing is protected yet.");
    expect(protectionSentence([volume("a", 1), untouched("b")])).toStartWith("1 disk of 10 GiB is protected");
    expect(protectionSentence([branch])).toStartWith("1 disk of 10 GiB is protected");
  });
  test("needs somebody, with one line for all of them", () => {
    expect(attentionOf({ volumes: [volume("a"), branch] }, NOW)).toEqual([]);
    expect(attentionOf({ volumes: [volume("a"), untouched("b")] }, NOW)).toMatchObject([
      { tone: "warn", title: "b waits for its first write", to: "/protect/b" },
    ]);
    expect(attentionOf({ volumes: [untouched("a"), untouched("b")] }, NOW)).toMatchObject([
      { tone: "warn", title: "2 disks wait for their first write", to: "/volumes" },
    ]);
  });
});

test("tierFreshness() is green only for a tier that keeps its objective", () => {
  expect(tierFreshness(tier())).toEqual({ words: "up to date", tone: "good" });
  expect(tierFreshness(tier({ lagSeconds: 3, lagBytes: 1 }))).toEqual({ words: "3 s behind", tone: "good" });
  expect(tierFreshness(tier({ lagSeconds: 30, lagBytes: 1 })).tone).toBe("warn");
  expect(tierFreshness(tier({ state: "offline" })).tone).toBe("warn");
  expect(tierFreshness(tier({ state: "overtaken" })).tone).toBe("bad");
});

test("forecastSentence() says honestly what is not known", () => {
  expect(forecastSentence({ kind: "not-enough-data", haveDays: 1, needDays: 6.5 })).toContain("7 days");
  expect(forecastSentence({ kind: "not-growing", bytesPerDay: -5 })).toBe("The space does not shrink.");
  const ends = {
    kind: "ends" as const,
    bytesPerDay: 2 ** 30,
    at: "2026-12-21T12:00:00Z",
    earliest: "2026-12-01T12:00:00Z",
  };
  expect(forecastSentence({ ...ends, daysLeft: 30 })).toBe("At this pace the space lasts for 30 days; 1 GiB a day go.");
  expect(forecastSentence({ ...ends, daysLeft: 5000 })).toBe("The space lasts for years.");
});
