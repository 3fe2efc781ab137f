/** The audit as it is written: order, durability, rotation, trouble with the disk, and what a start makes of what it finds. */
import { describe, expect, test } from "bun:test";
import { verifyAudit, type AuditReport, type Kept } from "../../../src/audit/audit.ts";
import { seededRandom } from "../../../src/base/random.ts";
import { SimulatedDisk } from "../../../src/base/simulated-disk.ts";
import { Simulation } from "../../../src/base/simulation.ts";
import { parseTime } from "../../../src/base/units.ts";
import { act, AUDIT_DIR, onDisk, openAuditBed } from "../../support/audit-bed.ts";

const FILE = `${AUDIT_DIR}/0001.jsonl`;
const linesOf = (disk: SimulatedDisk, path = FILE): string[] =>
  new TextDecoder().decode(disk.peek(path)).split("\n").slice(0, -1);
const subjectsOf = (disk: SimulatedDisk): string[] =>
  linesOf(disk).flatMap((line) => (JSON.parse(line).subject as string | undefined) ?? []);

describe("append()", () => {
  test("keeps entries in the order in which they came, each after the one before", async () => {
    const { disk } = await onDisk(1, async (sim, each) => {
      const { trail } = await openAuditBed(sim, each);
      const kept = await Promise.all(Array.from({ length: 500 }, (_, i) => trail.append(act(`v${i}`))));
      expect(new Set(kept)).toEqual(new Set<Kept>(["kept"]));
      expect((await verifyAudit(each, AUDIT_DIR)).findings).toEqual([]);
      await trail.stop();
    });
    expect(subjectsOf(disk)).toEqual(["audit", ...Array.from({ length: 500 }, (_, i) => `v${i}`)]);
    // Synced in groups, not one by one.
    expect(disk.log().filter((each) => each.operation === "sync").length).toBeLessThan(20);
  });

  test("no text of a client makes a line of its own, or hides in a terminal", async () => {
    const { disk } = await onDisk(2, async (sim, each) => {
      const { trail } = await openAuditBed(sim, each);
      const nasty = 'a\n{"seq":9}\u2028\u202e\u001b[2J\u0000\ud800"\\';
      await trail.append(
        act(nasty, { who: "x".repeat(5000), detail: { note: nasty, long: "\u0007".repeat(5000), n: Number.NaN } }),
      );
      await trail.stop();
    });
    const line = linesOf(disk).at(-2) ?? "";
    // oxlint-disable-next-line no-control-regex -- they are what must not be there
    expect(line).not.toMatch(/[\u0000-\u001f\u007f-\u009f\u2028\u2029\u202e]/);
    expect(line.length).toBeLessThan(2000);
    const entry = JSON.parse(line) as { subject: string; who: string; detail: Record<string, unknown> };
    expect(entry.subject).toBe('a\\u{a}{"seq":9}\\u{2028}\\u{202e}\\u{1b}[2J\\u{0}\ufffd"\\');
    expect(entry.who.length).toBe(128);
    expect(entry.detail["n"]).toBe("NaN");
    expect(String(entry.detail["long"]).length).toBe(256);
  });

  test("an entry is signed within a minute, and at the stop", async () => {
    await onDisk(3, async (sim, disk) => {
      const { trail } = await openAuditBed(sim, disk);
      await trail.append(act("web1"));
      expect((await verifyAudit(disk, AUDIT_DIR)).unsealed).toBe(1);
      await sim.clock.sleep(61_000);
      expect((await verifyAudit(disk, AUDIT_DIR)).unsealed).toBe(0);
      const quiet = linesOf(disk).length;
      await sim.clock.sleep(600_000);
      expect(linesOf(disk).length).toBe(quiet);
      await trail.append(act("web2"));
      await trail.stop();
      expect((await verifyAudit(disk, AUDIT_DIR)).unsealed).toBe(0);
      expect(disk.openFileCount).toBe(0);
    });
  });

  test("never leaves more than 256 lines without a signature", async () => {
    await onDisk(4, async (sim, disk) => {
      const { trail } = await openAuditBed(sim, disk);
      for (let i = 0; i < 20; i++) {
        await Promise.all(Array.from({ length: 50 }, () => trail.append(act("web1"))));
        expect((await verifyAudit(disk, AUDIT_DIR)).unsealed).toBeLessThan(256);
      }
      await trail.stop();
    });
  });
});

describe("files", () => {
  test("are full at 8 MiB, end with a seal, and are followed by the next", async () => {
    await onDisk(5, async (sim, disk) => {
      disk.latency = { minMicros: 1, maxMicros: 2, tailOneIn: 0, tailFactor: 1 };
      const { trail } = await openAuditBed(sim, disk);
      const detail = Object.fromEntries(Array.from({ length: 16 }, (_, i) => [`d${i}`, "x".repeat(256)]));
      for (let i = 0; i < 20; i++) {
        await Promise.all(Array.from({ length: 100 }, (_, k) => trail.append(act(`v${i * 100 + k}`, { detail }))));
      }
      await trail.stop();
      const first = linesOf(disk);
      expect(disk.peek(FILE)?.length).toBeGreaterThan(8 * 2 ** 20 - 70_000);
      expect(disk.peek(FILE)?.length).toBeLessThan(8 * 2 ** 20 + 70_000);
      expect(JSON.parse(first.at(-1) ?? "").seal).toBeString();
      expect(disk.paths()).toContain(`${AUDIT_DIR}/0002.jsonl`);
      const report = await verifyAudit(disk, AUDIT_DIR);
      expect(report.findings).toEqual([]);
      expect(report.entries).toBe(2001);
      // A start goes on in the newest one, and a page finds what lies in the older one.
      const again = await openAuditBed(sim, disk);
      expect(await again.trail.append(act("after"))).toBe("kept");
      const page = await again.trail.list({ limit: 5, subjects: ["v3"] });
      expect(page.entries.map((entry) => entry.subject)).toEqual(["v3"]);
      await again.trail.stop();
      expect((await verifyAudit(disk, AUDIT_DIR)).findings).toEqual([]);
      // Without one of them the chain does not hold.
      await disk.remove(FILE);
      expect((await verifyAudit(disk, AUDIT_DIR)).findings[0]?.what).toContain("the beginning is missing");
    });
  });
});

describe("list()", () => {
  test("gives entries newest first, by page and by what they say", async () => {
    await onDisk(6, async (sim, disk) => {
      const { trail } = await openAuditBed(sim, disk);
      for (let i = 0; i < 30; i++) {
        await trail.append(
          act(i % 3 === 0 ? "web1/b1" : "web10", {
            who: i % 2 === 0 ? "ann" : "bob",
            ...(i === 7 ? { result: "refused" } : {}),
          }),
        );
        await sim.clock.sleep(1_000);
      }
      const first = await trail.list({ limit: 10 });
      const second = await trail.list({ limit: 10, before: first.next });
      const seqs = [...first.entries, ...second.entries].map((entry) => entry.seq);
      expect(seqs).toEqual(seqs.toSorted((a, b) => b - a));
      expect(new Set(seqs).size).toBe(20);
      expect((await trail.list({ limit: 100, who: "bob" })).entries.length).toBe(15);
      expect((await trail.list({ limit: 100, subjects: ["web1"] })).entries.length).toBe(10);
      expect((await trail.list({ limit: 100, result: "refused" })).entries.length).toBe(1);
      expect((await trail.list({ limit: 100, action: "audit-begun" })).entries.length).toBe(1);
      const time = parseTime(second.entries[0]?.time ?? "");
      const older = await trail.list({ limit: 100, to: time });
      expect(older.entries[0]?.seq).toBe((second.entries[0]?.seq ?? 0) - 1);
      const newer = await trail.list({ limit: 100, from: time });
      expect(newer.entries.at(-1)?.seq).toBe(second.entries[0]?.seq);
      expect(newer.next).toBeUndefined();
      await trail.stop();
    });
  });
});

describe("when the disk fails", () => {
  test("entries are answered, wait, and are all there when it is well again", async () => {
    await onDisk(7, async (sim, disk) => {
      const { trail, told } = await openAuditBed(sim, disk);
      await trail.append(act("before"));
      for (const effect of ["ENOSPC", "EIO"] as const) {
        for (const operation of ["write", "sync"] as const) {
          const fault = disk.inject({ operations: [operation], effect, path: FILE, times: Infinity });
          expect(await trail.append(act(`${effect} ${operation}`))).toBe("waiting");
          expect(trail.trouble).toContain(effect);
          expect(await trail.append(act("meanwhile"))).toBe("waiting");
          fault.heal();
          await sim.clock.sleep(120_000);
          expect(trail.trouble).toBeUndefined();
        }
      }
      expect(told).toEqual(Array.from({ length: 4 }, () => "audit-not-kept"));
      await trail.stop();
      expect((await verifyAudit(disk, AUDIT_DIR)).findings).toEqual([]);
      expect(subjectsOf(disk).filter((subject) => subject === "meanwhile").length).toBe(4);
    });
  });

  test("memory is bounded, and what had no room is told in the chain", async () => {
    await onDisk(8, async (sim, disk) => {
      const { trail } = await openAuditBed(sim, disk);
      await trail.append(act("before"));
      const fault = disk.inject({ operations: ["write"], effect: "ENOSPC", path: FILE, times: Infinity });
      const detail = Object.fromEntries(Array.from({ length: 16 }, (_, i) => [`d${i}`, "x".repeat(256)]));
      const kept: Kept[] = [];
      for (let i = 0; i < 2000; i++) kept.push(await trail.append(act("many", { detail })));
      const dropped = kept.filter((each) => each === "dropped").length;
      expect(dropped).toBeGreaterThan(500);
      fault.heal();
      await sim.clock.sleep(120_000);
      expect(await trail.append(act("after"))).toBe("kept");
      await trail.stop();
      const gap = linesOf(disk)
        .map((line) => JSON.parse(line))
        .find((line) => line.action === "audit-gap");
      expect(gap.detail.lost).toBe(dropped);
      expect((await verifyAudit(disk, AUDIT_DIR)).findings).toEqual([]);
    });
  });
});

describe("after a crash", () => {
  test("at any step the chain holds every entry that was answered for, and goes on", async () => {
    for (let seed = 1; seed <= 150; seed++) {
      const sim = new Simulation(seed);
      const answered: string[] = [];
      const first = new SimulatedDisk(sim);
      let disk = first;
      const story = async (): Promise<void> => {
        const { trail } = await openAuditBed(sim, first);
        const sizes = seededRandom(seed);
        const one = async (i: number): Promise<void> => {
          const name = `v${i}`;
          const detail = { note: "x".repeat(sizes.below(256)) };
          if ((await trail.append(act(name, { detail }))) === "kept") answered.push(name);
        };
        for (let i = 0; i < 60; i += 6) await Promise.all([0, 1, 2, 3, 4, 5].map((k) => one(i + k)));
        await trail.stop();
      };
      await sim.runFor(10 + seededRandom(seed).below(90), story);
      // Twice: what a start makes of the end may itself be cut short.
      for (const round of [1, 2]) {
        const next: Simulation = sim.rebooted(seed * 10 + round);
        disk = disk.crashed(next);
        const on: SimulatedDisk = disk;
        const rebooted = async (): Promise<void> => {
          const { trail, told } = await openAuditBed(next, on);
          expect(
            told.filter((kind) => kind === "audit-broken"),
            `seed ${seed}`,
          ).toEqual([]);
          expect(await trail.append(act(`start${round}`))).toBe("kept");
          answered.push(`start${round}`);
          await trail.stop();
        };
        if (round === 1) {
          await next.runFor(5 + next.random.below(40), rebooted);
          continue;
        }
        await next.run(async () => {
          await rebooted();
          const report = await verifyAudit(on, AUDIT_DIR);
          expect(report.findings, `seed ${seed}`).toEqual([]);
          const there = new Set(subjectsOf(on));
          expect(
            answered.filter((name) => !there.has(name)),
            `seed ${seed}`,
          ).toEqual([]);
        });
      }
    }
  }, 60_000);

  test("a line that was torn at any byte is cut off, and told", async () => {
    const { disk } = await onDisk(9, async (sim, each) => {
      const { trail } = await openAuditBed(sim, each);
      for (let i = 1; i <= 3; i++) await trail.append(act(`web${i}`));
      await sim.clock.sleep(1);
    });
    const whole = disk.peek(FILE) ?? new Uint8Array(0);
    const start = whole.lastIndexOf(10, whole.length - 2) + 1;
    for (let cut = start + 1; cut < whole.length; cut++) {
      await onDisk(cut, async (sim, each) => {
        await each.mkdir(AUDIT_DIR);
        await copyFile(disk, each, `${AUDIT_DIR}/key.pem`);
        const file = await each.open(FILE, "create");
        await file.write(whole.slice(0, cut), 0);
        await file.close();
        const { trail, told } = await openAuditBed(sim, each);
        expect(told).toEqual(["audit-torn"]);
        await trail.stop();
        expect((await verifyAudit(each, AUDIT_DIR)).findings).toEqual([]);
        const torn = linesOf(each)
          .map((line) => JSON.parse(line))
          .find((line) => line.action === "audit-torn");
        expect(torn.detail).toEqual({ file: "0001.jsonl", offset: start, bytes: cut - start });
        expect(subjectsOf(each).filter((subject) => subject.startsWith("web"))).toEqual(["web1", "web2"]);
      });
    }
  });
});

describe("a start that finds the chain changed", () => {
  async function afterChange(
    change: (disk: SimulatedDisk) => Promise<void> | void,
  ): Promise<{ disk: SimulatedDisk; told: string[] }> {
    let told: string[] = [];
    const { disk } = await onDisk(11, async (sim, each) => {
      const first = await openAuditBed(sim, each);
      for (let i = 1; i <= 5; i++) await first.trail.append(act(`web${i}`));
      await first.trail.stop();
      await change(each);
      const second = await openAuditBed(sim, each, { random: seededRandom(78) });
      told = second.told;
      expect(await second.trail.append(act("after"))).toBe("kept");
      await second.trail.stop();
    });
    return { disk, told };
  }

  test("sets the file aside whole, tells it as an alert, and begins a chain that names the old one", async () => {
    let old: Uint8Array | undefined;
    const { disk, told } = await afterChange((each) => {
      each.flipBit(FILE, 700);
      old = each.peek(FILE);
    });
    expect(told).toEqual(["audit-broken"]);
    expect(disk.peek(`${AUDIT_DIR}/0001.broken`)).toEqual(old);
    const begun = JSON.parse(linesOf(disk, `${AUDIT_DIR}/0002.jsonl`)[0] ?? "");
    expect(begun.action).toBe("audit-begun");
    expect(begun.detail.reason).toContain("0001.jsonl, line 2");
    expect(begun.detail.oldSeq).toBe(1);
    expect(begun.detail.oldHash).toBe(JSON.parse(new TextDecoder().decode(old).split("\n")[0] ?? "").hash);
    expect(begun.seq).toBe(9);
    // The break stays to be seen, whatever was set aside is moved to.
    const report = await verified(disk);
    expect(report.findings.map((each) => each.what).join()).toContain("the one before broke: 0001.jsonl, line 2");
    expect(report.notes.join()).toContain("0001.broken");
  });

  test("does not go on under another key", async () => {
    const { disk, told } = await afterChange((each) => each.scribble(`${AUDIT_DIR}/key.pem`, 60, new Uint8Array(8)));
    expect(told).toEqual(["audit-broken"]);
    expect(disk.paths()).toContain(`${AUDIT_DIR}/key.pem.broken`);
    const whats = (await verified(disk)).findings.map((each) => each.what).join();
    expect(whats).toContain("the key changes here");
  });

  test("finds a file that does not follow the file before it", async () => {
    const { disk, told } = await afterChange(async (each) => {
      const file = await each.open(`${AUDIT_DIR}/0002.jsonl`, "create");
      await file.write(new TextEncoder().encode(`${linesOf(each)[0]}\n`), 0);
      await file.close();
    });
    expect(told).toEqual(["audit-broken"]);
    expect(disk.paths()).toContain(`${AUDIT_DIR}/0002.broken`);
    expect(disk.paths()).toContain(`${AUDIT_DIR}/0003.jsonl`);
  });

  test("removes nothing but leftovers of its own", async () => {
    const { disk } = await afterChange(async (each) => {
      for (const name of ["0001.jsonl.tmp", "notes.txt"]) {
        const file = await each.open(`${AUDIT_DIR}/${name}`, "create");
        await file.close();
      }
    });
    expect(disk.paths()).toContain(`${AUDIT_DIR}/notes.txt`);
    expect(disk.paths()).not.toContain(`${AUDIT_DIR}/0001.jsonl.tmp`);
  });
});

/** Verifies a disk whose world has ended, in another one. */
async function verified(disk: SimulatedDisk): Promise<AuditReport> {
  const sim = new Simulation(1);
  const copy = disk.shutDown(sim);
  return await sim.run(() => verifyAudit(copy, AUDIT_DIR));
}

async function copyFile(from: SimulatedDisk, to: SimulatedDisk, path: string): Promise<void> {
  const file = await to.open(path, "create");
  await file.write(from.peek(path) ?? new Uint8Array(0), 0);
  await file.close();
}
