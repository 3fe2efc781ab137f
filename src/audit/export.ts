/** The whole audit as one stream (`verify.ts` has its form). It ends with the newest seal that is durable, so that nothing in it is unsigned. */
import type { Disk, DiskFile } from "../base/disk.ts";
import { parseLine, type AuditHead } from "./line.ts";
import { linesBackward } from "./lines.ts";
import type { AuditFile } from "./recovery.ts";
import { exportEnd, exportHeader, fileName } from "./verify.ts";

export interface ExportSource {
  disk: Disk;
  dir: string;
  files: readonly AuditFile[];
  /** How far the newest file is durable. */
  durable: { number: number; sizeBytes: number };
  /** Public key of the appliance, SPKI in base64. */
  key: string;
}

const CHUNK_BYTES = 262_144;

/** Pieces of the export, in order; what is appended meanwhile is not in it. @throws unavailable: a file cannot be read */
export async function* exportAudit(source: ExportSource): AsyncGenerator<Uint8Array, void, undefined> {
  const { disk, dir, files, key } = source;
  const end = await lastSeal(source);
  const encoder = new TextEncoder();
  yield encoder.encode(`${exportHeader(key)}\n`);
  if (end === undefined) return;
  for (const { number } of files) {
    if (number > end.number) break;
    const file = await disk.open(`${dir}/${fileName(number)}`, "read");
    try {
      const size = number === end.number ? end.sizeBytes : await file.size();
      yield* pieces(file, size);
    } finally {
      await file.close();
    }
  }
  yield encoder.encode(`${exportEnd(end.head)}\n`);
}

async function* pieces(file: DiskFile, size: number): AsyncGenerator<Uint8Array, void, undefined> {
  for (let at = 0; at < size;) {
    const piece = new Uint8Array(Math.min(CHUNK_BYTES, size - at));
    const got = await file.read(piece, at);
    if (got === 0) return;
    yield piece.subarray(0, got);
    at += got;
  }
}

async function lastSeal(
  source: ExportSource,
): Promise<{ number: number; sizeBytes: number; head: AuditHead } | undefined> {
  const { disk, dir, files, durable } = source;
  for (const { number } of files.toReversed()) {
    if (number > durable.number) continue;
    const file = await disk.open(`${dir}/${fileName(number)}`, "read");
    try {
      let sizeBytes = number === durable.number ? durable.sizeBytes : await file.size();
      for await (const bytes of linesBackward(file, sizeBytes)) {
        const parsed = parseLine(bytes);
        if (parsed.kind === "seal") return { number, sizeBytes, head: parsed.seal };
        sizeBytes -= bytes.length + 1;
      }
    } finally {
      await file.close();
    }
  }
  return undefined;
}
