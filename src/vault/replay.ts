/**
 * What recovery finds in the journal, taken over group by group: memory maps for what is not sealed yet, marks into the registry, and where each file's last
 * group ends. It begins where the manifest ends, and afterwards says how far the vault's history goes.
 */
import type { Recovered, RecoveredFile } from "../journal/recover.ts";
import { PAGE_SIZE } from "../journal/format.ts";
import { LOCATION_GROUP } from "../journal/journal.ts";
import type { ScannedGroup } from "../journal/scan.ts";
import type { ChronicleBuilder } from "./chronicles/chronicle-builder.ts";
import type { Manifest } from "./manifest.ts";
import { Memtable } from "./memtable.ts";
import { decodeEvent, type Registry, type RegistryEvent } from "./registry.ts";

/** One recovered journal file as it is replayed. */
export interface ReplayedFile {
  file: RecoveredFile;
  memtable: Memtable;
  payloadOffsets: number[];
  /** Where its last recovered group ends. */
  sizeBytes: number;
  /** What opens its groups' pages, in an encrypted vault. */
  seals: ScannedGroup["seal"][];
  lastLsn: number;
  wall: number;
  lastGroupSequence: number;
  lastGroupChecksum: bigint;
}

export class Replay {
  /** By sequence, in the order of the journal. */
  readonly files = new Map<number, ReplayedFile>();
  readonly marks: { lsn: number; event: RegistryEvent }[] = [];
  lastLsn: number;
  lastWall: number;
  private readonly manifest: Manifest;
  private readonly registry: Registry;
  private readonly live: ChronicleBuilder;
  /** Of the groups that were recovered. */
  private lastEpoch = 0;

  /** @param manifest - where the journal goes on @param registry - as of the manifest; marks are applied to it @param live - told of all entries */
  constructor(manifest: Manifest, registry: Registry, live: ChronicleBuilder) {
    this.manifest = manifest;
    this.registry = registry;
    this.live = live;
    this.lastLsn = manifest.sealed.lsn;
    this.lastWall = manifest.sealed.wall;
  }

  /** Takes a group over. Groups come in the order of the journal. @param ordinal - of the group in its file */
  add(group: ScannedGroup, file: RecoveredFile, ordinal: number): void {
    let state = this.files.get(file.fileSequence);
    if (!state) {
      state = {
        file,
        memtable: new Memtable(file.fileSequence),
        payloadOffsets: [],
        sizeBytes: 0,
        seals: [],
        lastLsn: this.lastLsn,
        wall: this.lastWall,
        lastGroupSequence: 0,
        lastGroupChecksum: 0n,
      };
      this.files.set(file.fileSequence, state);
    }
    const { header } = group;
    this.lastEpoch = Math.max(this.lastEpoch, header.epoch);
    state.payloadOffsets[ordinal] = group.offset + header.headerBytes;
    state.sizeBytes = group.offset + header.headerBytes + group.payload.length;
    state.seals[ordinal] = group.seal;
    for (const entry of group.entries) {
      this.live.add(entry);
      switch (entry.kind) {
        case "write":
          for (let i = 0; i < entry.count; i++) {
            const location = ordinal * LOCATION_GROUP + entry.page + i;
            state.memtable.addBlock(
              entry.strand,
              entry.firstBlock + i,
              entry.lsn,
              location,
              group.print(entry.page + i),
            );
          }
          break;
        case "zero":
        case "trim":
          state.memtable.addCleared(entry.strand, entry.firstBlock, entry.count, entry.lsn, entry.kind === "trim");
          break;
        case "mark": {
          const start = entry.page * PAGE_SIZE;
          const event = decodeEvent(group.payload.subarray(start, start + entry.byteCount));
          this.registry.apply(entry.lsn, event);
          this.marks.push({ lsn: entry.lsn, event });
          break;
        }
        case "flush":
          break;
      }
    }
    this.live.closeGroup(header.wall);
    this.lastLsn = header.firstLsn + header.lsnCount - 1;
    this.lastWall = header.wall;
    state.lastLsn = this.lastLsn;
    state.wall = header.wall;
    state.lastGroupSequence = header.groupSequence;
    state.lastGroupChecksum = header.checksum;
  }

  /** An epoch is durable in a manifest before its writer writes (law 7): a group of a later one tells of manifests that were taken away. */
  newerWriter({ lastGroupSequence }: Pick<Recovered, "lastGroupSequence">): string | undefined {
    if (this.lastEpoch <= this.manifest.epoch) return undefined;
    return `the journal was written up to group ${lastGroupSequence} in epoch ${this.lastEpoch}, but the newest manifest is of epoch ${this.manifest.epoch}: newer ones are missing`;
  }
}
