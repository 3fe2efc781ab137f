import { describe, expect, test } from "bun:test";
import { seededRandom } from "../../../src/base/random.ts";
import { Detector, type Finding, type Observation, type Suspicion } from "../../../src/signals/detector.ts";
import { DiskModel, type Habit } from "../../support/disk-habits.ts";
import { forSeeds } from "../../support/seeds.ts";

const MINUTE = 12;

function machine(seed: number, options: ConstructorParameters<typeof DiskModel>[1] = {}, full = 0.4): DiskModel {
  const disk = new DiskModel(seededRandom(seed), options);
  disk.populate(full);
  return disk;
}

/** Lets a habit go on. @returns what was found */
function live(detector: Detector, disk: DiskModel, habit: Habit, steps: number, pace = 400): Finding[] {
  const found: Finding[] = [];
  for (let i = 0; i < steps; i++) {
    const finding = detector.observe(disk.step(habit, pace));
    if (finding) found.push(finding);
  }
  return found;
}

const alarmOf = (found: readonly Finding[]): Suspicion | undefined =>
  found.flatMap((each) => (each.kind === "alarm" ? [each.suspicion] : []))[0];

describe("Detector", () => {
  const harmless: [what: string, habit: Habit, pace: number][] = [
    ["a package upgrade", "upgrade", 1500],
    ["a database load", "database", 2000],
    ["a copied film", "video", 4000],
    ["restoring a backup over everything", "restore", 4000],
    ["defragmenting", "defragment", 3000],
    ["saving documents", "edit", 600],
    ["swapping", "swap", 1500],
    ["mail with attachments", "mail", 800],
  ];
  for (const [what, habit, pace] of harmless) {
    test(`${what} gives no alarm`, () => {
      const disk = machine(1, { blocks: 500_000 }, 0.2);
      const detector = new Detector("normal");
      expect(live(detector, disk, "idle", MINUTE)).toEqual([]);
      expect(live(detector, disk, habit, 4 * MINUTE, pace)).toEqual([]);
    });
  }

  test("a disk that always looked random gives no alarm, whatever is done to it", () => {
    const disk = machine(2, { dense: true });
    const detector = new Detector("high");
    for (const habit of ["edit", "upgrade", "database", "encrypt"] as const) {
      expect(live(detector, disk, habit, 2 * MINUTE, 3000)).toEqual([]);
    }
  });

  test("files that are encrypted in place give an alarm within a minute, with the last flush before", () => {
    const disk = machine(3);
    const detector = new Detector("normal");
    live(detector, disk, "upgrade", 2 * MINUTE);
    live(detector, disk, "edit", 2 * MINUTE);
    const began = { lsn: disk.lsn, at: disk.now };
    const alarm = alarmOf(live(detector, disk, "encrypt", MINUTE, 300))!;
    expect(alarm.at - began.at).toBeLessThan(60e6);
    expect(alarm.firstLsn).toBeGreaterThan(began.lsn);
    expect(alarm.before.lsn).toBeLessThan(alarm.firstLsn);
    // Not later than the attack, nor long before it.
    expect(alarm.before).toEqual({ lsn: alarm.before.lsn, isFlushPoint: true });
    expect(alarm.from).toBeGreaterThanOrEqual(began.at - 60e6);
    expect(alarm.share).toBeGreaterThan(0.4);
  });

  test("a slow attack is found too", () => {
    const disk = machine(4);
    const detector = new Detector("normal");
    expect(alarmOf(live(detector, disk, "encrypt", 14 * MINUTE, 20))).toBeDefined();
  });

  test("without a flush before, the moment is the one before the first suspicious write", () => {
    const detector = new Detector("normal");
    const found = detector.observe({ ...quiet(0), fresh: 900, turned: 900, turnedLsn: 50, flushBefore: 0 });
    expect(found).toMatchObject({ kind: "alarm", suspicion: { before: { lsn: 49, isFlushPoint: false } } });
  });

  test("the moment is that of the first slice which looks like an attack, not of a stray block before", () => {
    const detector = new Detector("normal");
    detector.observe({ ...quiet(0), fresh: 200, turned: 1, turnedLsn: 11, flushBefore: 10, flushLsn: 12 });
    detector.observe({ ...quiet(1), fresh: 300, turned: 200, turnedLsn: 31, flushBefore: 30, flushLsn: 30 });
    const found = detector.observe({ ...quiet(2), fresh: 900, turned: 800, turnedLsn: 41, flushBefore: 40 });
    expect(found).toMatchObject({ kind: "alarm", suspicion: { before: { lsn: 30 }, firstLsn: 31, turned: 1000 } });
  });

  test("raises one alarm while it goes on, and says when it is over", () => {
    const disk = machine(5);
    const detector = new Detector("normal");
    const found = live(detector, disk, "encrypt", 3 * MINUTE, 400);
    expect(found.filter(({ kind }) => kind === "alarm")).toHaveLength(1);
    expect(found.some(({ kind }) => kind === "more")).toBe(true);
    expect(detector.score).toBe(1);
    expect(live(detector, disk, "idle", 5 * MINUTE).filter(({ kind }) => kind !== "more")).toEqual([]);
    expect(live(detector, disk, "idle", 25 * MINUTE).map(({ kind }) => kind)).toEqual(["over"]);
    expect(detector.isAlarmed).toBe(false);
    expect(detector.score).toBeLessThan(0.1);
  });

  test("is over as well when nothing at all is written any more", () => {
    const disk = machine(6);
    const detector = new Detector("normal");
    live(detector, disk, "encrypt", MINUTE, 900);
    expect(detector.isAlarmed).toBe(true);
    expect(detector.rest(disk.now + 60e6)).toBeUndefined();
    expect(detector.rest(disk.now + 30 * 60e6)).toMatchObject({ kind: "over" });
  });

  test("what somebody meant gives no second alarm, and twice as much does", () => {
    const detector = new Detector("normal");
    const attack = (at: number, turned: number): Observation => ({
      ...quiet(at),
      fresh: turned,
      turned,
      turnedLsn: at * 100 + 50,
    });
    expect(detector.observe(attack(0, 1000))?.kind).toBe("alarm");
    detector.tolerate(1000, quiet(0).to);
    expect(detector.isAlarmed).toBe(false);
    expect(detector.observe(attack(200, 1000))).toBeUndefined();
    expect(detector.observe(attack(400, 2000))?.kind).toBe("alarm");
  });

  test("learns what is usual: a volume where much turns every minute needs more for an alarm", () => {
    const usual = new Detector("normal");
    const fresh = new Detector("normal");
    for (let i = 0; i < 40 * MINUTE; i++) {
      usual.observe({ ...quiet(i), fresh: 200, turned: 36, turnedLsn: i * 100 + 50 });
    }
    expect(usual.isAlarmed).toBe(false);
    expect(usual.baseline.usualTurned).toBe(256);
    const burst = { ...quiet(40 * MINUTE), fresh: 700, turned: 600, turnedLsn: 1 };
    expect(fresh.observe(burst)?.kind).toBe("alarm");
    expect(usual.observe(burst)).toBeUndefined();
  });

  test("does not learn an attack while it goes on", () => {
    const disk = machine(7, { blocks: 300_000 });
    const detector = new Detector("normal");
    live(detector, disk, "edit", 15 * MINUTE);
    const before = detector.baseline.usualTurned;
    live(detector, disk, "encrypt", 5 * MINUTE, 900);
    expect(detector.baseline.usualTurned).toBe(before);
  });

  test("goes on after a restart with what it knew", () => {
    const disk = machine(8);
    const first = new Detector("high");
    live(first, disk, "mail", 20 * MINUTE);
    live(first, disk, "encrypt", MINUTE, 2000);
    const second = new Detector("high", structuredClone(first.toState()));
    expect(second.isAlarmed).toBe(first.isAlarmed);
    expect(second.baseline.toState()).toEqual(first.baseline.toState());
    expect(live(second, disk, "encrypt", 2, 2000).map(({ kind }) => kind)).not.toContain("alarm");
  });

  test("is deterministic, and off means off", () => {
    const [one, two] = [new Detector("normal"), new Detector("normal")];
    const disks = [machine(9), machine(9)] as const;
    expect(live(one, disks[0], "encrypt", MINUTE)).toEqual(live(two, disks[1], "encrypt", MINUTE));
    const off = new Detector("off");
    expect(live(off, machine(9), "encrypt", 2 * MINUTE, 3000)).toEqual([]);
    expect(off.score).toBe(0);
  });
});

describe("mistakes on random mixtures", () => {
  const HABITS: readonly Habit[] = [
    "idle",
    "upgrade",
    "database",
    "video",
    "restore",
    "defragment",
    "edit",
    "swap",
    "mail",
  ];

  forSeeds("no alarm for harmless habits, and an attack among them is found within a minute", 60, [], async (seed) => {
    const random = seededRandom(seed);
    const trims = random.below(2) === 0;
    const disk = machine(seed, { blocks: 500_000, trims }, 0.1 + random.below(20) / 100);
    const detector = new Detector("normal");
    for (let i = 0; i < 30; i++) {
      const wanted = HABITS[random.below(HABITS.length)]!;
      // A film that lands on what was removed and never trimmed cannot be told from an attack.
      const habit = wanted === "video" && !trims ? "upgrade" : wanted;
      const found = live(detector, disk, habit, 1 + random.below(MINUTE), 50 + random.below(1500));
      expect({ seed, i, habit, found }).toEqual({ seed, i, habit, found: [] });
    }
    const aside = (["idle", "database", "edit"] as const)[random.below(3)]!;
    const began = disk.now;
    let alarm: Suspicion | undefined;
    for (let i = 0; i < MINUTE / 2 && !alarm; i++) {
      alarm = alarmOf(live(detector, disk, "encrypt", 1, 2500)) ?? alarmOf(live(detector, disk, aside, 1, 300));
    }
    expect({ seed, aside, found: alarm !== undefined }).toEqual({ seed, aside, found: true });
    expect(alarm!.at - began).toBeLessThanOrEqual(60e6);
  });
});

/** A slice of five seconds in which nothing happened. */
function quiet(at: number): Observation {
  const from = 1_800_000_000e6 + at * 5e6;
  return {
    from,
    to: from + 4.9e6,
    firstLsn: at * 100,
    lastLsn: at * 100 + 99,
    flushLsn: 0,
    fresh: 0,
    duplicate: 0,
    turned: 0,
    turnedLsn: 0,
    flushBefore: 0,
    unknown: 0,
  };
}
