/**
 * The law of the audit, as one reader that is shown its lines in order: each names the hash of the one before and counts on by one, a chain begins with
 * a line `audit-begun`, seals are signed by the chain's key and follow each other closely. It says what breaks that, exactly where, and goes on
 * behind it, so that one wrong byte does not hide the next. Pure, and of constant size.
 */
import {
  BEGUN,
  isSigned,
  keyFingerprint,
  NO_HASH,
  parseLine,
  type AuditEntry,
  type AuditHead,
  type AuditSeal,
} from "./line.ts";
import type { RawLine } from "./lines.ts";

export interface ChainFinding {
  /** File and line. */
  where: string;
  what: string;
}

export interface ChainExpectations {
  /** A place that somebody noted down: it must be in the chain. */
  heads?: readonly AuditHead[];
  /** Fingerprint of the key that must have signed. */
  fingerprint?: string | undefined;
  /** Whether lines from the beginning on are shown; else what comes before the first one is not asked for. */
  fromBeginning: boolean;
}

export type ChainState = Pick<ChainCheck, "entries" | "seals" | "unsealed" | "first" | "head" | "key">;

/** More are counted, not kept. */
const FINDINGS_MAX = 100;
/**
 * A seal comes at the latest after so many lines. It bounds what somebody without the key could write in the place of what stood at the end.
 */
export const UNSEALED_LINES_MAX = 256;

export class ChainCheck {
  readonly findings: ChainFinding[] = [];
  /** Findings beyond those that are kept. */
  dropped = 0;
  entries = 0;
  seals = 0;
  /** Lines since the last good seal. */
  unsealed = 0;
  first: number | undefined;
  head: AuditHead | undefined;
  /** The public key of the chain, SPKI in base64. */
  key: string | undefined;
  readonly #expected: ChainExpectations;
  readonly #met = new Set<AuditHead>();
  /** Lines since the last good one that are none. */
  #bad = 0;

  constructor(expected: ChainExpectations) {
    this.#expected = expected;
  }

  /** Shows the next line. @returns false when something is wrong with it or its place */
  next(line: RawLine, where: string): boolean {
    const before = this.findings.length + this.dropped;
    if (line.complete) this.#look(line.bytes, where);
    else this.#tell(where, "the line is cut off: it has no end");
    return this.findings.length + this.dropped === before;
  }

  /** Says what is missing at the end. @param where - the last place */
  finish(where: string): void {
    for (const head of this.#expected.heads ?? []) {
      if (this.#met.has(head)) continue;
      const { seq } = head;
      if (this.head === undefined || this.head.seq < seq) {
        const last = this.head === undefined ? "there is nothing" : `it ends with line ${this.head.seq}`;
        this.#tell(where, `the end is missing: ${last}, and line ${seq} was noted`);
      } else {
        this.#tell(where, `line ${seq}, whose hash was noted, is not here`);
      }
    }
    const { fingerprint } = this.#expected;
    if (fingerprint !== undefined && this.seals === 0) this.#tell(where, "nothing here is signed");
  }

  /** What {@link restore} takes, to forget a line that was shown. The findings stay. */
  state(): ChainState {
    const { entries, seals, unsealed, first, head, key } = this;
    return { entries, seals, unsealed, first, head, key };
  }

  restore(state: ChainState): void {
    Object.assign(this, state);
  }

  #look(bytes: Uint8Array, where: string): void {
    const parsed = parseLine(bytes);
    if (parsed.kind === "bad") {
      this.#bad++;
      this.#tell(where, `the line is damaged or was changed: ${parsed.why}`);
      return;
    }
    const line = parsed.kind === "entry" ? parsed.entry : parsed.seal;
    const begun = parsed.kind === "entry" && isBegun(parsed.entry) ? parsed.entry : undefined;
    if (begun) this.#begin(begun, where);
    else this.#follow(line, where);
    this.#bad = 0;
    this.first ??= line.seq;
    this.head = { seq: line.seq, hash: line.hash };
    this.#compareNoted(line, where);
    this.unsealed++;
    if (parsed.kind === "entry") this.entries++;
    else this.#seal(parsed.seal, where);
    if (this.unsealed === UNSEALED_LINES_MAX + 1)
      this.#tell(where, `more than ${UNSEALED_LINES_MAX} lines are not signed`);
  }

  #begin(entry: AuditEntry, where: string): void {
    const key = String(entry.detail?.["key"] ?? "");
    const reason = entry.detail?.["reason"];
    if (this.head !== undefined || reason !== undefined) {
      const why = reason === undefined ? "it does not say why" : String(reason);
      this.#tell(where, `a new chain begins with line ${entry.seq}, because the one before broke: ${why}`);
    }
    if (this.head !== undefined && entry.seq <= this.head.seq) this.#tell(where, `line ${entry.seq} is out of order`);
    this.#useKey(key, where);
  }

  #follow(line: AuditEntry | AuditSeal, where: string): void {
    const { head } = this;
    if (head === undefined) {
      if (this.#expected.fromBeginning && this.#bad === 0)
        this.#tell(where, `the beginning is missing: the first line here is ${line.seq}`);
      return;
    }
    const missing = line.seq - head.seq - 1;
    if (missing < 0) {
      this.#tell(where, `line ${line.seq} comes after line ${head.seq}: it is doubled or out of order`);
    } else if (missing > this.#bad) {
      this.#tell(
        where,
        missing === 1 ? `line ${head.seq + 1} is missing` : `lines ${head.seq + 1} to ${line.seq - 1} are missing`,
      );
    } else if (missing < this.#bad) {
      this.#tell(where, `lines were put in before line ${line.seq}`);
    } else if (this.#bad === 0 && line.previous !== head.hash) {
      this.#tell(where, `line ${line.seq} does not follow the line ${head.seq} that is here: one of them was replaced`);
    }
  }

  #seal(seal: AuditSeal, where: string): void {
    this.#useKey(seal.seal, where);
    if (isSigned(seal)) {
      this.seals++;
      this.unsealed = 0;
    } else {
      this.#tell(where, `the signature of line ${seal.seq} is wrong`);
    }
  }

  #useKey(key: string, where: string): void {
    if (key === this.key) return;
    const { fingerprint } = this.#expected;
    const found = keyFingerprint(key);
    if (this.key !== undefined) {
      this.#tell(where, `the key changes here from ${keyFingerprint(this.key)} to ${found}`);
    }
    if (fingerprint !== undefined && found !== fingerprint) {
      this.#tell(where, `it is signed by the key ${found}, not by ${fingerprint}`);
    }
    this.key = key;
  }

  #compareNoted(line: AuditEntry | AuditSeal, where: string): void {
    for (const head of this.#expected.heads ?? []) {
      if (head.seq !== line.seq) continue;
      this.#met.add(head);
      if (head.hash !== line.hash)
        this.#tell(where, `line ${line.seq} is not the one that was noted: what is here was written later`);
    }
  }

  #tell(where: string, what: string): void {
    if (this.findings.length < FINDINGS_MAX) this.findings.push({ where, what });
    else this.dropped++;
  }
}

/** True for the first line of a chain. */
export const isBegun = (entry: AuditEntry): boolean => entry.action === BEGUN && entry.previous === NO_HASH;
