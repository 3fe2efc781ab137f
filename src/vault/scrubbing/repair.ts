/**
 * Repair, the asking side: brings back the blocks of a damaged pack from wherever an equal block still lies, and lets the pack
 * be written anew with them. Sources are asked in order of what they cost; each is a {@link FindCopy}. Other tiers will be further ones.
 *
 * A block counts as found when it matches the fingerprint that the damaged pack's own directory keeps (see repair-pack.ts for how far
 * that proves it). Slots that nothing refers to are freed. What stays lost keeps its slot, its fingerprint and its place in the
 * quarantine, so that a later attempt may still find a copy: a client may write the same block again.
 *
 * The new file is durable before a manifest names it, and the old one is deleted when its last reader is gone (law 5).
 */
import { xxh64 } from "../../base/hash.ts";
import { BLOCK_SIZE } from "../../base/units.ts";
import { isDamage } from "../checking/check-report.ts";
import type { Manifest, PackRecord, QuarantineRecord } from "../manifest.ts";
import { FINGERPRINT_FREED } from "../packs/pack-format.ts";
import { slotRanges } from "../packs/quarantine.ts";
import type { FoundBlock, WantedSlot } from "./repair-pack.ts";
import type { RewriteResult } from "./scrub-work.ts";
import type { Vault } from "../vault.ts";

/** Looks in one place for blocks with the wanted fingerprints. May give fewer than asked for; gives none that does not match. */
export type FindCopy = (record: PackRecord, wanted: readonly WantedSlot[]) => Promise<FoundBlock[]>;

/** What a repair did, in slots. */
export interface RepairReport {
  /** Brought back, by the source's name. */
  restored: Record<string, number>;
  /** Nothing referred to them. */
  freed: number;
  /** Still missing. */
  lost: number;
  /** Why nothing could be done, when that was so. */
  obstacle?: string;
}

export interface RepairRequest {
  record: PackRecord;
  /** Slots that cannot be read. None: the pack is whole but for what can be made anew. */
  damaged: readonly number[];
  /** Slots of the pack that the map refers to; undefined when that is not certain: then none is freed. */
  referred: ReadonlySet<number> | undefined;
  sources: Readonly<Record<string, FindCopy>>;
}

/** What there is to ask on this machine, cheapest first: the pack itself, the journal's memory maps, and where the fingerprint index points. */
export function localSources(vault: Vault): Record<string, FindCopy> {
  const { runner } = vault.sealing;
  const ask =
    (where: "itself" | "index"): FindCopy =>
    (record, wanted) =>
      runner.run({ kind: "find-copies", record, wanted: [...wanted], where, among: [] });
  return { itself: ask("itself"), journal: journalCopies(vault), index: ask("index") };
}

/** Blocks that wait in the journal to be sealed. */
export function journalCopies(vault: Vault): FindCopy {
  return async (_record, wanted) => {
    const { sealing, journal, parts } = vault;
    const missing = new Map<bigint, number[]>();
    for (const { slot, print } of wanted) {
      const slots = missing.get(print);
      if (slots) slots.push(slot);
      else missing.set(print, [slot]);
    }
    const found: FoundBlock[] = [];
    // Pinned, so that no journal file is recycled while it is read.
    const version = sealing.versions.acquire();
    try {
      for (const table of version.memtables) {
        for (let node = 0; node < table.nodeCount && missing.size > 0; node++) {
          const print = table.printOf(node);
          const slots = table.hasBytes(node) ? missing.get(print) : undefined;
          if (!slots) continue;
          const bytes = new Uint8Array(BLOCK_SIZE);
          try {
            await journal.read(table.fileSequence, table.locationOf(node), bytes);
          } catch (error) {
            // Not there either.
            if (!isDamage(error)) throw error;
            continue;
          }
          if (xxh64(bytes, parts.identity.seed) !== print) continue;
          for (const slot of slots) found.push({ slot, bytes });
          missing.delete(print);
        }
        // A memory map may have a quarter of a million nodes: clients get their turn between two of them.
        await parts.clock.sleep(0);
      }
    } finally {
      sealing.versions.release(version);
    }
    return found;
  };
}

/**
 * Repairs one pack as far as possible.
 * @throws unavailable: the disk failed, or the vault stops; nothing has changed
 */
export async function repairPack(vault: Vault, request: RepairRequest): Promise<RepairReport> {
  const { record, referred, sources } = request;
  const report: RepairReport = { restored: {}, freed: 0, lost: request.damaged.length };
  let prints: BigUint64Array;
  try {
    prints = (await vault.parts.packs.directory(record.pack)).fingerprints;
  } catch (error) {
    if (!isDamage(error)) throw error;
    return { ...report, obstacle: `its directory is damaged: without it no copy can be told (${error.message})` };
  }
  const damaged = request.damaged.filter((slot) => prints[slot] !== undefined && prints[slot] !== FINGERPRINT_FREED);
  const freed = referred ? damaged.filter((slot) => !referred.has(slot)) : [];
  const isFreed = new Set(freed);
  const replace = new Map<number, Uint8Array>();
  for (const [name, find] of Object.entries(sources)) {
    const wanted = damaged
      .filter((slot) => !isFreed.has(slot) && !replace.has(slot))
      .map((slot) => ({ slot, print: prints[slot]! }));
    if (wanted.length === 0) break;
    const found = await find(record, wanted);
    for (const { slot, bytes } of found) replace.set(slot, bytes);
    if (found.length > 0) report.restored[name] = found.length;
  }
  report.freed = freed.length;
  report.lost = damaged.length - freed.length - replace.size;
  if (damaged.length > 0 && report.lost === damaged.length) return report;
  try {
    const isDone = await rewrite(vault, record, damaged, freed, replace);
    return isDone ? report : { ...report, obstacle: "the pack was written anew meanwhile" };
  } catch (error) {
    if (!isDamage(error)) throw error;
    return { restored: {}, freed: 0, lost: damaged.length, obstacle: error.message };
  }
}

/** @returns false: the pack is another one by now */
async function rewrite(
  vault: Vault,
  record: PackRecord,
  damaged: readonly number[],
  freed: readonly number[],
  replace: ReadonlyMap<number, Uint8Array>,
): Promise<boolean> {
  const { sealing, parts } = vault;
  const { runner } = sealing;
  let told: Promise<unknown> | undefined;
  await sealing.perform(async () => {
    if (sealing.locate(record.pack)?.generation !== record.generation) return undefined;
    const result = await runner.run({
      kind: "rewrite",
      record,
      damaged: [...damaged],
      freed: [...freed],
      replace: [...replace].map(([slot, bytes]) => ({ slot, bytes })),
    });
    const { manifest } = sealing;
    const quarantined = heldAfter(result);
    return {
      changes: {
        packs: manifest.packs.map((other) => (other.pack === record.pack ? result.record : other)),
        quarantine: withQuarantine(manifest, quarantined),
      },
      published: () => {
        sealing.takeOverPack(record, result.record, parts.packs);
        // Before the next step's own requests, so that they meet the new file.
        told = runner
          .run({ kind: "packs", packs: [result.record], index: false, quarantine: [] })
          .then(() => runner.run({ kind: "quarantine", record: quarantined }));
      },
    };
  });
  await told;
  return told !== undefined;
}

function heldAfter({ record: { pack, generation }, lost }: RewriteResult): QuarantineRecord {
  return { pack, generation, slots: slotRanges(lost) };
}

/** The manifest's list with one pack's record set anew; a record without slots is none. Records of packs that are gone fall out. */
export function withQuarantine(manifest: Manifest, record: QuarantineRecord): QuarantineRecord[] {
  const live = new Map(manifest.packs.map(({ pack, generation }) => [pack, generation]));
  const others = (manifest.quarantine ?? []).filter(
    (other) => other.pack !== record.pack && live.get(other.pack) === other.generation,
  );
  return [...others, ...(record.slots.length > 0 ? [record] : [])].sort((a, b) => a.pack - b.pack);
}
