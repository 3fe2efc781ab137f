/**
 * What an appliance finds in its audit's folder when it starts, and what it makes of it, before it writes the next line.
 *
 * Only the last file can have been hurt by a crash, and in it only what was written at once and not synced yet. Such an end is told by what a crash leaves: a
 * line without its end, or zeros where a part did not arrive, in the last {@link GROUP_BYTES_MAX} bytes. It is cut off (nobody was told that it
 * was kept), and a copy goes to `NNNN.torn` where it was more than a part of one line. Anything else that does not follow was not our doing: the file becomes
 * `NNNN.broken`, and a new chain begins in the next one. Nothing that held a whole line is ever deleted.
 *
 * The last file is read whole, the ones before only at their ends: all of them are for `sternway audit verify`.
 */
import { publish, readWhole, type Disk } from "../base/disk.ts";
import { ChainCheck } from "./chain.ts";
import { keyFingerprint, LINE_BYTES_MAX, parseLine, type AuditHead } from "./line.ts";
import { linesBackward, linesForward } from "./lines.ts";
import { fileName, fileNumber } from "./verify.ts";

/** One file of the audit, for finding lines by their number. */
export interface AuditFile {
  number: number;
  /** Of its first line. */
  firstSeq: number;
}

export interface Recovered {
  files: AuditFile[];
  /** The last good line, which the next one names. Absent: there is none. */
  head: AuditHead | undefined;
  /** The next line's number. */
  nextSeq: number;
  /** Lines since the last seal. */
  unsealed: number;
  /** Number and size of the file to go on in; absent: a new one. */
  current: { number: number; sizeBytes: number } | undefined;
  /** The number that the next new file gets. */
  nextNumber: number;
  /** What was cut off. */
  torn?: { file: string; offset: number; bytes: number };
  /** Why a new chain must begin, in words. */
  broken?: string;
}

/** At most so much is written between two syncs. */
export const GROUP_BYTES_MAX = 65_536;
/** When a file is full. */
export const FILE_BYTES_MAX = 8 * 2 ** 20;
/** The largest file that is ours: the line that fills it goes over the limit. */
const FILE_BYTES_POSSIBLE = FILE_BYTES_MAX + 2 * LINE_BYTES_MAX;
/** The shortest line is longer than 64 bytes: its hash alone is. */
const LINES_POSSIBLE = FILE_BYTES_POSSIBLE / 64;
const NUMBERED = /^(\d{4,9})\./;
const NEWLINE = 10;

/**
 * Looks at the folder, and cuts or sets aside what must be. Repeatable: cut short by a crash, it comes to the same.
 * @param ownKey - public key of this appliance; a chain that another one signed is not continued
 * @throws unavailable: the folder cannot be read or written
 */
export async function recoverAudit(disk: Disk, dir: string, ownKey: string): Promise<Recovered> {
  const names = await disk.list(dir);
  for (const name of names) if (name.endsWith(".tmp")) await disk.remove(`${dir}/${name}`);
  const numbers = names.flatMap((name) => fileNumber(name) ?? []).sort((a, b) => a - b);
  const used = names.map((name) => Number(NUMBERED.exec(name)?.[1] ?? 0));
  const nextNumber = Math.max(0, ...used) + 1;
  const last = numbers.at(-1);
  if (last === undefined) {
    const broken = nextNumber === 1 ? {} : { broken: "no file of the chain before is left" };
    return { files: [], head: undefined, nextSeq: 1, unsealed: 0, current: undefined, nextNumber, ...broken };
  }
  const files: AuditFile[] = [];
  for (const number of numbers.slice(0, -1)) {
    const firstSeq = await seqOfFirst(disk, `${dir}/${fileName(number)}`);
    // One whose first line is no line any more has nothing to be found in it.
    if (firstSeq !== undefined) files.push({ number, firstSeq });
  }
  const before = numbers.at(-2);
  const link = before === undefined ? undefined : await lastLine(disk, `${dir}/${fileName(before)}`);
  const found = await lookThrough(disk, dir, last, before === undefined ? "beginning" : link);
  if (found.check.first !== undefined) files.push({ number: last, firstSeq: found.check.first });
  const { head, key, unsealed } = found.check;
  const sealed = { files, head, nextSeq: (head?.seq ?? 0) + 1, unsealed, nextNumber };
  if (!found.isWhole) return await mend(disk, dir, fileName(last), found, sealed);
  if (before !== undefined && link === undefined) {
    return { ...sealed, current: undefined, broken: `the end of ${fileName(before)} is damaged` };
  }
  if (key !== undefined && key !== ownKey) {
    const reason = `the key ${keyFingerprint(key)} is not there any more`;
    return { ...sealed, current: undefined, broken: reason };
  }
  return { ...sealed, current: { number: last, sizeBytes: found.goodBytes } };
}

interface Look {
  check: ChainCheck;
  sizeBytes: number;
  /** How far it is good. */
  goodBytes: number;
  isWhole: boolean;
}

/** Reads a file up to the first thing that is wrong with it. @param link - the line before its first one */
async function lookThrough(
  disk: Disk,
  dir: string,
  number: number,
  link: Link | "beginning" | undefined,
): Promise<Look> {
  const name = fileName(number);
  const check = new ChainCheck({ fromBeginning: link === "beginning" });
  if (typeof link === "object") {
    check.head = link.head;
    check.key = link.key;
  }
  const file = await disk.open(`${dir}/${name}`, "read");
  try {
    const sizeBytes = await file.size();
    let goodBytes = 0;
    let count = 0;
    for await (const line of linesForward(file, sizeBytes)) {
      const before = check.state();
      if (!check.next(line, `${name}, line ${++count}`)) {
        check.restore(before);
        return { check, sizeBytes, goodBytes, isWhole: false };
      }
      goodBytes = line.offset + line.bytes.length + 1;
    }
    return { check, sizeBytes, goodBytes, isWhole: true };
  } finally {
    await file.close();
  }
}

/** Cuts off what a crash tore, or sets the file aside. */
async function mend(
  disk: Disk,
  dir: string,
  name: string,
  { check, sizeBytes, goodBytes }: Look,
  sealed: Omit<Recovered, "current" | "torn" | "broken">,
): Promise<Recovered> {
  const path = `${dir}/${name}`;
  const isOurs = sizeBytes <= FILE_BYTES_POSSIBLE;
  const bytes = isOurs ? await readWhole(disk, path) : new Uint8Array(0);
  const end = bytes.subarray(goodBytes);
  if (isOurs && isTorn(end)) {
    if (end.includes(NEWLINE)) await publish(disk, `${dir}/${name.replace("jsonl", "torn")}`, [end]);
    await publish(disk, path, [bytes.subarray(0, goodBytes)]);
    const torn = { file: name, offset: goodBytes, bytes: end.length };
    return { ...sealed, current: { number: Number(NUMBERED.exec(name)?.[1]), sizeBytes: goodBytes }, torn };
  }
  const aside = name.replace("jsonl", "broken");
  // Numbers that the lines set aside have are not given out again.
  const lines = end.reduce((sum, byte) => sum + Number(byte === NEWLINE), end.at(-1) === NEWLINE ? 0 : 1);
  const lastSeq = (await lastLine(disk, path))?.head.seq ?? 0;
  const jump = lastSeq - sealed.nextSeq < LINES_POSSIBLE ? Math.max(lines, lastSeq - sealed.nextSeq + 1) : lines;
  await disk.rename(path, `${dir}/${aside}`);
  await disk.syncDir(dir);
  const number = Number(NUMBERED.exec(name)?.[1]);
  const { where, what } = check.findings[0] ?? { where: name, what: "it is damaged" };
  return {
    files: sealed.files.filter((file) => file.number !== number),
    head: sealed.head,
    nextSeq: sealed.nextSeq + jump,
    unsealed: 0,
    current: undefined,
    nextNumber: sealed.nextNumber,
    broken: `${where}: ${what}; it is kept as ${aside}`,
  };
}

/** What a crash leaves at the end of a file: no more than one group, without an end or with holes. */
function isTorn(end: Uint8Array): boolean {
  return end.length <= GROUP_BYTES_MAX && (end.includes(0) || !end.includes(NEWLINE));
}

interface Link {
  head: AuditHead;
  key: string | undefined;
}

/** The last line of a file, which its successor goes on from; undefined when it is none, or not a complete one. */
async function lastLine(disk: Disk, path: string): Promise<Link | undefined> {
  const file = await disk.open(path, "read");
  try {
    const size = await file.size();
    const tail = new Uint8Array(1);
    if (size === 0 || (await file.read(tail, size - 1)) !== 1 || tail[0] !== NEWLINE) return undefined;
    for await (const bytes of linesBackward(file, size)) {
      const parsed = parseLine(bytes);
      if (parsed.kind === "bad") return undefined;
      if (parsed.kind === "seal") return { head: parsed.seal, key: parsed.seal.seal };
      return { head: parsed.entry, key: undefined };
    }
    return undefined;
  } finally {
    await file.close();
  }
}

async function seqOfFirst(disk: Disk, path: string): Promise<number | undefined> {
  const file = await disk.open(path, "read");
  try {
    for await (const line of linesForward(file, Math.min(await file.size(), LINE_BYTES_MAX))) {
      const parsed = parseLine(line.bytes);
      if (parsed.kind === "bad") return undefined;
      return parsed.kind === "entry" ? parsed.entry.seq : parsed.seal.seq;
    }
    return undefined;
  } finally {
    await file.close();
  }
}
