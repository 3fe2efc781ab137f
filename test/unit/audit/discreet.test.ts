import { describe, expect, test } from "bun:test";
import { AuditTrail, type AuditFacts } from "../../../src/audit/audit.ts";
import { systemClock } from "../../../src/base/clock.ts";
import { seededRandom } from "../../../src/base/random.ts";
import { act } from "../../support/audit-bed.ts";
import { MemoryDisk } from "../../support/memory-disk.ts";

/** A trail over an encrypted vault `safe` with the volume `web1`, and how often it was asked for a word's vault. */
async function openTrail() {
  const asked: string[] = [];
  const trail = await AuditTrail.open({
    disk: new MemoryDisk(),
    clock: systemClock,
    random: seededRandom(5),
    dir: "/data/audit",
    vaultNaming(word) {
      asked.push(word);
      return word === "web1" ? "safe" : undefined;
    },
  });
  const kept = async (facts: AuditFacts): Promise<AuditFacts> => {
    await trail.append(facts);
    const { entries } = await trail.list({ limit: 1 });
    return entries[0]!;
  };
  return { trail, asked, kept };
}

describe("an entry about an encrypted vault", () => {
  test("has prints for names, wherever they stand", async () => {
    const { trail, kept } = await openTrail();
    const entry = await kept(act("web1/case-4711", { detail: { name: "case-4711", status: 201 } }));
    expect(entry.subject).toBe(`safe:${trail.printOf("web1")}/${trail.printOf("case-4711")}`);
    expect(entry.detail).toEqual({ name: trail.printOf("case-4711"), status: 201 });
    await trail.stop();
  });

  test("costs a bounded search, whatever somebody sends: it is cut first, and too many names are printed unseen", async () => {
    const { trail, asked, kept } = await openTrail();
    const many = Array.from({ length: 30_000 }, (_, i) => `w${i}`).join("/");
    const detail = Object.fromEntries(["name", "volume", "machine", "vault", "at", "to"].map((name) => [name, many]));
    const entry = await kept(act(`GET /${many}/web1`, { action: "request", result: "refused", detail }));
    expect(asked.length).toBeLessThan(100);
    expect(entry.subject).not.toContain("w7/");
    // The same word again and again is one.
    asked.length = 0;
    await kept(act("a/".repeat(100)));
    expect(asked).toEqual(["a"]);
    await trail.stop();
  });
});
