/**
 * Exact accounting of stored space: who needs which slots. One merged pass over all deltas tells of every entry how long it stood, so also which
 * volumes can see it; a slot belongs to the one volume that needs it, or is shared. What nobody needs is dead, whether it
 * was thinned and collected yet or not.
 *
 * Bytes are those of files: a pack's size shared out evenly among the slots that it holds. So live and dead add up to what is stored, and a
 * volume's own bytes are what deleting it would give back in the end.
 *
 * Memory: 2 bytes a slot for its owners and one for the preview, 48 KiB a pack; a pass looks at {@link SPACE_PACKS_MAX} packs, and a vault
 * of more takes several passes. Owners are numbers of sets of volumes: there are few different ones, since volumes share by branching.
 */
import type { Breathe } from "../layers/breathe.ts";
import type { LayerReader } from "../layers/layer-reader.ts";
import { walkStood, type StoodRun } from "../layers/layer-thin.ts";
import type { PackRecord } from "../manifest.ts";
import { BLOCK_SIZE } from "../../base/units.ts";
import { SLOTS_PER_PACK, TARGET_ADDRESS_MIN } from "../map.ts";
import { isNeeded, type StrandNeeds } from "../needs.ts";
import type { Needs } from "../layers/thin.ts";

/** 128 GiB of blocks in 96 MiB of memory. */
export const SPACE_PACKS_MAX = 2048;
/** Different sets of volumes told apart; slots of further ones count as live and for nobody. */
const OWNERS_MAX = 0xffff;

/** What one volume needs, by strand, its ancestors' included. */
export interface VolumeNeeds {
  volume: number;
  needs: Needs;
}

export interface VolumeSpace {
  volume: number;
  /** Stored for this volume alone. */
  uniqueBytes: number;
  /** Stored for it and others. */
  sharedBytes: number;
  /** Of all block versions that it keeps, as many bytes as they would take each by itself, raw. */
  mappedBytes: number;
}

export interface SpaceReport {
  volumes: VolumeSpace[];
  /** Bytes of packs: what somebody needs, and what nobody does. */
  liveBytes: number;
  deadBytes: number;
  storedBytes: number;
  /** Of the live bytes, those that would be dead under the needs that were asked about. */
  wouldBeFreedBytes: number;
}

export interface SpaceOptions {
  /** All deltas, oldest first. */
  deltas: readonly LayerReader[];
  packs: readonly PackRecord[];
  volumes: readonly VolumeNeeds[];
  /** Other needs, for a preview: what they would free. */
  instead?: Needs;
  /** Lets others have their turn. */
  breathe: Breathe;
}

/** @throws corrupt: a damaged layer */
export async function countSpace(options: SpaceOptions): Promise<SpaceReport> {
  const { deltas, packs, volumes } = options;
  const report: SpaceReport = {
    volumes: volumes.map(({ volume }) => ({ volume, uniqueBytes: 0, sharedBytes: 0, mappedBytes: 0 })),
    liveBytes: 0,
    deadBytes: 0,
    storedBytes: packs.reduce((sum, pack) => sum + pack.sizeBytes, 0),
    wouldBeFreedBytes: 0,
  };
  const ordered = packs.toSorted((a, b) => a.pack - b.pack);
  for (let start = 0; start === 0 || start < ordered.length; start += SPACE_PACKS_MAX) {
    const pass = new SpacePass(
      ordered.slice(start, start + SPACE_PACKS_MAX),
      options,
      start === 0 ? report : undefined,
    );
    if (deltas.length > 0) {
      const take = (run: StoodRun): undefined => {
        pass.take(run);
        return undefined;
      };
      await walkStood(deltas, [], take, options.breathe);
    }
    pass.addTo(report);
  }
  return rounded(report);
}

/** In whole bytes; live and dead still add up to what is stored. */
function rounded(report: SpaceReport): SpaceReport {
  const deadBytes = Math.round(report.deadBytes);
  return {
    ...report,
    volumes: report.volumes.map((each) => ({
      ...each,
      uniqueBytes: Math.round(each.uniqueBytes),
      sharedBytes: Math.round(each.sharedBytes),
    })),
    liveBytes: report.storedBytes - deadBytes,
    deadBytes,
    wouldBeFreedBytes: Math.round(report.wouldBeFreedBytes),
  };
}

/** Sets of volumes by number; 0 is the empty one. */
class OwnerSets {
  readonly sets: number[][] = [[]];
  readonly #bySet = new Map<string, number>([["", 0]]);
  /** By set × 65,536 + volume: the set with that volume added. */
  readonly #joined = new Map<number, number>();

  /** The set with one volume more. */
  join(set: number, volume: number): number {
    const key = set * 65_536 + volume;
    let joined = this.#joined.get(key);
    if (joined === undefined) this.#joined.set(key, (joined = this.#intern(set, volume)));
    return joined;
  }

  #intern(set: number, volume: number): number {
    const before = this.sets[set]!;
    if (set === OWNERS_MAX || before.includes(volume)) return set;
    const members = [...before, volume].sort((a, b) => a - b);
    const text = members.join();
    const known = this.#bySet.get(text);
    if (known !== undefined) return known;
    const number = Math.min(this.sets.length, OWNERS_MAX);
    if (number === OWNERS_MAX) this.sets[OWNERS_MAX] = [];
    else {
      this.sets.push(members);
      this.#bySet.set(text, number);
    }
    return number;
  }
}

/** The needs of one strand, of each volume that has any there. */
type StrandOwners = { ordinal: number; needs: StrandNeeds }[];

class SpacePass {
  readonly #packs: readonly PackRecord[];
  readonly #places: Map<number, number>;
  readonly #owners: Uint16Array;
  readonly #sets = new OwnerSets();
  /** Slots that the other needs keep; undefined: none were asked about. */
  readonly #kept: Uint8Array | undefined;
  readonly #byStrand = new Map<number, StrandOwners>();
  readonly #instead: Needs | undefined;
  /** Told of mapped bytes, in the first pass. */
  readonly #mapped: SpaceReport | undefined;

  constructor(packs: readonly PackRecord[], { volumes, instead }: SpaceOptions, mapped: SpaceReport | undefined) {
    this.#packs = packs;
    this.#places = new Map(packs.map(({ pack }, place) => [pack, place]));
    this.#owners = new Uint16Array(packs.length * SLOTS_PER_PACK);
    this.#kept = instead && new Uint8Array(packs.length * SLOTS_PER_PACK);
    this.#instead = instead;
    this.#mapped = mapped;
    for (const [ordinal, { needs }] of volumes.entries()) {
      for (const [strand, needed] of needs) {
        const owners = this.#byStrand.get(strand);
        const owner = { ordinal, needs: needed };
        if (owners) owners.push(owner);
        else this.#byStrand.set(strand, [owner]);
      }
    }
  }

  take(run: StoodRun): void {
    const owners = this.#byStrand.get(run.strand) ?? [];
    const instead = this.#instead?.get(run.strand);
    for (let i = 0; i < run.length; i++) {
      const target = run.target[i]!;
      if (target < TARGET_ADDRESS_MIN) continue;
      const pack = Math.floor(target / SLOTS_PER_PACK);
      const place = this.#places.get(pack);
      const at = place === undefined ? -1 : place * SLOTS_PER_PACK + (target - pack * SLOTS_PER_PACK);
      for (const { ordinal, needs } of owners) {
        if (!isNeeded(needs, run.lsn[i]!, run.next[i]!)) continue;
        if (this.#mapped) this.#mapped.volumes[ordinal]!.mappedBytes += BLOCK_SIZE;
        if (at >= 0) this.#owners[at] = this.#sets.join(this.#owners[at]!, ordinal);
      }
      if (at >= 0 && this.#kept && isNeeded(instead, run.lsn[i]!, run.next[i]!)) this.#kept[at] = 1;
    }
  }

  /** Adds this pass's packs up. */
  addTo(report: SpaceReport): void {
    const bytesOf = new Float64Array(this.#sets.sets.length);
    for (const [place, { sizeBytes, slots, freed = 0 }] of this.#packs.entries()) {
      const slotBytes = sizeBytes / Math.max(1, slots - freed);
      const start = place * SLOTS_PER_PACK;
      let live = 0;
      for (let at = start; at < start + slots; at++) {
        const set = this.#owners[at]!;
        if (set === 0) continue;
        live++;
        bytesOf[set]! += slotBytes;
        if (this.#kept?.[at] === 0) report.wouldBeFreedBytes += slotBytes;
      }
      report.liveBytes += live * slotBytes;
      report.deadBytes += sizeBytes - live * slotBytes;
    }
    for (const [set, members] of this.#sets.sets.entries()) {
      for (const volume of members) {
        if (members.length === 1) report.volumes[volume]!.uniqueBytes += bytesOf[set]!;
        else report.volumes[volume]!.sharedBytes += bytesOf[set]!;
      }
    }
  }
}
