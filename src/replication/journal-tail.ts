/**
 * The journal's tail at one tier: pieces of journal files exactly as they are stored here, for what no manifest there covers yet. Whoever opens the vault from the
 * tier lays them out as journal files again, and recovery does the rest: it takes the prefix that the chain of groups proves.
 *
 * Pieces go in the order of the journal. A file that is sealed before it was sent whole leaves a gap, which the next manifest closes; until then the
 * tier's history ends before it, and nothing behind it counts as reached.
 */
import type { Journal, TailFile } from "../journal/journal.ts";
import { bytesSource, type ObjectStore } from "../tiers/store.ts";
import { eachOf } from "./each-of.ts";
import { tailObject, type TailPiece } from "./objects.ts";

/** One request takes at most this; a flush waits for one. */
export const TAIL_PIECE_BYTES = 8 * 2 ** 20;

interface SentFile {
  sizeBytes: number;
  lastLsn: number;
  isWhole: boolean;
}

export class JournalTail {
  private readonly journal: Journal;
  private readonly store: ObjectStore;
  /** Our number among the tier's writers. */
  private readonly writer: number;
  private readonly sent = new Map<number, SentFile>();
  /** Pieces at the tier, ours and older ones. */
  private pieces: TailPiece[];
  /** Journal files up to here are covered by the tier's manifest … */
  private sealedFile: number;
  /** … with everything up to here. */
  private sealedLsn: number;
  private sending: Promise<void> = Promise.resolve();

  /** @param pieces - what lies there already */
  constructor(
    journal: Journal,
    store: ObjectStore,
    writer: number,
    pieces: readonly TailPiece[],
    sealed: { fileSequence: number; lsn: number },
  ) {
    this.journal = journal;
    this.store = store;
    this.writer = writer;
    this.pieces = [...pieces];
    this.sealedFile = sealed.fileSequence;
    this.sealedLsn = sealed.lsn;
  }

  /** The tier's manifest is a newer one. */
  sealed({ fileSequence, lsn }: { fileSequence: number; lsn: number }): void {
    this.sealedFile = fileSequence;
    this.sealedLsn = lsn;
    for (const sequence of [...this.sent.keys()]) if (sequence <= fileSequence) this.sent.delete(sequence);
  }

  /** Removes the pieces that the tier's manifest covers. */
  async removeSealed(): Promise<void> {
    const gone = this.pieces.filter((piece) => piece.fileSequence <= this.sealedFile);
    this.pieces = this.pieces.filter((piece) => piece.fileSequence > this.sealedFile);
    await eachOf(gone, ({ name }) => this.store.remove(name));
  }

  /** Everything up to here can be had from the tier, as far as what was sent says. */
  get reached(): number {
    let reached = this.sealedLsn;
    for (let sequence = this.sealedFile + 1; ; sequence++) {
      const file = this.sent.get(sequence);
      if (!file) return reached;
      reached = Math.max(reached, file.lastLsn);
      if (!file.isWhole) return reached;
    }
  }

  /** Bytes that are durable here and were not sent. */
  get unsentBytes(): number {
    return this.files().reduce((sum, { fileSequence, sizeBytes }) => {
      return sum + sizeBytes - (this.sent.get(fileSequence)?.sizeBytes ?? 0);
    }, 0);
  }

  /** Sends what is durable here and not yet there. @throws what the store throws; what was sent counts */
  async send(signal?: AbortSignal): Promise<void> {
    // One at a time: two would each begin where the other has not ended.
    const before = this.sending;
    const turn = Promise.withResolvers<void>();
    this.sending = turn.promise;
    await before;
    try {
      await this.sendAll(signal);
    } finally {
      turn.resolve();
    }
  }

  private async sendAll(signal: AbortSignal | undefined): Promise<void> {
    let next = this.sealedFile + 1;
    while (this.sent.get(next)?.isWhole === true) next++;
    for (const file of this.files()) {
      if (file.fileSequence < next) continue;
      // A file that was sealed before it was sent comes with its manifest. What lies behind such a gap would be taken for damage.
      if (file.fileSequence > next || !(await this.sendFile(file, signal))) return;
      next++;
    }
  }

  private files(): TailFile[] {
    return this.journal
      .tail()
      .filter(({ fileSequence }) => fileSequence > this.sealedFile)
      .sort((a, b) => a.fileSequence - b.fileSequence);
  }

  private async sendFile(file: TailFile, signal: AbortSignal | undefined): Promise<boolean> {
    const { fileSequence, sizeBytes, lastLsn, isClosed } = file;
    const sent = this.sent.get(fileSequence) ?? { sizeBytes: 0, lastLsn: 0, isWhole: false };
    while (sent.sizeBytes < sizeBytes) {
      const offset = sent.sizeBytes;
      const bytes = new Uint8Array(Math.min(TAIL_PIECE_BYTES, sizeBytes - offset));
      if (!(await this.journal.readStored(fileSequence, bytes, offset))) return false;
      const name = tailObject(this.writer, fileSequence, offset);
      await this.store.put(name, bytesSource(bytes), { signal });
      this.pieces.push({ name, writer: this.writer, fileSequence, offset, sizeBytes: bytes.length });
      sent.sizeBytes += bytes.length;
      // In whole groups only: recovery finds nothing in the first part of one.
      if (sent.sizeBytes === sizeBytes) sent.lastLsn = lastLsn;
      this.sent.set(fileSequence, sent);
    }
    sent.lastLsn = lastLsn;
    if (isClosed) sent.isWhole = true;
    if (sent.sizeBytes > 0) this.sent.set(fileSequence, sent);
    return true;
  }
}
