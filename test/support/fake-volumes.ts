/**
 * Volumes in memory, by the naive replay of a log: what the API is tested against, and what the real ones may be
 * compared with. Nothing here is fast or durable.
 */
import type { Extent, WritableDevice } from "../../src/base/device.ts";
import { SternwayError } from "../../src/base/errors.ts";
import { lsn, micros, VOLUME_SIZE_MAX, type Lsn, type Micros } from "../../src/base/units.ts";
import type {
  Bookmark,
  DiffRange,
  Moment,
  PastDevice,
  ResolvedMoment,
  Timeline,
  VolumeInfo,
  Volumes,
} from "../../src/volume/volumes.ts";
import { createFakeRetention } from "./fake-retention.ts";

const SECTOR = 512;
const NAME = /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/;

/** A sector's contents; absent: a hole. */
type Sectors = Map<number, Uint8Array | "zero">;

interface Entry {
  lsn: Lsn;
  time: Micros;
  kind: "created" | "write" | "trim" | "zero" | "flush" | "resize" | "rollback";
  offset: number;
  length: number;
  data?: Uint8Array;
  /** For a rollback: the state that it goes back to. */
  to?: Lsn;
}

interface FakeVolume {
  name: string;
  sizeBytes: number;
  createdAt: Micros;
  createdLsn: Lsn;
  log: Entry[];
  bookmarks: Bookmark[];
  attached: number;
  base: Sectors;
  origin?: { volume: string; lsn: Lsn };
  rolledBack?: { toLsn: Lsn; atLsn: Lsn; at: Micros };
}

export interface FakeVolumes extends Volumes {
  /** Moves the wall clock on. */
  advance(micros: number): void;
  now(): Micros;
  /** Devices that were opened and not closed. */
  openCount(): number;
  /** Makes reads that touch this offset throw "corrupt". */
  damageAt(offset: number): void;
}

/** @param start - wall clock at the start, in microseconds; each change takes one */
export function createFakeVolumes(start = Date.parse("2026-11-20T12:00:00Z") * 1000): FakeVolumes {
  const volumes = new Map<string, FakeVolume>();
  const damaged = new Set<number>();
  let clock = start;
  let nextLsn = 1;
  let opened = 0;

  const find = (name: string): FakeVolume => {
    const volume = volumes.get(name);
    if (!volume) throw new SternwayError("not_found", `there is no volume ${name}`, { volume: name });
    return volume;
  };
  const append = (volume: FakeVolume, entry: Omit<Entry, "lsn" | "time">): Entry => {
    const full = { ...entry, lsn: lsn(nextLsn++), time: micros(clock++) };
    volume.log.push(full);
    return full;
  };
  const last = (volume: FakeVolume): Entry => volume.log.at(-1)!;
  const changes = (volume: FakeVolume): Entry[] => volume.log.filter((entry) => entry.kind !== "flush");

  function stateAt(volume: FakeVolume, at: Lsn): { sectors: Sectors; sizeBytes: number } {
    const log = volume.log.filter((entry) => entry.lsn <= at);
    // What came before the last rollback counts only by what that went back to; replayed each by itself, rollbacks would double the work each time.
    const rolledBack = log.findLastIndex((entry) => entry.kind === "rollback");
    const state =
      rolledBack < 0 ? { sectors: new Map(volume.base), sizeBytes: 0 } : stateAt(volume, log[rolledBack]!.to!);
    const { sectors } = state;
    let { sizeBytes } = state;
    for (const entry of log.slice(rolledBack + 1)) {
      if (entry.kind === "created" || entry.kind === "resize") sizeBytes = entry.length;
      if (entry.kind !== "write" && entry.kind !== "trim" && entry.kind !== "zero") continue;
      for (let i = 0; i < entry.length / SECTOR; i++) {
        const sector = entry.offset / SECTOR + i;
        if (entry.kind === "trim") sectors.delete(sector);
        else sectors.set(sector, entry.data?.subarray(i * SECTOR, (i + 1) * SECTOR) ?? "zero");
      }
    }
    return { sectors, sizeBytes };
  }

  function resolve(name: string, moment: Moment): ResolvedMoment {
    const volume = find(name);
    const at = (wanted: (entry: Entry) => boolean): ResolvedMoment => {
      const entry = volume.log.findLast(wanted);
      if (!entry) {
        const oldest = volume.createdLsn;
        throw new SternwayError("not_found", `that is before the oldest moment of ${name}, lsn ${oldest}`, { oldest });
      }
      const change = volume.log.findLast((each) => each.lsn <= entry.lsn && each.kind !== "flush")!;
      return { lsn: entry.lsn, time: change.time, flushPoint: entry.kind === "flush" };
    };
    switch (moment.kind) {
      case "now":
        return at(() => true);
      case "lsn":
        if (moment.lsn > last(volume).lsn) {
          throw new SternwayError("not_found", `lsn ${moment.lsn} is not written yet`, { lsn: moment.lsn });
        }
        return at((entry) => entry.lsn <= moment.lsn);
      case "time":
        return at((entry) => entry.time <= moment.time);
      case "age":
        return at((entry) => entry.time <= clock - moment.ageMicros);
      case "bookmark": {
        const bookmark = volume.bookmarks.find((each) => each.name === moment.name);
        if (!bookmark) throw new SternwayError("not_found", `there is no bookmark ${moment.name}`);
        return at((entry) => entry.lsn <= bookmark.lsn);
      }
    }
  }

  function device(state: {
    sectors: Sectors;
    sizeBytes: number;
  }): Pick<PastDevice, "sizeBytes" | "read" | "extents" | "close"> {
    let open = true;
    opened++;
    const check = (offset: number, length: number): void => {
      if (!open) throw new Error("a closed device was used");
      const inside = offset >= 0 && length > 0 && offset + length <= state.sizeBytes && length <= 32 * 2 ** 20;
      if (!inside || offset % SECTOR !== 0 || length % SECTOR !== 0) throw new Error(`bad range ${offset}+${length}`);
    };
    return {
      sizeBytes: state.sizeBytes,
      async read(offset, length) {
        check(offset, length);
        for (const bad of damaged) {
          if (bad >= offset && bad < offset + length)
            throw new SternwayError("corrupt", `damage at ${bad}`, { offset: bad });
        }
        const bytes = new Uint8Array(length);
        for (let i = 0; i < length / SECTOR; i++) {
          const sector = state.sectors.get(offset / SECTOR + i);
          if (sector instanceof Uint8Array) bytes.set(sector, i * SECTOR);
        }
        return bytes;
      },
      async extents(offset, length) {
        check(offset, Math.min(length, 32 * 2 ** 20));
        const found: Extent[] = [];
        for (let at = offset; at < offset + length && found.length < 64; at += SECTOR) {
          const sector = state.sectors.get(at / SECTOR);
          const kind = sector === undefined ? "hole" : sector === "zero" ? "zero" : "data";
          const before = found.at(-1);
          if (before?.kind === kind) before.length += SECTOR;
          else found.push({ offset: at, length: SECTOR, kind });
        }
        return found;
      },
      async close() {
        if (open) opened--;
        open = false;
      },
    };
  }

  const info = (volume: FakeVolume): VolumeInfo => ({
    name: volume.name,
    vault: "fake",
    sizeBytes: volume.sizeBytes,
    createdAt: volume.createdAt,
    createdLsn: volume.createdLsn,
    lastLsn: changes(volume).at(-1)!.lsn,
    lastWriteAt: changes(volume).at(-1)!.time,
    lastFlushLsn: volume.log.findLast((entry) => entry.kind === "flush")?.lsn ?? lsn(0),
    attached: volume.attached,
    bookmarkCount: volume.bookmarks.length,
    ...(volume.origin ? { origin: volume.origin } : {}),
    ...(volume.rolledBack ? { rolledBack: volume.rolledBack } : {}),
  });

  const refuseAttached = (volume: FakeVolume, force: boolean | undefined): void => {
    if (volume.attached === 0 || force) return;
    throw new SternwayError("conflict", `${volume.attached} clients are attached to ${volume.name}`, {
      attached: volume.attached,
    });
  };

  function make(name: string, sizeBytes: number, base: Sectors, origin?: { volume: string; lsn: Lsn }): VolumeInfo {
    if (!NAME.test(name)) throw new SternwayError("invalid", `${name} is not a name`);
    if (sizeBytes % SECTOR !== 0 || sizeBytes < SECTOR || sizeBytes > VOLUME_SIZE_MAX) {
      throw new SternwayError("invalid", `${sizeBytes} is not a size`);
    }
    if (volumes.has(name)) throw new SternwayError("conflict", `there is a volume ${name} already`, { volume: name });
    const createdAt = micros(clock);
    const volume: FakeVolume = {
      name,
      sizeBytes,
      createdAt,
      createdLsn: lsn(nextLsn),
      log: [],
      bookmarks: [],
      attached: 0,
      base,
      ...(origin ? { origin } : {}),
    };
    append(volume, { kind: "created", offset: 0, length: sizeBytes });
    volumes.set(name, volume);
    return info(volume);
  }

  const retention = createFakeRetention(find, () => micros(clock));

  return {
    ...retention,
    async hold(name, holdName, at, note) {
      if (retention.holds(name).some((each) => each.name === holdName)) {
        throw new SternwayError("conflict", `there is a hold ${holdName} already`);
      }
      const { lsn: held, time } = resolve(name, at);
      const hold = { name: holdName, lsn: held, time, createdAt: micros(clock), note };
      retention.addHold(name, hold);
      return hold;
    },

    advance: (by) => void (clock += by),
    now: () => micros(clock),
    openCount: () => opened,
    damageAt: (offset) => void damaged.add(offset),

    list: () => [...volumes.values()].map(info),
    get: (name) => info(find(name)),
    create: async (name, sizeBytes) => make(name, sizeBytes, new Map()),
    async resize(name, sizeBytes, options) {
      const volume = find(name);
      if (sizeBytes < volume.sizeBytes) refuseAttached(volume, options?.force);
      append(volume, { kind: "resize", offset: 0, length: sizeBytes });
      volume.sizeBytes = sizeBytes;
      return info(volume);
    },
    async delete(name, options) {
      refuseAttached(find(name), options?.force);
      volumes.delete(name);
    },

    async openLive(name) {
      const volume = find(name);
      const live = device({ sectors: new Map(), sizeBytes: volume.sizeBytes });
      volume.attached++;
      let open = true;
      const change = (
        kind: "write" | "trim" | "zero",
        offset: number,
        length: number,
        data?: Uint8Array,
      ): undefined => {
        append(volume, { kind, offset, length, ...(data ? { data: data.slice() } : {}) });
        return undefined;
      };
      const writable: WritableDevice = {
        sizeBytes: volume.sizeBytes,
        read: async (offset, length) => {
          const past = device(stateAt(volume, last(volume).lsn));
          try {
            return await past.read(offset, length);
          } finally {
            await past.close();
          }
        },
        extents: async (offset, length) => {
          const past = device(stateAt(volume, last(volume).lsn));
          try {
            return await past.extents(offset, length);
          } finally {
            await past.close();
          }
        },
        write: (offset, data) => change("write", offset, data.length, data),
        trim: (offset, length) => change("trim", offset, length),
        writeZeroes: (offset, length, mayHole) => change(mayHole ? "trim" : "zero", offset, length),
        flush: async () => append(volume, { kind: "flush", offset: 0, length: 0 }).lsn,
        close: async () => {
          if (open) volume.attached--;
          open = false;
          await live.close();
        },
      };
      return writable;
    },
    async openAt(name, moment) {
      const resolved = resolve(name, moment);
      return { ...device(stateAt(find(name), resolved.lsn)), moment: resolved };
    },
    resolve: async (name, moment) => resolve(name, moment),

    async rollback(name, to, options) {
      const volume = find(name);
      const target = resolve(name, to);
      refuseAttached(volume, options?.force);
      const entry = append(volume, { kind: "rollback", offset: 0, length: 0, to: target.lsn });
      volume.sizeBytes = stateAt(volume, target.lsn).sizeBytes;
      volume.rolledBack = { toLsn: target.lsn, atLsn: entry.lsn, at: entry.time };
      return { lsn: entry.lsn, to: target };
    },
    async branch(name, at, newName) {
      const origin = resolve(name, at);
      const state = stateAt(find(name), origin.lsn);
      return make(newName, state.sizeBytes, state.sectors, { volume: name, lsn: origin.lsn });
    },
    async *diff(name, from, to) {
      const before = stateAt(find(name), resolve(name, from).lsn).sectors;
      const after = stateAt(find(name), resolve(name, to).lsn).sectors;
      let open: DiffRange | undefined;
      const differs = (i: number): boolean => {
        const [a, b] = [before.get(i), after.get(i)];
        return a instanceof Uint8Array && b instanceof Uint8Array ? Buffer.compare(a, b) !== 0 : a !== b;
      };
      const differing = [...new Set([...before.keys(), ...after.keys()])].filter(differs);
      const blocks = [...new Set(differing.map((sector) => Math.floor(sector / 8)))].sort((a, b) => a - b);
      for (const block of blocks) {
        if (open && open.offset + open.length === block * 4096) open.length += 4096;
        else {
          if (open) yield open;
          open = { offset: block * 4096, length: 4096 };
        }
      }
      if (open) yield open;
    },

    bookmarks: (name) => [...find(name).bookmarks],
    async bookmark(name, bookmarkName, at, note) {
      const volume = find(name);
      const { lsn: at_, time } = resolve(name, at);
      if (volume.bookmarks.some((each) => each.name === bookmarkName)) {
        throw new SternwayError("conflict", `there is a bookmark ${bookmarkName} already`);
      }
      const bookmark: Bookmark = { name: bookmarkName, lsn: at_, time, createdAt: micros(clock), note };
      volume.bookmarks.push(bookmark);
      return bookmark;
    },
    async removeBookmark(name, bookmarkName) {
      const volume = find(name);
      const index = volume.bookmarks.findIndex((each) => each.name === bookmarkName);
      if (index < 0) throw new SternwayError("not_found", `there is no bookmark ${bookmarkName}`);
      volume.bookmarks.splice(index, 1);
    },

    async timeline(name, range): Promise<Timeline> {
      const volume = find(name);
      const from = range.from ?? volume.createdAt;
      const to = micros(Math.max(range.to ?? clock, from + 1));
      const step = (to - from) / range.bucketCount;
      const buckets = Array.from({ length: range.bucketCount }, (_, i) => {
        const bounds = [micros(Math.round(from + i * step)), micros(Math.round(from + (i + 1) * step))] as const;
        const inside = volume.log.filter((entry) => entry.time >= bounds[0] && entry.time < bounds[1]);
        const writes = inside.filter((entry) => entry.kind === "write");
        const cleared = inside.filter((entry) => entry.kind === "trim" || entry.kind === "zero");
        return {
          from: bounds[0],
          to: bounds[1],
          writes: writes.length,
          writtenBytes: writes.reduce((sum, entry) => sum + entry.length, 0),
          clearedBytes: cleared.reduce((sum, entry) => sum + entry.length, 0),
          flushPoints: inside.filter((entry) => entry.kind === "flush").length,
          lastLsn: inside.at(-1)?.lsn ?? lsn(0),
        };
      });
      const created = {
        kind: "created" as const,
        time: volume.createdAt,
        lsn: volume.createdLsn,
        detail: `${volume.sizeBytes}`,
      };
      return { from, to, buckets, marks: [created] };
    },
    async flushPoints(name, range) {
      const flushes = find(name).log.filter((entry) => entry.kind === "flush");
      const wanted =
        "before" in range
          ? flushes.filter((entry) => entry.lsn < range.before).reverse()
          : flushes.filter((entry) => entry.lsn > range.after);
      return wanted.slice(0, range.limit).map((entry) => ({ lsn: entry.lsn, time: entry.time }));
    },
  };
}
