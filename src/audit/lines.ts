/** Lines of a file by its bytes, forwards and backwards, a chunk at a time: a file of any size costs the memory of one chunk and one line. */
import type { DiskFile } from "../base/disk.ts";
import { LINE_BYTES_MAX } from "./line.ts";

export interface RawLine {
  /** Without its newline. */
  bytes: Uint8Array;
  /** Where it begins in the file. */
  offset: number;
  /** False for the rest of a file that does not end in a newline, and for the beginning of a line that is too long to be one. */
  complete: boolean;
}

const CHUNK_BYTES = 262_144;
const NEWLINE = 10;

/** Lines from `start`, where one begins, to `end`. After a line that is too long nothing more comes. */
export async function* linesForward(file: DiskFile, end: number, start = 0): AsyncGenerator<RawLine, void, undefined> {
  let rest: Uint8Array = new Uint8Array(0);
  let offset = start;
  for (let at = start; at < end;) {
    const chunk = await readAt(file, at, Math.min(CHUNK_BYTES, end - at));
    if (chunk.length === 0) break;
    at += chunk.length;
    const bytes = rest.length === 0 ? chunk : joined(rest, chunk);
    let from = 0;
    for (let to = bytes.indexOf(NEWLINE); to >= 0; to = bytes.indexOf(NEWLINE, from)) {
      yield { bytes: bytes.subarray(from, to), offset: offset + from, complete: true };
      from = to + 1;
    }
    rest = bytes.subarray(from);
    offset += from;
    if (rest.length > LINE_BYTES_MAX) break;
  }
  if (rest.length > 0) yield { bytes: rest, offset, complete: false };
}

/** Complete lines before `end`, the last one first. A line that is too long ends it. */
export async function* linesBackward(file: DiskFile, end: number): AsyncGenerator<Uint8Array, void, undefined> {
  let rest: Uint8Array = new Uint8Array(0);
  let isFirst = true;
  for (let at = end; at > 0;) {
    const from = Math.max(0, at - CHUNK_BYTES);
    const chunk = await readAt(file, from, at - from);
    if (chunk.length < at - from) return;
    at = from;
    const bytes = rest.length === 0 ? chunk : joined(chunk, rest);
    let to = bytes.length;
    for (
      let newline = bytes.lastIndexOf(NEWLINE);
      newline >= 0;
      newline = newline === 0 ? -1 : bytes.lastIndexOf(NEWLINE, newline - 1)
    ) {
      // Behind the last newline lies nothing, or a line that was not finished.
      if (!isFirst) yield bytes.subarray(newline + 1, to);
      isFirst = false;
      to = newline;
    }
    rest = bytes.subarray(0, to);
    if (rest.length > LINE_BYTES_MAX + CHUNK_BYTES) return;
  }
  if (!isFirst) yield rest;
}

async function readAt(file: DiskFile, offset: number, length: number): Promise<Uint8Array> {
  const into = new Uint8Array(length);
  return into.subarray(0, await file.read(into, offset));
}

function joined(first: Uint8Array, second: Uint8Array): Uint8Array {
  const both = new Uint8Array(first.length + second.length);
  both.set(first);
  both.set(second, first.length);
  return both;
}
