/**
 * What the vault knows of volumes: names, sizes, strands, bookmarks. It is the fold of the marks in the journal: a manifest
 * carries the fold up to its sealed LSN, and recovery applies the marks behind it. So a vault is readable without any catalog.
 *
 * A strand is a run of history without a jump. A volume writes to its newest strand; a rollback starts another one whose parent is
 * an earlier moment; a branch is a new volume whose first strand has such a parent. Reading goes from strand to parent, and all
 * of it is metadata: neither copies a block.
 */
import { SternwayError } from "../base/errors.ts";
import { lsn, micros, strandId, type Lsn, type Micros, type StrandId } from "../base/units.ts";
import { withNote, type TimeLedger } from "./time-ledger.ts";

export type RegistryEvent =
  | { kind: "volume-created"; volume: number; name: string; sizeBytes: number; strand: number; time: number }
  | {
      kind: "branched";
      volume: number;
      name: string;
      sizeBytes: number;
      strand: number;
      time: number;
      origin: { volume: number; strand: number; lsn: number };
    }
  | { kind: "volume-resized"; volume: number; sizeBytes: number; time: number }
  | { kind: "volume-deleted"; volume: number; time: number }
  | {
      kind: "rolled-back";
      volume: number;
      strand: number;
      parent: { strand: number; lsn: number };
      sizeBytes: number;
      time: number;
    }
  | { kind: "bookmarked"; volume: number; name: string; lsn: number; at: number; time: number; note: string }
  | { kind: "bookmark-removed"; volume: number; name: string; time: number }
  | { kind: "retention-set"; volume: number; policy: RetentionPolicy | null; time: number }
  | { kind: "thinned"; volume: number; horizonLsn: number; points: KeptPoint[]; time: number }
  | { kind: "held"; volume: number; name: string; lsn: number; at: number; time: number; note: string }
  | { kind: "hold-released"; volume: number; name: string; time: number }
  | { kind: "lock-set"; volume: number; lockMicros: number; time: number }
  /** Of the vault as a whole: time passed (time-ledger.ts). */
  | { kind: "time-noted"; volume: 0; elapsedMicros: number; trustedMicros: number; time: number };

/** What to keep of a volume; durations in microseconds, counted back from the newest time that the vault has seen. */
export interface RetentionPolicy {
  /** Every write of so long stays readable. */
  allMicros: number;
  /** Then one point per hour, day, week and month, each for so long; 0: none. */
  hourlyMicros: number;
  dailyMicros: number;
  weeklyMicros: number;
  monthlyMicros: number;
}

/** A moment that thinning keeps. */
export interface KeptPoint {
  lsn: number;
  /** Wall time of the moment, microseconds. */
  time: number;
  /** `open`: somebody was reading it when it would have gone. */
  why: "hourly" | "daily" | "weekly" | "monthly" | "open";
}

/** A moment that nothing may expire until it is released. */
export interface HoldRecord {
  name: string;
  lsn: Lsn;
  time: Micros;
  createdAt: Micros;
  note: string;
}

export interface BookmarkRecord {
  name: string;
  lsn: Lsn;
  /** Wall time of the moment. */
  time: Micros;
  createdAt: Micros;
  note: string;
}

export interface VolumeRecord {
  id: number;
  name: string;
  createdLsn: Lsn;
  createdAt: Micros;
  deletedLsn?: Lsn;
  origin?: { volume: number; lsn: Lsn };
  /** Oldest first; the volume's content at LSN m is that of the last one with fromLsn ≤ m. */
  strands: { fromLsn: Lsn; strand: StrandId; time: Micros; rolledBackTo?: Lsn }[];
  /** Oldest first. */
  sizes: { fromLsn: Lsn; sizeBytes: number; time: Micros }[];
  bookmarks: BookmarkRecord[];
  /** Undefined: everything is kept. */
  policy?: RetentionPolicy;
  /** What the last thinning left: every LSN from the horizon on, and the points before it. Undefined: everything. */
  kept?: { horizonLsn: Lsn; points: KeptPoint[] };
  holds?: HoldRecord[];
  /** Nothing younger than this may be given up by anybody, microseconds. */
  lockMicros?: number;
}

export interface StrandRecord {
  id: StrandId;
  volume: number;
  parent?: { strand: StrandId; lsn: Lsn };
}

/** The stored form. */
export interface RegistryState {
  volumes: VolumeRecord[];
  strands: StrandRecord[];
  /** Undefined until time is noted for the first time. */
  ledger?: TimeLedger;
}

export class Registry {
  private readonly state: RegistryState;
  private readonly strandById = new Map<number, StrandRecord>();

  constructor(state: RegistryState = { volumes: [], strands: [] }) {
    this.state = structuredClone(state);
    for (const strand of this.state.strands) this.strandById.set(strand.id, strand);
  }

  /** The volumes that exist now, by name. */
  volumes(): VolumeRecord[] {
    return this.state.volumes
      .filter((volume) => volume.deletedLsn === undefined)
      .sort((a, b) => (a.name < b.name ? -1 : 1));
  }

  find(name: string): VolumeRecord | undefined {
    return this.state.volumes.find((volume) => volume.name === name && volume.deletedLsn === undefined);
  }

  byId(id: number): VolumeRecord | undefined {
    return this.state.volumes[id - 1];
  }

  /** All strands, parents before their children. */
  strands(): readonly StrandRecord[] {
    return this.state.strands;
  }

  /** How old things are. */
  get ledger(): TimeLedger | undefined {
    return this.state.ledger;
  }

  get nextVolume(): number {
    return this.state.volumes.length + 1;
  }

  get nextStrand(): StrandId {
    return strandId(this.state.strands.length + 1);
  }

  /** The strands to look through for what `strand` held at `at`, in order, each with the LSN up to which it counts. */
  chain(strand: StrandId, at: Lsn): { strand: StrandId; lsn: Lsn }[] {
    const links = [{ strand, lsn: at }];
    let record = this.strandById.get(strand);
    while (record?.parent) {
      const { parent } = record;
      const limit = lsn(Math.min(parent.lsn, links[links.length - 1]!.lsn));
      links.push({ strand: parent.strand, lsn: limit });
      record = this.strandById.get(parent.strand);
    }
    return links;
  }

  toState(): RegistryState {
    return structuredClone(this.state);
  }

  /** Applies the mark with this LSN. @throws corrupt: the event does not fit what came before it */
  apply(at: Lsn, event: RegistryEvent): void {
    switch (event.kind) {
      case "volume-created":
      case "branched": {
        if (event.volume !== this.nextVolume || event.strand !== this.nextStrand) throw misfit(at, event);
        const time = micros(event.time);
        const volume: VolumeRecord = {
          id: event.volume,
          name: event.name,
          createdLsn: at,
          createdAt: time,
          strands: [{ fromLsn: at, strand: strandId(event.strand), time }],
          sizes: [{ fromLsn: at, sizeBytes: event.sizeBytes, time }],
          bookmarks: [],
        };
        if (event.kind === "branched") {
          const { origin } = event;
          volume.origin = { volume: origin.volume, lsn: lsn(origin.lsn) };
          this.addStrand(event.strand, event.volume, { strand: strandId(origin.strand), lsn: lsn(origin.lsn) });
        } else {
          this.addStrand(event.strand, event.volume, undefined);
        }
        this.state.volumes.push(volume);
        return;
      }
      case "volume-resized":
        this.live(at, event).sizes.push({ fromLsn: at, sizeBytes: event.sizeBytes, time: micros(event.time) });
        return;
      case "volume-deleted":
        this.live(at, event).deletedLsn = at;
        return;
      case "rolled-back": {
        const volume = this.live(at, event);
        if (event.strand !== this.nextStrand) throw misfit(at, event);
        const parent = { strand: strandId(event.parent.strand), lsn: lsn(event.parent.lsn) };
        this.addStrand(event.strand, event.volume, parent);
        const time = micros(event.time);
        volume.strands.push({ fromLsn: at, strand: strandId(event.strand), time, rolledBackTo: parent.lsn });
        volume.sizes.push({ fromLsn: at, sizeBytes: event.sizeBytes, time });
        return;
      }
      case "bookmarked":
        this.live(at, event).bookmarks.push({
          name: event.name,
          lsn: lsn(event.lsn),
          time: micros(event.at),
          createdAt: micros(event.time),
          note: event.note,
        });
        return;
      case "retention-set": {
        const volume = this.live(at, event);
        if (event.policy === null) delete volume.policy;
        else volume.policy = event.policy;
        return;
      }
      case "thinned":
        if (!this.fits(event)) throw misfit(at, event);
        this.live(at, event).kept = { horizonLsn: lsn(event.horizonLsn), points: event.points };
        return;
      case "held": {
        const volume = this.live(at, event);
        const hold = {
          name: event.name,
          lsn: lsn(event.lsn),
          time: micros(event.at),
          createdAt: micros(event.time),
          note: event.note,
        };
        volume.holds = [...(volume.holds ?? []), hold];
        return;
      }
      case "hold-released": {
        const volume = this.live(at, event);
        volume.holds = (volume.holds ?? []).filter((hold) => hold.name !== event.name);
        return;
      }
      case "lock-set":
        this.live(at, event).lockMicros = event.lockMicros;
        return;
      case "time-noted": {
        const { elapsedMicros, trustedMicros } = event;
        this.state.ledger = withNote(this.state.ledger, { lsn: at, elapsedMicros }, trustedMicros);
        return;
      }
      case "bookmark-removed": {
        const volume = this.live(at, event);
        volume.bookmarks = volume.bookmarks.filter((bookmark) => bookmark.name !== event.name);
        return;
      }
      default:
        throw misfit(at, event);
    }
  }

  /**
   * Whether an event may come next. What a mark once let go of is gone, whatever a later one says: a horizon never moves back, and no
   * point is kept below it that was not kept before. A mark is asked before it is journaled, since one that does not fit spoils the journal.
   */
  fits(event: RegistryEvent): boolean {
    if (event.kind !== "thinned") return true;
    const volume = this.byId(event.volume);
    if (!volume) return false;
    const horizon = volume.kept?.horizonLsn ?? 0;
    if (event.horizonLsn < horizon) return false;
    const kept = [...(volume.kept?.points ?? []), ...volume.bookmarks, ...(volume.holds ?? [])];
    const known = new Set<number>(kept.map((point) => point.lsn));
    return event.points.every((point) => point.lsn >= horizon || known.has(point.lsn));
  }

  private addStrand(id: number, volume: number, parent: StrandRecord["parent"]): void {
    const record: StrandRecord = parent ? { id: strandId(id), volume, parent } : { id: strandId(id), volume };
    this.state.strands.push(record);
    this.strandById.set(id, record);
  }

  private live(at: Lsn, event: RegistryEvent): VolumeRecord {
    const volume = this.byId(event.volume);
    if (!volume || volume.deletedLsn !== undefined) throw misfit(at, event);
    return volume;
  }
}

function misfit(at: Lsn, event: RegistryEvent): SternwayError {
  return new SternwayError("corrupt", `mark ${at} (${event.kind}) does not fit the history before it`, { lsn: at });
}

/** The strand that a volume wrote to at an LSN, or undefined before its creation. */
export function strandAt(volume: VolumeRecord, at: Lsn): StrandId | undefined {
  return volume.strands.findLast((entry) => entry.fromLsn <= at)?.strand;
}

/** The volume's size at an LSN; 0 before its creation. */
export function sizeAt(volume: VolumeRecord, at: Lsn): number {
  return volume.sizes.findLast((entry) => entry.fromLsn <= at)?.sizeBytes ?? 0;
}

export const encodeEvent = (event: RegistryEvent): Uint8Array => new TextEncoder().encode(JSON.stringify(event));

/** @throws corrupt */
export function decodeEvent(bytes: Uint8Array): RegistryEvent {
  try {
    return JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes)) as RegistryEvent;
  } catch (cause) {
    throw new SternwayError("corrupt", "a mark in the journal is not readable", {}, { cause });
  }
}
