/**
 * What the sealer does for the scrub, in its own thread: reads packs from end to end, keeps what is quarantined away from the
 * deduplicator, finds copies of damaged blocks, and writes packs anew. One request is at most one pack's work (a search: as many
 * directories as it is given), so that sealing never waits for longer.
 */
import type { Disk } from "../../base/disk.ts";
import { isSternwayError, SternwayError } from "../../base/errors.ts";
import type { VaultCipher } from "../../security/cipher.ts";
import type { Deduplicator } from "../packs/deduplicator.ts";
import type { FingerprintIndex } from "../packs/fingerprint-index.ts";
import type { PackRecord, QuarantineRecord } from "../manifest.ts";
import { blockAddress } from "../map.ts";
import { PackBuilder } from "../packs/pack-builder.ts";
import { FINGERPRINT_FREED } from "../packs/pack-format.ts";
import type { PackStore } from "../packs/pack-reader.ts";
import type { PackDamage } from "../packs/pack-verify.ts";
import type { Quarantine } from "../packs/quarantine.ts";
import { repack } from "../collecting/repack.ts";
import { proveCopies, type FoundBlock, type WantedSlot } from "./repair-pack.ts";

/** Reads a whole pack, past the caches. */
export interface VerifyRequest {
  kind: "verify";
  record: PackRecord;
}

/** Says anew what is quarantined of a pack: from then on nothing new refers to those slots. No slots: nothing is, and what is cached of it is dropped. */
export interface QuarantineRequest {
  kind: "quarantine";
  record: QuarantineRecord;
}

/**
 * Looks for blocks that match fingerprints.
 * - `itself`: in the damaged pack, by reading again and by what is sound in damaged frames
 * - `index`: where the fingerprint index points
 * - `packs`: in the directories of `among`
 */
export interface FindCopiesRequest {
  kind: "find-copies";
  record: PackRecord;
  wanted: WantedSlot[];
  where: "itself" | "index" | "packs";
  among: PackRecord[];
}

/** Writes a pack anew under the next generation. */
export interface RewriteRequest {
  kind: "rewrite";
  record: PackRecord;
  damaged: number[];
  /** Of the damaged: nothing refers to them. */
  freed: number[];
  replace: FoundBlock[];
}

export interface RewriteResult {
  record: PackRecord;
  /** Slots that nothing could bring back. */
  lost: number[];
}

export type ScrubRequest = VerifyRequest | QuarantineRequest | FindCopiesRequest | RewriteRequest;
export type ScrubResult<Request extends ScrubRequest> = Request extends VerifyRequest
  ? PackDamage[]
  : Request extends FindCopiesRequest
    ? FoundBlock[]
    : Request extends RewriteRequest
      ? RewriteResult
      : void;

export interface ScrubWorkParts {
  disk: Disk;
  vaultId: Uint8Array;
  /** Undefined: the vault is not encrypted. */
  cipher?: VaultCipher | undefined;
  seed: bigint;
  packs: PackStore;
  index: FingerprintIndex;
  deduplicator: Deduplicator;
  quarantine: Quarantine;
  /** Packs that the sealer knows; the scrub may name ones that it has not taken over yet. */
  known: Map<number, PackRecord>;
  /** What proposes a duplicate in the index. */
  keyOf: (print: bigint) => bigint;
}

export class ScrubWork {
  private readonly parts: ScrubWorkParts;

  constructor(parts: ScrubWorkParts) {
    this.parts = parts;
  }

  async run<Request extends ScrubRequest>(request: Request): Promise<ScrubResult<ScrubRequest>> {
    switch (request.kind) {
      case "verify":
        this.know(request.record);
        return await this.parts.packs.verify(request.record.pack);
      case "quarantine":
        return await this.quarantine(request.record);
      case "find-copies":
        return await this.findCopies(request);
      case "rewrite":
        return await this.rewrite(request);
    }
  }

  /** A record comes from a manifest, so it counts unless a newer generation is known already. */
  private know(record: PackRecord): void {
    const { known } = this.parts;
    const other = known.get(record.pack);
    if (!other || other.generation < record.generation) known.set(record.pack, record);
  }

  private async quarantine(record: QuarantineRecord): Promise<void> {
    const { quarantine, deduplicator, packs } = this.parts;
    quarantine.release(record.pack);
    if (record.slots.length > 0) quarantine.add(record);
    deduplicator.forget(record.pack);
    await packs.forget(record.pack);
  }

  private async findCopies({ record, wanted, where, among }: FindCopiesRequest): Promise<FoundBlock[]> {
    const { packs, seed } = this.parts;
    this.know(record);
    for (const other of among) this.know(other);
    switch (where) {
      case "itself":
        return await this.findInItself(record, wanted);
      case "index":
        return await proveCopies(packs, seed, wanted, this.proposals(wanted));
      case "packs":
        return await proveCopies(packs, seed, wanted, await this.search(wanted, among));
    }
  }

  private async findInItself(record: PackRecord, wanted: readonly WantedSlot[]): Promise<FoundBlock[]> {
    const { packs, seed } = this.parts;
    const own = Float64Array.from(wanted, ({ slot }) => blockAddress(record.pack, slot));
    const found = await proveCopies(packs, seed, wanted, own);
    const slots = new Set(wanted.map(({ slot }) => slot));
    for (const { slot } of found) slots.delete(slot);
    if (slots.size === 0) return found;
    const salvaged = await packs.salvage(record.pack, slots);
    return [...found, ...[...salvaged].map(([slot, bytes]) => ({ slot, bytes }))];
  }

  private proposals(wanted: readonly WantedSlot[]): Float64Array {
    const { index, quarantine, keyOf } = this.parts;
    return Float64Array.from(wanted, ({ print }) => {
      const address = index.lookup(keyOf(print));
      return quarantine.holds(address) ? 0 : address;
    });
  }

  /** Goes through directories of packs. One that cannot be read is passed over. */
  private async search(wanted: readonly WantedSlot[], among: readonly PackRecord[]): Promise<Float64Array> {
    const { packs, quarantine } = this.parts;
    const proposals = new Float64Array(wanted.length);
    const ordinals = new Map<bigint, number[]>();
    for (const [i, { print }] of wanted.entries()) {
      const others = ordinals.get(print);
      if (others) others.push(i);
      else ordinals.set(print, [i]);
    }
    for (const other of among) {
      try {
        const { fingerprints } = await packs.directory(other.pack);
        fingerprints.forEach((print, slot) => {
          if (print === FINGERPRINT_FREED) return;
          const address = blockAddress(other.pack, slot);
          for (const i of ordinals.get(print) ?? []) if (!quarantine.holds(address)) proposals[i] = address;
        });
      } catch (error) {
        if (!isSternwayError(error) || error.kind === "internal") throw error;
      }
    }
    return proposals;
  }

  private async rewrite({ record, damaged, freed, replace }: RewriteRequest): Promise<RewriteResult> {
    const { disk, vaultId, cipher, seed, packs } = this.parts;
    this.know(record);
    const { fingerprints } = await packs.directory(record.pack);
    const isFreed = new Set(freed);
    const copies = new Map(replace.map(({ slot, bytes }) => [slot, bytes]));
    const isDamaged = new Set(damaged);
    const builder = new PackBuilder({
      vaultId,
      cipher,
      pack: record.pack,
      generation: record.generation + 1,
      compress: true,
      blocksExpected: record.slots,
    });
    const result = await repack({
      disk,
      packs,
      seed,
      record,
      isLive: (slot) => fingerprints[slot] !== FINGERPRINT_FREED && !isFreed.has(slot),
      instead: (slot) => (isDamaged.has(slot) ? (copies.get(slot) ?? "lost") : undefined),
      builder,
    });
    if (result.kind === "damaged") throw new SternwayError("corrupt", result.why, { pack: record.pack });
    const lost = damaged.filter((slot) => !isFreed.has(slot) && !copies.has(slot));
    return { record: result.record, lost };
  }
}
