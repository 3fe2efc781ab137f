/**
 * Collecting: gives back the space of blocks that nothing names any more, beside writers and readers. It surveys what is live, closes the
 * packs that are worth it to deduplication, deletes those that hold nothing live and repacks the others, most dead first (collect-work.ts
 * says why that is safe). Each change is one step between the sealer's own, of one pack at most, so sealing never waits for longer.
 *
 * While clients write it keeps to a rate of bytes read and written; otherwise it takes what it can. Nothing of it outlives a crash but what
 * manifests say: a run that was cut short is simply begun anew, and files that no manifest names go when the vault opens.
 */
import { assert } from "../../base/assert.ts";
import type { Clock } from "../../base/clock.ts";
import { isSternwayError, type SternwayError } from "../../base/errors.ts";
import { planCollect, shareOf, type PackShare } from "./collect-policy.ts";
import { SURVEY_PACKS_MAX } from "./liveness.ts";
import type { Manifest, PackRecord, QuarantineRecord } from "../manifest.ts";
import type { PackStore } from "../packs/pack-reader.ts";
import { Pause } from "../sealing/pause.ts";
import type { Sealing } from "../sealing/sealing.ts";

export interface CollectorOptions {
  clock: Clock;
  sealing: Sealing;
  /** Reads packs for clients. */
  packs: PackStore;
  /** Grows with each write: tells whether clients write. */
  lastLsn: () => number;
  /** Bytes read and written a second while clients write. */
  bytesPerSecond: number;
  /** Entries of layers that one slice of a survey passes. */
  sliceEntries: number;
  /** Runs by itself when merging and thinning dropped so many blocks' addresses … */
  droppedBlocksMin: number;
  /** … and this share of all that packs hold, 0 to 1. */
  droppedShareMin: number;
  /** Told when a run that began by itself failed. */
  onTrouble: (error: SternwayError) => void;
}

/** What a run did. Bytes are those of files. */
export interface CollectReport {
  packsExamined: number;
  packsDeleted: number;
  packsRepacked: number;
  /** Left as they are, because something live in them cannot be read: the scrub's to repair. */
  packsDamaged: number;
  /** Given back; files may stay on disk a moment longer, until the last read that began before is done. */
  freedBytes: number;
  copiedBytes: number;
  liveBytes: number;
  /** Dead and left where it is, because it is too little of its pack. */
  deadBytes: number;
  micros: number;
}

/** Packs deleted in one step. */
const DELETE_PACKS_MAX = 256;

export class Collector {
  private readonly options: CollectorOptions;
  private running: Promise<CollectReport> | undefined;
  private stopping = false;
  /** Addresses dropped since the last run began. */
  private dropped = 0;
  private seenLsn = 0;
  private readonly pause: Pause;

  constructor(options: CollectorOptions) {
    this.options = options;
    this.pause = new Pause(options.clock);
  }

  /** Gives back what can be; joins a run that is under way. @throws unavailable: read-only, stopping, or the disk failed; corrupt: a damaged layer */
  collect(): Promise<CollectReport> {
    this.running ??= this.run().finally(() => {
      this.running = undefined;
    });
    return this.running;
  }

  /** Takes note of dropped block addresses, and begins a run when there are many. */
  noteDropped(blocks: number): void {
    this.dropped += blocks;
    if (this.running || this.stopping || this.dropped < this.options.droppedBlocksMin) return;
    const held = this.options.sealing.manifest.packs.reduce((sum, pack) => sum + pack.slots - (pack.freed ?? 0), 0);
    if (this.dropped < held * this.options.droppedShareMin) return;
    this.collect().catch((error: unknown) => {
      if (!isSternwayError(error)) throw error;
      if (!this.stopping) this.options.onTrouble(error);
    });
  }

  /** Begins nothing more; what is under way ends with the sealer. */
  stop(): void {
    this.stopping = true;
    this.pause.end();
  }

  /** Resolves when no run is under way, whatever became of it. */
  async idle(): Promise<void> {
    await Promise.allSettled([this.running]);
  }

  private async run(): Promise<CollectReport> {
    const { clock, sealing } = this.options;
    const started = clock.monotonic();
    this.dropped = 0;
    const report: CollectReport = {
      packsExamined: 0,
      packsDeleted: 0,
      packsRepacked: 0,
      packsDamaged: 0,
      freedBytes: 0,
      copiedBytes: 0,
      liveBytes: 0,
      deadBytes: 0,
      micros: 0,
    };
    const numbers = sealing.manifest.packs.map(({ pack }) => pack);
    for (let start = 0; start < numbers.length; start += SURVEY_PACKS_MAX) {
      await this.collectAmong(new Set(numbers.slice(start, start + SURVEY_PACKS_MAX)), report);
    }
    report.liveBytes = Math.round(report.liveBytes);
    report.deadBytes = Math.round(report.deadBytes);
    report.micros = clock.monotonic() - started;
    return report;
  }

  private async collectAmong(numbers: ReadonlySet<number>, report: CollectReport): Promise<void> {
    let closed: PackShare[] = [];
    try {
      const live = await this.survey(numbers);
      closed = await this.close(live, report);
      await this.deleteDead(
        closed.filter(({ liveSlots }) => liveSlots === 0),
        report,
      );
      for (const share of closed) if (share.liveSlots > 0) await this.repack(share, report);
    } finally {
      await this.open(closed);
    }
  }

  /** @returns live slots by pack */
  private async survey(numbers: ReadonlySet<number>): Promise<Map<number, number>> {
    const { sealing } = this.options;
    const packs: number[] = [];
    let letGo: (() => void) | undefined;
    try {
      await sealing.perform(async () => {
        const { manifest, runner } = sealing;
        packs.push(...manifest.packs.map(({ pack }) => pack).filter((pack) => numbers.has(pack)));
        letGo = sealing.holdFiles();
        await runner.run({ kind: "survey", packs, layers: manifest.layers, nextPack: manifest.next.pack });
        return undefined;
      });
      let live: number[] | undefined;
      while (!live) {
        let bytes = 0;
        await sealing.perform(async () => {
          const progress = await sealing.runner.run({ kind: "survey-more", entries: this.options.sliceEntries });
          ({ bytes, live } = progress);
          return undefined;
        });
        await this.pace(bytes);
      }
      const counts = live;
      return new Map(packs.map((pack, i) => [pack, counts[i]!]));
    } finally {
      letGo?.();
    }
  }

  /** Chooses packs and closes them. @returns what was closed, with what is live of it by then */
  private async close(live: ReadonlyMap<number, number>, report: CollectReport): Promise<PackShare[]> {
    const { sealing } = this.options;
    let closed: PackShare[] = [];
    await sealing.perform(async () => {
      const shares = sealing.manifest.packs
        .filter(({ pack }) => live.has(pack))
        .map((record) => shareOf(record, live.get(record.pack)!));
      const records = planCollect(shares).map(({ record }) => record);
      const counts = await sealing.runner.run({ kind: "close-packs", packs: records });
      closed = records.map((record, i) => shareOf(record, counts[i]!));
      report.packsExamined += shares.length;
      for (const share of shares) {
        report.liveBytes += share.record.sizeBytes - share.deadBytes;
        report.deadBytes += share.deadBytes;
      }
      return undefined;
    });
    return closed;
  }

  private async deleteDead(dead: readonly PackShare[], report: CollectReport): Promise<void> {
    const { sealing, packs } = this.options;
    for (let start = 0; start < dead.length; start += DELETE_PACKS_MAX) {
      const some = new Set(dead.slice(start, start + DELETE_PACKS_MAX).map(({ record }) => record.pack));
      await sealing.perform(() => {
        const { manifest } = sealing;
        const gone = manifest.packs.filter(({ pack }) => some.has(pack));
        const left = manifest.packs.filter(({ pack }) => !some.has(pack));
        const published = (): void => {
          sealing.letGoOfPacks(gone, packs);
          report.packsDeleted += gone.length;
          for (const { sizeBytes } of gone) {
            report.freedBytes += sizeBytes;
            report.deadBytes -= sizeBytes;
          }
        };
        return Promise.resolve({ changes: withPacks(manifest, left), published });
      });
    }
  }

  private async repack(share: PackShare, report: CollectReport): Promise<void> {
    const { sealing, packs } = this.options;
    let bytes = 0;
    await sealing.perform(async () => {
      const { manifest } = sealing;
      // A repair may have written it anew since it was closed; which slots are live is no different for that.
      const old = manifest.packs.find(({ pack }) => pack === share.record.pack);
      assert(old !== undefined, "packs go by collecting alone");
      const held = manifest.quarantine?.find(
        ({ pack, generation }) => pack === old.pack && generation === old.generation,
      );
      const { outcome: result, quarantined } = await sealing.runner.run({
        kind: "repack",
        record: old,
        quarantined: held?.slots ?? [],
      });
      bytes = old.sizeBytes;
      if (result.kind === "damaged") {
        report.packsDamaged++;
        return undefined;
      }
      const { record } = result;
      bytes += record.sizeBytes;
      const left = manifest.packs.map((known) => (known === old ? record : known));
      const published = (): void => {
        sealing.takeOverPack(old, record, packs);
        report.packsRepacked++;
        report.freedBytes += old.sizeBytes - record.sizeBytes;
        report.copiedBytes += record.sizeBytes;
        report.deadBytes -= share.deadBytes;
      };
      // What is damaged or lost stays known: the new file holds no more of it than the old one.
      const { pack, generation } = record;
      const still = quarantined.length > 0 ? [{ pack, generation, slots: quarantined }] : [];
      return { changes: withPacks(manifest, left, still), published };
    });
    await this.pace(bytes);
  }

  /** Lets deduplication use what is left of closed packs again. */
  private async open(closed: readonly PackShare[]): Promise<void> {
    const { sealing } = this.options;
    const numbers = new Set(closed.map(({ record }) => record.pack));
    try {
      await sealing.perform(async () => {
        const packs = sealing.manifest.packs.filter(({ pack }) => numbers.has(pack));
        await sealing.runner.run({ kind: "open-packs", packs });
        return undefined;
      });
    } catch (error) {
      // They stay closed until the next run ends: that costs duplicates, and nothing else.
      if (!isSternwayError(error)) throw error;
    }
  }

  /** Keeps to the rate while clients write. */
  private async pace(bytes: number): Promise<void> {
    const lsn = this.options.lastLsn();
    const isBusy = lsn !== this.seenLsn;
    this.seenLsn = lsn;
    if (!isBusy || this.stopping) return;
    await this.pause.wait(Math.ceil((bytes / this.options.bytesPerSecond) * 1000));
  }
}

/** A manifest's change of packs; what it says of damage in files that are gone goes along. */
function withPacks(
  { quarantine }: Manifest,
  packs: PackRecord[],
  still: readonly QuarantineRecord[] = [],
): Partial<Manifest> {
  if (!quarantine) return { packs };
  const generations = new Map(packs.map(({ pack, generation }) => [pack, generation]));
  const isPresent = ({ pack, generation }: QuarantineRecord): boolean => generations.get(pack) === generation;
  return { packs, quarantine: [...quarantine.filter(isPresent), ...still].sort((a, b) => a.pack - b.pack) };
}
