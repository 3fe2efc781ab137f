/**
 * Verifying an audit offline: the appliance's own folder, one of its files, or an export. Reads only, needs no daemon and no secret.
 *
 * An export is the lines of all files between a first and a last line of its own, both of which repeat what the lines say and need no signature:
 *
 *     {"export":"sternway-audit-1","key":"<public key>"}
 *     …
 *     {"end":{"seq":N,"hash":"…"}}
 */
import type { Disk } from "../base/disk.ts";
import { SternwayError } from "../base/errors.ts";
import { ChainCheck, type ChainFinding } from "./chain.ts";
import { keyFingerprint, type AuditHead } from "./line.ts";
import { linesForward, type RawLine } from "./lines.ts";

export interface VerifyOptions {
  /** Fingerprint of the key that was noted down. */
  fingerprint?: string | undefined;
  /** Places that were noted down. */
  heads?: readonly AuditHead[];
}

export interface AuditReport {
  entries: number;
  seals: number;
  /** Of the first line. */
  first?: number;
  head?: AuditHead;
  /** Of the key that signed. */
  fingerprint?: string;
  /** Lines at the end that no signature covers. */
  unsealed: number;
  /** None: the audit is whole. At most 100. */
  findings: ChainFinding[];
  /** Findings beyond those. */
  moreFindings: number;
  /** What one should know to judge it. */
  notes: string[];
}

const EXPORT_NAME = "sternway-audit-1";
const FILE_NAME = /^(\d{4,9})\.jsonl$/;
const SET_ASIDE = /^\d{4,9}\.(?:broken|torn)$/;
/** A line that the appliance writes meanwhile is seen in part: it is looked at again so many times. */
const TAIL_TRIES = 3;

/** The number in the name of one of the audit's files. */
export function fileNumber(name: string): number | undefined {
  const digits = FILE_NAME.exec(name)?.[1];
  return digits === undefined ? undefined : Number(digits);
}
export const fileName = (number: number): string => `${String(number).padStart(4, "0")}.jsonl`;

export const exportHeader = (key: string): string => JSON.stringify({ export: EXPORT_NAME, key });
export const exportEnd = ({ seq, hash }: AuditHead): string => JSON.stringify({ end: { seq, hash } });

/**
 * Verifies what lies at a path.
 * @param path - a file of the audit, an export, the audit's folder, or the data folder that holds it
 * @throws not_found: no audit is there; unavailable: it cannot be read
 */
export async function verifyAudit(disk: Disk, path: string, options: VerifyOptions = {}): Promise<AuditReport> {
  if ((await disk.sizeOf(path)) !== undefined) return await verifyFile(disk, path, options);
  for (const dir of [path, `${path}/audit`]) {
    const names = await disk.list(dir);
    if (names.some((name) => fileNumber(name) !== undefined)) return await verifyFolder(disk, dir, names, options);
  }
  throw new SternwayError("not_found", `${path} is neither an audit's folder, nor one of its files, nor an export`, {
    path,
  });
}

async function verifyFolder(
  disk: Disk,
  dir: string,
  names: readonly string[],
  options: VerifyOptions,
): Promise<AuditReport> {
  const numbers = names.flatMap((name) => fileNumber(name) ?? []).sort((a, b) => a - b);
  const check = new ChainCheck({ ...options, fromBeginning: true });
  let where = dir;
  for (const number of numbers) {
    const name = fileName(number);
    for await (const [line, count] of numbered(disk, `${dir}/${name}`)) {
      where = `${name}, line ${count}`;
      check.next(line, where);
    }
  }
  check.finish(where);
  const aside = names.filter((name) => SET_ASIDE.test(name));
  const notes = aside.length === 0 ? [] : [`set aside at an earlier start, and kept: ${aside.join(", ")}`];
  return reportOf(check, options, notes);
}

async function verifyFile(disk: Disk, path: string, options: VerifyOptions): Promise<AuditReport> {
  const name = path.slice(path.lastIndexOf("/") + 1);
  let check = new ChainCheck({ ...options, fromBeginning: false });
  let key: string | undefined;
  let end: string | undefined;
  let where = name;
  const findings: ChainFinding[] = [];
  for await (const [line, count] of numbered(disk, path)) {
    where = `${name}, line ${count}`;
    const text = line.complete ? new TextDecoder().decode(line.bytes) : "";
    if (end !== undefined) {
      findings.push({ where, what: "something follows the export's end" });
      break;
    }
    if (count === 1 && text.startsWith('{"export":')) {
      key = headerKey(text);
      if (key === undefined) findings.push({ where, what: "the export's first line is not as exports begin" });
      key ??= "";
      check = new ChainCheck({ ...options, fromBeginning: true });
    } else if (key !== undefined && text.startsWith('{"end":')) {
      end = text;
      if (check.head === undefined || text !== exportEnd(check.head))
        findings.push({ where, what: "the export's last line is not that of the line before it" });
    } else {
      check.next(line, where);
    }
  }
  if (key !== undefined && end === undefined) findings.push({ where, what: "the end of the export is missing" });
  if (key !== undefined && end !== undefined && check.unsealed > 0)
    findings.push({ where, what: `the last ${check.unsealed} lines are not signed; an export ends with a signature` });
  if (key !== undefined && key !== check.key)
    findings.push({ where, what: "the export names another key than it is signed by" });
  check.finish(where);
  if (check.first === undefined && key === undefined)
    throw new SternwayError("not_found", `${path} holds no line of an audit`, { path });
  const notes =
    key === undefined && (check.first ?? 1) > 1
      ? [`this file begins with line ${check.first}; what came before is not in it`]
      : [];
  const report = reportOf(check, options, notes);
  return { ...report, findings: [...findings, ...report.findings] };
}

/** Lines with their numbers in the file, from 1. */
async function* numbered(disk: Disk, path: string): AsyncGenerator<[line: RawLine, count: number], void, undefined> {
  const file = await disk.open(path, "read");
  try {
    let count = 0;
    let start = 0;
    let size = await file.size();
    for (let tries = 1; ; tries++) {
      let tail: RawLine | undefined;
      for await (const line of linesForward(file, size, start)) {
        if (!line.complete) {
          tail = line;
          break;
        }
        start = line.offset + line.bytes.length + 1;
        yield [line, ++count];
      }
      const grown = await file.size();
      if (tail === undefined) return;
      if (grown === size || tries === TAIL_TRIES) return yield [tail, count + 1];
      size = grown;
    }
  } finally {
    await file.close();
  }
}

function reportOf(check: ChainCheck, options: VerifyOptions, notes: string[]): AuditReport {
  const { key, head, first } = check;
  const seen = key === undefined ? undefined : keyFingerprint(key);
  return {
    entries: check.entries,
    seals: check.seals,
    ...(first === undefined ? {} : { first }),
    ...(head === undefined ? {} : { head }),
    ...(seen === undefined ? {} : { fingerprint: seen }),
    unsealed: check.unsealed,
    findings: check.findings,
    moreFindings: check.dropped,
    notes: [
      ...notes,
      ...(check.unsealed > 0 ? [`the last ${check.unsealed} lines are not signed yet`] : []),
      ...(options.fingerprint === undefined && seen !== undefined
        ? ["whose key signed it is yours to know: compare its fingerprint with the one noted down"]
        : []),
    ],
  };
}

function headerKey(text: string): string | undefined {
  const key = /^\{"export":"sternway-audit-1","key":"([A-Za-z0-9+/=]+)"\}$/.exec(text)?.[1];
  return key !== undefined && exportHeader(key) === text ? key : undefined;
}
