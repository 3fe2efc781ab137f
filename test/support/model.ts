/**
 * What a vault must hold, kept in plain memory: every sequenced operation with its LSN, and from that the content of any block of
 * any volume at any LSN. Laws 1, 2 and 3 are comparisons with it.
 *
 * It listens where operations get their LSNs (the vault's tryWrite, tryClear and the registry's apply), and knows nothing of
 * journals, layers or packs.
 */
import type { Lsn } from "../../src/base/units.ts";
import type { RegistryEvent } from "../../src/vault/registry.ts";
import type { Vault } from "../../src/vault/vault.ts";

const BLOCK = 4096;
const ZEROES = new Uint8Array(BLOCK);

interface BlockVersion {
  lsn: number;
  data: Uint8Array;
}

interface Clear {
  lsn: number;
  firstBlock: number;
  count: number;
}

interface ModelStrand {
  parent: { strand: number; lsn: number } | undefined;
  blocks: Map<number, BlockVersion[]>;
  clears: Clear[];
}

export interface ModelVolume {
  id: number;
  name: string;
  strands: { fromLsn: number; strand: number }[];
  sizes: { fromLsn: number; sizeBytes: number }[];
  bookmarks: Map<string, number>;
  deletedLsn: number | undefined;
  createdLsn: number;
}

type ModelEvent =
  | { kind: "write"; lsn: number; strand: number; firstBlock: number; data: Uint8Array }
  | { kind: "clear"; lsn: number; strand: number; firstBlock: number; count: number }
  | { kind: "flush"; lsn: number; strand: number }
  | { kind: "mark"; lsn: number; event: RegistryEvent };

export class VaultModel {
  /** Everything sequenced and not lost, in LSN order. */
  events: ModelEvent[] = [];
  /** The highest LSN that an answered flush, FUA or mark covered. */
  durableLsn = 0;
  /** The highest LSN ever given out, in any session: none may be given out again. */
  highestLsn = 0;
  strands = new Map<number, ModelStrand>();
  volumes: ModelVolume[] = [];
  /** Told of each mark in the turn in which it takes effect. */
  onMark: (volume: number) => void = () => undefined;
  private readonly touchedAt = new Map<number, { events: number; blocks: number[] }>();

  /** Listens to a vault that was just opened. */
  attach(vault: Vault): void {
    const { tryWrite, tryClear, recordFlush } = vault;
    vault.tryWrite = (strand, firstBlock, data) => {
      const done = tryWrite.call(vault, strand, firstBlock, data);
      if (done) this.add({ kind: "write", lsn: vault.lastLsn, strand, firstBlock, data: data.slice() });
      return done;
    };
    vault.tryClear = (strand, firstBlock, count, isHole) => {
      const done = tryClear.call(vault, strand, firstBlock, count, isHole);
      if (done) this.add({ kind: "clear", lsn: vault.lastLsn, strand, firstBlock, count });
      return done;
    };
    vault.recordFlush = (strand) => {
      const at = recordFlush.call(vault, strand);
      if (at !== undefined) this.add({ kind: "flush", lsn: at, strand });
      return at;
    };
    const { registry } = vault;
    const { apply } = registry;
    registry.apply = (at, event) => {
      apply.call(registry, at, event);
      this.add({ kind: "mark", lsn: at, event: structuredClone(event) });
      this.onMark(event.volume);
    };
  }

  /** An answered flush, FUA or mark covers everything up to this LSN. */
  covered(lsn: number): void {
    // A flush may cover LSNs that a crash skipped: what counts is the newest operation.
    const newest = this.events.findLast((event) => event.lsn <= lsn)?.lsn ?? 0;
    this.durableLsn = Math.max(this.durableLsn, newest);
  }

  /** What a crash took: everything behind this LSN never happened. */
  cut(lsn: number): void {
    this.touchedAt.clear();
    const kept = this.events.filter((event) => event.lsn <= lsn);
    this.events = [];
    this.strands = new Map();
    this.volumes = [];
    for (const event of kept) this.apply(event);
  }

  /** What was known at an LSN, as a model of its own. */
  prefix(lsn: number): VaultModel {
    const copy = new VaultModel();
    copy.events = this.events;
    copy.highestLsn = this.highestLsn;
    copy.cut(lsn);
    return copy;
  }

  /** Content of one block of a strand at an LSN, its ancestors included. */
  block(strand: number, lsn: number, block: number): Uint8Array {
    let limit = lsn;
    for (let id: number | undefined = strand; id !== undefined;) {
      const here = this.strands.get(id);
      if (!here) break;
      const version = here.blocks.get(block)?.findLast((candidate) => candidate.lsn <= limit);
      const clear = here.clears.findLast(
        ({ lsn: at, firstBlock, count }) => at <= limit && block >= firstBlock && block < firstBlock + count,
      );
      if (version && version.lsn > (clear?.lsn ?? 0)) return version.data;
      if (clear) return ZEROES;
      limit = Math.min(limit, here.parent?.lsn ?? 0);
      id = here.parent?.strand;
    }
    return ZEROES;
  }

  /** Blocks that a strand or an ancestor ever wrote or cleared, with some of each large clear, ascending. */
  touched(strand: number): number[] {
    const cached = this.touchedAt.get(strand);
    if (cached?.events === this.events.length) return cached.blocks;
    const blocks = new Set<number>();
    for (let id: number | undefined = strand; id !== undefined; id = this.strands.get(id)?.parent?.strand) {
      const here = this.strands.get(id);
      if (!here) break;
      for (const block of here.blocks.keys()) blocks.add(block);
      for (const { firstBlock, count } of here.clears) {
        blocks.add(firstBlock);
        blocks.add(firstBlock + count - 1);
      }
    }
    const sorted = [...blocks].sort((a, b) => a - b);
    this.touchedAt.set(strand, { events: this.events.length, blocks: sorted });
    return sorted;
  }

  /** The volumes that exist at an LSN. */
  volumesAt(lsn: number): ModelVolume[] {
    return this.volumes.filter((volume) => volume.createdLsn <= lsn && (volume.deletedLsn ?? Infinity) > lsn);
  }

  /** What must be told of the volumes after recovery at this LSN (the model's newest). */
  summary(): unknown {
    return this.volumes
      .filter((volume) => volume.deletedLsn === undefined)
      .map(({ id, name, strands, sizes, bookmarks }) => ({
        id,
        name,
        strand: strands.at(-1)!.strand,
        sizeBytes: sizes.at(-1)!.sizeBytes,
        bookmarks: Object.fromEntries(bookmarks),
      }))
      .sort((a, b) => a.id - b.id);
  }

  private add(event: ModelEvent): void {
    if (event.lsn <= this.highestLsn) {
      throw new Error(`LSN ${event.lsn} was given out before: the highest so far is ${this.highestLsn}`);
    }
    if (event.kind === "write" || event.kind === "clear") this.checkPresent(event);
    this.highestLsn = event.lsn;
    this.apply(event);
  }

  /** What is written goes to the present of a volume that exists and lies within it: what came before a rollback stays as it was. */
  private checkPresent(event: Extract<ModelEvent, { kind: "write" | "clear" }>): void {
    const { strand, lsn } = event;
    const volume = this.volumes.find((candidate) => candidate.strands.at(-1)!.strand === strand);
    if (!volume || volume.deletedLsn !== undefined)
      throw new Error(`LSN ${lsn} was written to strand ${strand}, which is past`);
    const end = event.firstBlock + (event.kind === "write" ? event.data.length / BLOCK : event.count);
    const blocks = Math.ceil(volume.sizes.at(-1)!.sizeBytes / BLOCK);
    // A trim that was overtaken by a shrink may still merge zeroes into the zeroes there.
    if (event.kind === "write" && end > blocks && event.data.some((byte) => byte !== 0))
      throw new Error(`LSN ${lsn} was written past the end of ${volume.name}`);
  }

  private apply(event: ModelEvent): void {
    this.events.push(event);
    if (event.kind === "mark") this.applyMark(event.lsn, event.event);
    if (event.kind === "clear") {
      const { lsn, firstBlock, count } = event;
      this.strands.get(event.strand)!.clears.push({ lsn, firstBlock, count });
    }
    if (event.kind !== "write") return;
    const { blocks } = this.strands.get(event.strand)!;
    for (let i = 0; i * BLOCK < event.data.length; i++) {
      const version = { lsn: event.lsn, data: event.data.subarray(i * BLOCK, (i + 1) * BLOCK) };
      const versions = blocks.get(event.firstBlock + i);
      if (versions) versions.push(version);
      else blocks.set(event.firstBlock + i, [version]);
    }
  }

  private applyMark(at: number, event: RegistryEvent): void {
    const volume = this.volumes.find((candidate) => candidate.id === event.volume);
    switch (event.kind) {
      case "volume-created":
      case "branched":
        this.addStrand(event.strand, event.kind === "branched" ? event.origin : undefined);
        this.volumes.push({
          id: event.volume,
          name: event.name,
          strands: [{ fromLsn: at, strand: event.strand }],
          sizes: [{ fromLsn: at, sizeBytes: event.sizeBytes }],
          bookmarks: new Map(),
          deletedLsn: undefined,
          createdLsn: at,
        });
        return;
      case "rolled-back":
        this.addStrand(event.strand, event.parent);
        volume!.strands.push({ fromLsn: at, strand: event.strand });
        volume!.sizes.push({ fromLsn: at, sizeBytes: event.sizeBytes });
        return;
      case "volume-resized":
        volume!.sizes.push({ fromLsn: at, sizeBytes: event.sizeBytes });
        return;
      case "volume-deleted":
        volume!.deletedLsn = at;
        return;
      case "bookmarked":
        volume!.bookmarks.set(event.name, event.lsn);
        return;
      case "bookmark-removed":
        volume!.bookmarks.delete(event.name);
        return;
      case "retention-set":
      case "thinned":
      case "held":
      case "hold-released":
      case "lock-set":
      case "time-noted":
        // What may go is no part of what was written.
        return;
    }
  }

  private addStrand(id: number, parent: { strand: number; lsn: number } | undefined): void {
    this.strands.set(id, {
      parent: parent && { strand: parent.strand, lsn: parent.lsn },
      blocks: new Map(),
      clears: [],
    });
  }
}

export const strandOf = (volume: ModelVolume, at: number): number | undefined =>
  volume.strands.findLast((entry) => entry.fromLsn <= at)?.strand;

export const sizeOf = (volume: ModelVolume, at: number): number =>
  volume.sizes.findLast((entry) => entry.fromLsn <= at)?.sizeBytes ?? 0;

/** For the type of `at` where numbers come from the model. */
export const asLsn = (value: number): Lsn => value as Lsn;
