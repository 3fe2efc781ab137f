/** The notifier on a real catalog in a simulated world: floods, outages, quiet hours, restarts. */
import { afterEach, beforeEach, describe, expect, spyOn, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { SternwayError } from "../../../src/base/errors.ts";
import { realDisk } from "../../../src/base/real-disk.ts";
import { Simulation } from "../../../src/base/simulation.ts";
import { parseTime } from "../../../src/base/units.ts";
import { openCatalog, type Catalog, type CatalogEvent } from "../../../src/catalog/catalog.ts";
import { ruleSettingsSchema, type RuleSettingsInput, type SetChannel } from "../../../src/contract/notify.ts";
import type { EventsContent } from "../../../src/notify/message.ts";
import { Notifier } from "../../../src/notify/notify.ts";
import { createLog } from "../../../src/observe/log.ts";

const SECOND = 1_000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
const log = createLog({ level: "error", format: "json", write: () => undefined });
const HOOK: SetChannel = {
  kind: "webhook",
  url: "https://hooks.example.org/x",
  plaintext: false,
  enabled: true,
  details: "full",
  hourlyMax: 20,
  gatherSeconds: 60,
};

let dir: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), "sternway-notify-"));
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

interface Sent {
  channel: string;
  /** Minutes since the start. */
  at: number;
  id: string;
  content: EventsContent;
}

interface World {
  sim: Simulation;
  catalog: Catalog;
  notifier: Notifier;
  sent: Sent[];
  /** Tries that came, also those that failed. */
  tries: { channel: string; at: number }[];
  /** Channels that do not work. */
  down: Set<string>;
  minutes(count: number): Promise<void>;
  tell(event: Partial<CatalogEvent>): void;
  /** Stops and starts anew on the same catalog. */
  restart(): Promise<void>;
  /** Channels `ops`, and `other` on demand, and a rule that sends everything from warning on to them. */
  rule(settings?: Partial<RuleSettingsInput>): void;
}

const kinds = (sent: Sent): string[] => sent.content.notices.map(({ kind, why }) => `${kind} ${why}`);

function story(startsAt: string, work: (world: World) => Promise<void>): Promise<void> {
  const sim = new Simulation(1, parseTime(startsAt));
  return sim.run(async () => {
    const catalog = await sim.outside(openCatalog({ disk: realDisk, dir, clock: sim.clock }));
    const state = { sent: [] as Sent[], tries: [] as World["tries"], down: new Set<string>() };
    const minuteNow = (): number => Math.round(sim.nowMicros / 6e5) / 100;
    let stopListening = (): void => undefined;
    const open = (): Notifier => {
      const made = new Notifier({
        store: catalog.notify,
        clock: sim.clock,
        random: sim.random,
        log,
        tell: (event) => catalog.addEvent(event),
        appliance: "box",
        zone: "UTC",
        async deliver(channel, content, id) {
          await sim.clock.sleep(SECOND);
          state.tries.push({ channel: channel.name, at: minuteNow() });
          if (state.down.has(channel.name)) throw new SternwayError("unavailable", "nobody answers");
          if (content.type === "events") state.sent.push({ channel: channel.name, at: minuteNow(), id, content });
          return "taken";
        },
      });
      stopListening = catalog.onEvent((event) => made.onEvent(event));
      made.start();
      return made;
    };
    const world: World = {
      sim,
      catalog,
      notifier: open(),
      ...state,
      minutes: (count) => sim.clock.sleep(count * MINUTE),
      tell: (event) =>
        catalog.addEvent({ level: "warning", kind: "tier-offline", subject: "v/t", message: "m", ...event }),
      async restart() {
        stopListening();
        await world.notifier.stop(HOUR);
        world.notifier = open();
      },
      rule: (settings = {}) => {
        const full = ruleSettingsSchema.parse({ channels: ["ops"], ...settings });
        for (const name of full.channels)
          if (!world.notifier.directory.find(name)) world.notifier.directory.createChannel(name, HOOK);
        world.notifier.directory.createRule(`rule${world.notifier.directory.rules().length}`, full);
      },
    };
    await work(world);
    await world.notifier.stop(HOUR);
    catalog.close();
  });
}

const MORNING = "2026-11-20T08:00:00Z";

describe("troubles", () => {
  test("are told when they begin, change and end, and not in between", () =>
    story(MORNING, async (world) => {
      world.rule();
      for (let i = 0; i < 50; i++) {
        world.tell({ message: `no route, try ${i}` });
        await world.minutes(2);
      }
      world.tell({ kind: "tier-foreign", level: "alert" });
      await world.minutes(5);
      world.tell({ kind: "tier-online", level: "info" });
      world.tell({ kind: "tier-online", level: "info" });
      await world.minutes(5);
      expect(world.sent.map(kinds)).toEqual([["tier-offline new"], ["tier-foreign changed"], ["tier-online ended"]]);
      expect(world.sent[1]!.content.notices[0]!.repeats).toBe(49);
      expect(world.sent[2]!.content.notices[0]!.since).toBe(world.sent[0]!.content.notices[0]!.time);
    }));

  test("of two subjects are two", () =>
    story(MORNING, async (world) => {
      world.rule();
      world.tell({ subject: "v/a" });
      await world.minutes(3);
      world.tell({ subject: "v/b" });
      await world.minutes(3);
      expect(world.sent.map((sent) => sent.content.notices[0]!.subject)).toEqual(["v/a", "v/b"]);
    }));

  test("that go on are told again after the hours of the rule, until they end", () =>
    story(MORNING, async (world) => {
      world.rule({ remindHours: 6 });
      world.tell({});
      await world.minutes(13 * 60);
      world.tell({ kind: "tier-online", level: "info" });
      await world.minutes(24 * 60);
      expect(world.sent.map(kinds).flat()).toEqual([
        "tier-offline new",
        "tier-offline reminder",
        "tier-offline reminder",
        "tier-online ended",
      ]);
    }));

  test("are not told anew by a restart", () =>
    story(MORNING, async (world) => {
      world.rule();
      world.tell({});
      await world.minutes(2);
      await world.restart();
      world.tell({});
      await world.minutes(2);
      world.tell({ kind: "tier-online", level: "info" });
      await world.minutes(2);
      expect(world.sent.map(kinds).flat()).toEqual(["tier-offline new", "tier-online ended"]);
    }));

  test("what is no trouble is told again only with other words", () =>
    story(MORNING, async (world) => {
      world.rule();
      const damage = { kind: "damage", level: "alert", subject: "pack 1" } as const;
      for (const message of ["frame 1", "frame 1", "frame 2"]) {
        world.tell({ ...damage, message });
        await world.minutes(2);
      }
      expect(world.sent.map((sent) => sent.content.notices[0]!.message)).toEqual(["frame 1", "frame 2"]);
    }));
});

describe("floods", () => {
  test("the first comes at once, the rest in one more message, and what is too much is counted", () =>
    story(MORNING, async (world) => {
      world.rule();
      for (let i = 0; i < 5_000; i++)
        world.tell({ kind: "damage", level: "alert", subject: `pack ${i}`, message: "bad" });
      await world.minutes(0.5);
      expect(world.sent).toHaveLength(1);
      for (let i = 0; i < 5_000; i++)
        world.tell({ kind: "lost", level: "alert", subject: `pack ${i}`, message: "gone" });
      await world.minutes(3);
      expect(world.sent).toHaveLength(2);
      const [first, second] = world.sent.map(({ content }) => content);
      expect(first!.notices.length + first!.more + second!.notices.length + second!.more).toBe(10_000);
      expect(second!.notices.length).toBeLessThanOrEqual(100);
      expect(world.sent[1]!.at).toBeLessThan(1.3);
    }));

  test("an hour has so many messages, the last says so, and one says what was held back", () =>
    story(MORNING, async (world) => {
      world.rule();
      world.notifier.directory.setChannel("ops", { ...HOOK, hourlyMax: 5, gatherSeconds: 0 });
      for (let i = 0; i < 30; i++) {
        world.tell({ subject: `v/t${i}` });
        await world.minutes(1);
      }
      expect(world.sent).toHaveLength(5);
      expect(world.sent[4]!.content.limitUntil).toBeDefined();
      await world.minutes(60);
      expect(world.sent).toHaveLength(6);
      expect(world.sent[5]!.content).toMatchObject({ held: true });
      expect(world.sent[5]!.content.notices).toHaveLength(25);
      // An hour after the first of the five.
      expect(world.sent[5]!.at).toBeGreaterThan(60);
      expect(world.sent[5]!.at).toBeLessThan(62);
    }));
});

describe("outages", () => {
  test("are bridged with growing pauses; then everything comes, and others are told", () =>
    story(MORNING, async (world) => {
      world.rule({ channels: ["ops"], topics: ["tier"] });
      world.rule({ channels: ["other"], topics: ["notify"] });
      world.down.add("ops");
      world.tell({});
      await world.minutes(6 * 60);
      const pauses = world.tries
        .filter(({ channel }) => channel === "ops")
        .map(({ at }, i, all) => at - (all[i - 1]?.at ?? at));
      expect(pauses.length).toBeLessThan(18);
      expect(pauses[2]!).toBeGreaterThan(pauses[1]!);
      expect(Math.max(...pauses)).toBeLessThan(80);
      expect(world.notifier.channelState("ops")).toMatchObject({ waiting: 1, lastError: "nobody answers" });
      world.down.delete("ops");
      await world.minutes(80);
      expect(world.sent.map((sent) => `${sent.channel}: ${kinds(sent).join()}`)).toEqual([
        "other: channel-failing new",
        "ops: tier-offline new",
        "other: channel-works ended",
      ]);
    }));

  test("survive a restart: what was queued is sent, under the same id", () =>
    story(MORNING, async (world) => {
      world.rule();
      world.down.add("ops");
      world.tell({});
      await world.minutes(5);
      await world.restart();
      world.down.delete("ops");
      await world.minutes(30);
      expect(world.sent.map(kinds)).toEqual([["tier-offline new"]]);
      const [kept] = world.catalog.notify.deliveries({ limit: 1 });
      expect(world.sent[0]!.id).toBe(`sternway-${kept!.createdAt}-${kept!.id}`);
      expect(kept).toMatchObject({ state: "sent", lastError: null });
    }));

  test("what gathers survives a restart too", () =>
    story(MORNING, async (world) => {
      world.rule();
      world.tell({});
      await world.minutes(0.2);
      world.tell({ subject: "v/second" });
      await world.restart();
      await world.minutes(2);
      expect(world.sent.map(kinds)).toEqual([["tier-offline new"], ["tier-offline new"]]);
    }));

  test("of a day end it, with an event that goes round through no channel that fails", () =>
    story(MORNING, async (world) => {
      // Both get everything, both fail: each failure is told through the other.
      world.rule({ channels: ["ops", "other"], remindHours: 0 });
      world.down.add("ops").add("other");
      world.tell({});
      await world.minutes(10 * 24 * 60);
      const told = world.catalog.events({ limit: 1000 }).filter(({ kind }) => kind !== "tier-offline");
      expect(told.map(({ kind, subject }) => `${kind} ${subject}`).sort()).toEqual([
        "channel-failing ops",
        "channel-failing other",
        "delivery-given-up ops",
        "delivery-given-up other",
      ]);
      expect(world.notifier.counts()).toMatchObject({ waiting: 0, sent: 0 });
      expect(world.tries.length).toBeLessThan(400);
    }));

  test("a message that is never taken does not hold up the others", () =>
    story(MORNING, async (world) => {
      world.rule();
      world.down.add("ops");
      world.tell({});
      await world.minutes(2);
      world.tell({ subject: "v/second" });
      await world.minutes(60);
      world.down.delete("ops");
      await world.minutes(70);
      expect(world.sent.map((sent) => sent.content.notices[0]!.subject).sort()).toEqual(["v/second", "v/t"]);
    }));
});

describe("rules", () => {
  test("choose by level, topic, kind and name", () =>
    story(MORNING, async (world) => {
      world.rule({ channels: ["a"], level: "alert" });
      world.rule({ channels: ["b"], level: "info", topics: ["space"] });
      world.rule({ channels: ["c"], level: "info", kinds: ["volume-created"] });
      world.rule({ channels: ["d"], level: "info", about: ["web1"] });
      world.tell({ level: "alert", kind: "damage", subject: "pack 1" });
      world.tell({ level: "warning", kind: "space-low", subject: "store" });
      world.tell({ level: "info", kind: "volume-created", subject: "web1" });
      world.tell({ level: "info", kind: "volume-resized", subject: "x", message: "branch of web1." });
      world.tell({ level: "info", kind: "volume-resized", subject: "web10" });
      await world.minutes(5);
      const got = (name: string): string[] =>
        world.sent
          .filter(({ channel }) => channel === name)
          .flatMap(({ content }) => content.notices.map(({ kind }) => kind));
      expect(got("a")).toEqual(["damage"]);
      expect(got("b")).toEqual(["space-low"]);
      expect(got("c")).toEqual(["volume-created"]);
      expect(got("d")).toEqual(["volume-created", "volume-resized"]);
    }));

  test("in quiet hours only alerts come; the rest comes at their end, by the rule's own zone", () =>
    // 23:00 in Berlin, until 06:00 there: 05:00 UTC.
    story("2026-11-20T22:00:00Z", async (world) => {
      world.rule({ quiet: { from: "22:00", to: "06:00", zone: "Europe/Berlin" } });
      world.tell({ subject: "v/1" });
      await world.minutes(60);
      world.tell({ subject: "v/2" });
      expect(world.sent).toHaveLength(0);
      world.tell({ kind: "space-critical", level: "alert", subject: "store" });
      await world.minutes(1);
      expect(world.sent.map(kinds)).toEqual([["space-critical new"]]);
      await world.restart();
      await world.minutes(8 * 60);
      expect(world.sent).toHaveLength(2);
      expect(world.sent[1]!.content.notices.map(({ subject }) => subject)).toEqual(["v/1", "v/2"]);
      expect(world.sent[1]!.at).toBeGreaterThan(7 * 60 - 1);
      expect(world.sent[1]!.at).toBeLessThan(7 * 60 + 2);
    }));
});

test("a channel that was removed is told nothing more, and what waited for it is gone", () =>
  story(MORNING, async (world) => {
    world.rule();
    world.down.add("ops");
    world.tell({});
    await world.minutes(5);
    world.notifier.deleteChannel("ops");
    world.down.delete("ops");
    await world.minutes(24 * 60);
    expect(world.sent).toEqual([]);
    expect(world.notifier.directory.rules()).toEqual([]);
    expect(world.catalog.notify.deliveries({ limit: 10 })).toEqual([]);
  }));

test("test() sends past the queue and says why it failed", () =>
  story(MORNING, async (world) => {
    world.rule();
    expect(await world.notifier.test("ops")).toMatchObject({ message: "taken", tookMs: 1000 });
    world.down.add("ops");
    await expect(world.notifier.test("ops")).rejects.toThrow("nobody answers");
  }));

const RACE_HOURS = 48;
test("what was sent is not sent again and again when the catalog cannot keep that it was", () =>
  story(MORNING, async (world) => {
    world.rule();
    const full = spyOn(world.catalog.notify, "updateDelivery").mockImplementation((_id, { state }) => {
      if (state === "sent") throw new SternwayError("unavailable", "the catalog could not be used: disk full");
    });
    world.tell({});
    await world.minutes(30);
    expect(world.sent).toHaveLength(1);
    full.mockRestore();
  }));

test("a reminder comes in its time although the clock was ahead by a year when the trouble began", () =>
  story(MORNING, async (world) => {
    world.rule({ remindHours: 6 });
    world.sim.clock.stepWall(365 * 24 * HOUR * 1000);
    world.tell({ kind: "tier-offline" });
    await world.minutes(1);
    world.sim.clock.stepWall(-365 * 24 * HOUR * 1000);
    await world.minutes(7 * 60);
    expect(world.sent.flatMap(kinds)).toEqual(["tier-offline new", "tier-offline reminder"]);
  }));

test("a wall clock that is set back does not stop the queue", () =>
  story(MORNING, async (world) => {
    world.rule();
    world.down.add("ops");
    world.tell({});
    await world.minutes(30);
    world.down.delete("ops");
    world.sim.clock.stepWall(-RACE_HOURS * HOUR * 1000);
    await world.minutes(90);
    expect(world.sent).toHaveLength(1);
  }));
