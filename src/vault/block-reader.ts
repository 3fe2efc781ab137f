/**
 * Reads blocks of one strand in one version: first where they lie (memory maps, then layers, along the strand's ancestors), then their bytes, from the filling
 * group, the journal file or packs. Everything that comes out has passed a checksum bound to where it came from (law 3).
 */
import { assert } from "../base/assert.ts";
import { SternwayError } from "../base/errors.ts";
import { xxh64 } from "../base/hash.ts";
import { BLOCK_SIZE, type Lsn } from "../base/units.ts";
import { LOCATION_GROUP, type Journal } from "../journal/journal.ts";
import { resolveLayers } from "./layers/resolve.ts";
import { emptyResolution, SHARD_BLOCKS, TARGET_ADDRESS_MIN, type Resolution } from "./map.ts";
import { FILE_NUMBERS, fileNumberOf, isMemoryTarget, nodeOf, type Memtable } from "./memtable.ts";
import type { LayerSet } from "./open-set.ts";
import type { PackStore } from "./packs/pack-reader.ts";
import type { Registry } from "./registry.ts";
import type { Version } from "./sealing/versions.ts";

/** Most blocks one read may ask for: 32 MiB. */
export const READ_BLOCKS_MAX = 8192;

export interface BlockReaderParts {
  registry: Registry;
  journal: Journal;
  layers: LayerSet;
  packs: PackStore;
  /** Of fingerprints. */
  seed: bigint;
}

export class BlockReader {
  private readonly parts: BlockReaderParts;

  constructor(parts: BlockReaderParts) {
    this.parts = parts;
  }

  /** Where blocks of a strand lie at an LSN. @param count - at most 8,192 @throws corrupt */
  async resolve(version: Version, strand: number, at: Lsn, firstBlock: number, count: number): Promise<Resolution> {
    assert(count > 0 && count <= READ_BLOCKS_MAX, "a read asks for 1 to 8,192 blocks");
    const chain = this.parts.registry.chain(strand as never, at);
    const found = emptyResolution(firstBlock, count);
    // Memory first, for the whole chain's first strand, without waiting: what is found there is of this very moment.
    for (const link of chain) {
      for (const table of version.memtables) {
        if (found.missing === 0) break;
        table.collect(link.strand, found, link.lsn);
      }
      const pending = this.resolveSealed(version, link.strand, link.lsn, found);
      if (pending) await pending;
      if (found.missing === 0) break;
    }
    return found;
  }

  /** Layers are asked shard by shard. */
  private resolveSealed(version: Version, strand: number, at: Lsn, found: Resolution): Promise<void> | undefined {
    const { firstBlock, count } = found;
    const firstShard = Math.floor(firstBlock / SHARD_BLOCKS);
    const lastShard = Math.floor((firstBlock + count - 1) / SHARD_BLOCKS);
    if (firstShard === lastShard) return resolveLayers(version.layers, this.parts.layers, strand, at, found);
    return this.resolveAcross(version, strand, at, found);
  }

  private async resolveAcross(version: Version, strand: number, at: Lsn, found: Resolution): Promise<void> {
    const end = found.firstBlock + found.count;
    for (let start = found.firstBlock; start < end;) {
      const next = Math.min(end, (Math.floor(start / SHARD_BLOCKS) + 1) * SHARD_BLOCKS);
      const from = start - found.firstBlock;
      const part: Resolution = {
        firstBlock: start,
        count: next - start,
        lsn: found.lsn.subarray(from, from + next - start),
        target: found.target.subarray(from, from + next - start),
        missing: 0,
      };
      part.missing = part.lsn.reduce((sum, known) => (known < 0 ? sum + 1 : sum), 0);
      const before = part.missing;
      await resolveLayers(version.layers, this.parts.layers, strand, at, part);
      found.missing -= before - part.missing;
      start = next;
    }
  }

  /** Brings the bytes of a resolution: holes and zeroes are filled in, the rest is read and checked. @throws corrupt, unavailable */
  async fetch(version: Version, found: Resolution, into: Uint8Array): Promise<void> {
    const { target, count } = found;
    if (!target.some(isMemoryTarget)) return await this.parts.packs.readMany(target, into);
    const work: Promise<void>[] = [];
    const stored: number[] = [];
    for (let i = 0; i < count;) {
      const here = target[i]!;
      if (isMemoryTarget(here)) {
        const end = this.journalRun(version, found, i);
        work.push(this.fetchJournal(version, found, i, end, into));
        i = end;
      } else {
        if (here >= TARGET_ADDRESS_MIN) stored.push(i);
        else into.fill(0, i * BLOCK_SIZE, (i + 1) * BLOCK_SIZE);
        i++;
      }
    }
    if (stored.length > 0) work.push(this.fetchStored(found, stored, into));
    // Wait for all of them, so that none still writes into the buffer after an error.
    for (const result of await Promise.allSettled(work)) if (result.status === "rejected") throw result.reason;
  }

  private async fetchStored(found: Resolution, places: readonly number[], into: Uint8Array): Promise<void> {
    const { packs } = this.parts;
    let failure: SternwayError | undefined;
    await packs.visit(
      places.map((i) => found.target[i]!),
      {
        block: (n, bytes, offset) => into.set(bytes.subarray(offset, offset + BLOCK_SIZE), places[n]! * BLOCK_SIZE),
        failed: (_n, error) => {
          failure ??= error;
        },
      },
    );
    if (failure) throw failure;
  }

  /** The end of the run from `start` whose blocks lie side by side in one group of one journal file. */
  private journalRun(version: Version, found: Resolution, start: number): number {
    const table = tableOf(version, found.target[start]!);
    const first = table.locationOf(nodeOf(found.target[start]!));
    let end = start + 1;
    while (end < found.count) {
      const next = found.target[end]!;
      if (!isMemoryTarget(next) || fileNumberOf(next) !== fileNumberOf(found.target[start]!)) break;
      const location = table.locationOf(nodeOf(next));
      if (location !== first + end - start || location % LOCATION_GROUP === 0) break;
      end++;
    }
    return end;
  }

  private async fetchJournal(
    version: Version,
    found: Resolution,
    start: number,
    end: number,
    into: Uint8Array,
  ): Promise<void> {
    const table = tableOf(version, found.target[start]!);
    const bytes = into.subarray(start * BLOCK_SIZE, end * BLOCK_SIZE);
    await this.parts.journal.read(table.fileSequence, table.locationOf(nodeOf(found.target[start]!)), bytes);
    for (let i = start; i < end; i++) {
      const block = into.subarray(i * BLOCK_SIZE, (i + 1) * BLOCK_SIZE);
      const node = nodeOf(found.target[i]!);
      if (xxh64(block, this.parts.seed) === table.printOf(node)) continue;
      throw new SternwayError(
        "corrupt",
        `block ${found.firstBlock + i} is damaged in journal file ${table.fileSequence}`,
        {
          block: found.firstBlock + i,
          lsn: table.lsnOf(node),
        },
      );
    }
  }
}

function tableOf(version: Version, target: number): Memtable {
  const number = fileNumberOf(target);
  const table = version.memtables.find((candidate) => candidate.fileSequence % FILE_NUMBERS === number);
  assert(table !== undefined, "a memory target's table belongs to the version it was found in");
  return table;
}
