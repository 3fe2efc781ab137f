/**
 * The door of the room: the audit of one appliance. Who did what to what, from where, with what result, as a chain of lines that cannot be changed, dropped
 * or put in without showing (`line.ts` has the format, `chain.ts` the law, `verify.ts` the check that anybody can make).
 *
 *     DATA/audit/NNNN.jsonl   the lines, in files of 8 MiB; each file but the last ends with a seal
 *     DATA/audit/key.pem      the key that signs the seals
 *     DATA/audit/NNNN.torn    what a crash tore off, where it held more than a part of one line
 *     DATA/audit/NNNN.broken  a file that had been changed or damaged
 *
 * It is the source of truth for what people did, and nothing here deletes any of it. An entry is in the chain when {@link AuditTrail.append} resolves with
 * `kept`. After a crash the chain holds every entry that was answered for (`recovery.ts`).
 *
 * When it cannot be written, because the disk is full or fails, the appliance goes on: it says so in its health, keeps the newest entries in memory up to a
 * bound, tells in the chain how many it had to drop, and tries again. Refusing work instead would keep people from the very things that make room again, and
 * from a restore when it is needed most.
 */
import type { Clock, Timer } from "../base/clock.ts";
import type { Disk } from "../base/disk.ts";
import type { Random } from "../base/random.ts";
import { formatTime } from "../base/units.ts";
import { UNSEALED_LINES_MAX } from "./chain.ts";
import { exportAudit } from "./export.ts";
import { discreetFacts, printOf, spellingsOf, type Discretion } from "./discreet.ts";
import { BEGUN, cleanFacts, encodeEntry, encodeSeal, NO_HASH, type AuditFacts, type AuditHead } from "./line.ts";
import { listAudit, type AuditPage, type AuditQuery } from "./listing.ts";
import { FILE_BYTES_MAX, recoverAudit, type AuditFile, type Recovered } from "./recovery.ts";
import { openSigningKey, type SigningKey } from "./signing-key.ts";
import { AuditWriter, type Kept } from "./writer.ts";

export type { AuditDetail, AuditEntry, AuditFacts, AuditHead, AuditResult } from "./line.ts";
export type { Kept } from "./writer.ts";
export type { AuditPage, AuditQuery } from "./listing.ts";
export { Repeats } from "./repeats.ts";
export { verifyAudit, type AuditReport } from "./verify.ts";

export interface AuditOptions {
  disk: Disk;
  clock: Clock;
  random: Random;
  /** Made when it is not there; its parent must be. */
  dir: string;
  /** Told when the chain was found torn or broken, or cannot be written. Must not throw. */
  tell?: (event: { level: "warning" | "alert"; kind: string; message: string }) => void;
  /** The encrypted vault that has, or had, a volume of this name; absent: no vault is encrypted. */
  vaultNaming?: (word: string) => string | undefined;
  /** Called with each result of writing lines. */
  onWritten?: (lines: number, failed: boolean) => void;
}

/** Entries are signed a minute after they came, at the latest. */
const SEAL_AFTER_MS = 60_000;

export class AuditTrail {
  readonly #options: AuditOptions;
  readonly #key: SigningKey;
  readonly #writer: AuditWriter;
  readonly #discretion: Discretion;
  readonly #files: AuditFile[];
  #head: AuditHead;
  #file: { number: number; plannedBytes: number };
  #nextNumber: number;
  #unsealed: number;
  #sealTimer: Timer | undefined;
  #dropped = 0;
  #stopped = false;

  private constructor(options: AuditOptions, key: SigningKey, recovered: Recovered) {
    this.#options = options;
    this.#key = key;
    this.#files = recovered.files;
    const nowhere = (): undefined => undefined;
    this.#discretion = { vaultNaming: options.vaultNaming ?? nowhere, key: key.publicKey };
    this.#head = { seq: recovered.nextSeq - 1, hash: recovered.head?.hash ?? NO_HASH };
    this.#unsealed = recovered.unsealed;
    this.#nextNumber = recovered.nextNumber;
    const { current } = recovered;
    this.#file = { number: current?.number ?? this.#nextNumber++, plannedBytes: current?.sizeBytes ?? 0 };
    this.#writer = new AuditWriter({
      disk: options.disk,
      clock: options.clock,
      dir: options.dir,
      current,
      onWritten: options.onWritten,
      onTrouble: (message) => options.tell?.({ level: "alert", kind: "audit-not-kept", message }),
    });
  }

  /** Opens the audit in a folder. @throws unavailable: the folder cannot be read or written */
  static async open(options: AuditOptions): Promise<AuditTrail> {
    const { disk, dir, random } = options;
    await disk.mkdir(dir);
    await disk.syncDir(dir.slice(0, dir.lastIndexOf("/")));
    const key = await openSigningKey(disk, dir, random);
    const recovered = await recoverAudit(disk, dir, key.publicKey);
    const trail = new AuditTrail(options, key, recovered);
    trail.#tellRecovered(recovered);
    return trail;
  }

  /** SHA-256 of the public key, hexadecimal, and the key itself: SPKI in base64. */
  get key(): { fingerprint: string; publicKey: string } {
    return { fingerprint: this.#key.fingerprint, publicKey: this.#key.publicKey };
  }

  /** The newest line; noted down elsewhere, it proves later that nothing before it was changed or cut off. */
  get head(): AuditHead {
    return { ...this.#head };
  }

  /** Why entries cannot be written at this time, in words; undefined: they can. */
  get trouble(): string | undefined {
    return this.#writer.trouble;
  }

  /** Adds an entry. Texts are cut and cleaned, names in encrypted vaults replaced by their prints. @returns resolves within some seconds, whatever the disk does; never rejects */
  append(facts: AuditFacts): Promise<Kept> {
    if (this.#stopped || this.#writer.isFull) {
      this.#dropped++;
      return Promise.resolve("dropped");
    }
    if (this.#dropped > 0) {
      const lost = this.#dropped;
      this.#dropped = 0;
      void this.#entry(own("audit-gap", "failed", { lost }));
    }
    return this.#entry(discreetFacts(cleanFacts(facts), this.#discretion));
  }

  /** Signs what is not signed yet. @returns as {@link append} */
  async seal(): Promise<Kept> {
    return this.#unsealed === 0 ? await this.#writer.settled() : await this.#seal();
  }

  /** Entries that fit, newest first. @throws unavailable: the files cannot be read */
  async list(query: AuditQuery): Promise<AuditPage> {
    await this.#writer.settled();
    return await listAudit(this.#options.disk, this.#options.dir, this.#files, this.#writer.durable, query);
  }

  /** How a subject's name may stand in entries: as it is, and, of a volume in an encrypted vault, as prints. */
  spellings(name: string): string[] {
    return spellingsOf(name, this.#discretion);
  }

  /** What stands for a name in entries about an encrypted vault. */
  printOf(name: string): string {
    return printOf(name, this.#discretion.key);
  }

  /** The whole chain as an export, in pieces of text that end with a line; signed first. @throws unavailable: the files cannot be read */
  async export(): Promise<AsyncGenerator<Uint8Array, void, undefined>> {
    await this.seal();
    const { disk, dir } = this.#options;
    return exportAudit({ disk, dir, files: [...this.#files], durable: this.#writer.durable, key: this.#key.publicKey });
  }

  /** Signs, writes what waits and closes; entries that come later are dropped. Idempotent. */
  async stop(): Promise<void> {
    if (this.#stopped) return;
    await this.seal();
    this.#stopped = true;
    this.#sealTimer?.cancel();
    await this.#writer.stop();
  }

  #tellRecovered({ head, current, torn, broken }: Recovered): void {
    const { tell } = this.#options;
    if (current === undefined || head === undefined) {
      this.#begin(broken, head);
    }
    if (broken !== undefined) {
      const message = `the audit's chain was broken, and a new one begins: ${broken}`;
      tell?.({ level: "alert", kind: "audit-broken", message });
    }
    if (this.#unsealed > 0) this.#sealLater();
    if (torn === undefined) return;
    void this.#entry(own("audit-torn", "done", torn));
    const message = `a crash tore off the end of the audit's file ${torn.file}: ${torn.bytes} bytes that nobody was told were kept`;
    tell?.({ level: "warning", kind: "audit-torn", message });
  }

  #begin(reason: string | undefined, old: AuditHead | undefined): void {
    this.#head = { seq: this.#head.seq, hash: NO_HASH };
    const detail = {
      key: this.#key.publicKey,
      ...(reason === undefined ? {} : { reason }),
      ...(old === undefined ? {} : { oldSeq: old.seq, oldHash: old.hash }),
    };
    void this.#entry(own(BEGUN, "done", detail));
    void this.#seal();
  }

  #entry(facts: AuditFacts): Promise<Kept> {
    const line = encodeEntry(this.#next(), cleanFacts(facts));
    const kept = this.#put(line);
    this.#unsealed++;
    if (this.#file.plannedBytes >= FILE_BYTES_MAX || this.#unsealed >= UNSEALED_LINES_MAX - 1) void this.#seal();
    else this.#sealLater();
    return kept;
  }

  #sealLater(): void {
    this.#sealTimer ??= this.#options.clock.timer(SEAL_AFTER_MS, () => void this.#seal());
  }

  #seal(): Promise<Kept> {
    this.#sealTimer?.cancel();
    this.#sealTimer = undefined;
    this.#unsealed = 0;
    const line = encodeSeal(this.#next(), this.#key.publicKey, (hash) => this.#key.sign(hash));
    const kept = this.#put(line);
    // A full file ends with this seal.
    if (this.#file.plannedBytes >= FILE_BYTES_MAX) this.#file = { number: this.#nextNumber++, plannedBytes: 0 };
    return kept;
  }

  #next(): { seq: number; time: string; previous: string } {
    const { seq, hash } = this.#head;
    return { seq: seq + 1, time: formatTime(this.#options.clock.wall()), previous: hash };
  }

  #put({ text, hash }: { text: string; hash: string }): Promise<Kept> {
    const seq = this.#head.seq + 1;
    this.#head = { seq, hash };
    const { number } = this.#file;
    if (this.#file.plannedBytes === 0) this.#files.push({ number, firstSeq: seq });
    const bytes = new TextEncoder().encode(`${text}\n`);
    this.#file.plannedBytes += bytes.length;
    return this.#writer.put({ bytes, file: number });
  }
}

/** What the appliance itself has to say. */
function own(action: string, result: AuditFacts["result"], detail: NonNullable<AuditFacts["detail"]>): AuditFacts {
  return { who: "appliance", role: "-", by: "-", from: "", action, subject: "audit", result, detail };
}
