/**
 * A sealed file as the source of a put: read in pieces, and checked against the manifest before its last piece is given away, so that damage on this machine
 * never becomes a copy of damage.
 */
import type { Disk, DiskFile } from "../base/disk.ts";
import { isSternwayError, SternwayError } from "../base/errors.ts";
import { hashText, xxh64Stream } from "../base/hash.ts";
import type { ObjectSource } from "../tiers/store.ts";
import type { SealedFile } from "../vault/sealed-files.ts";
import { checkCopy } from "./objects.ts";

export interface SealedSource extends ObjectSource, AsyncDisposable {
  /** What this machine's file failed with: then it is not the tier that refused. */
  readonly failure: SternwayError | undefined;
}

/** Opened when it is first read from. @param dir - the vault's folder */
export function sealedSource(disk: Disk, dir: string, file: SealedFile): SealedSource {
  const path = `${dir}/${file.path}`;
  let opened: DiskFile | undefined;
  let failure: SternwayError | undefined;
  let hash = xxh64Stream(0n);
  let next = 0;
  const fail = (error: unknown): never => {
    if (!isSternwayError(error)) throw error;
    failure = error;
    // Of a kind that is not tried again.
    throw new SternwayError("corrupt", error.message, error.facts, { cause: error });
  };
  return {
    sizeBytes: file.sizeBytes,
    get failure() {
      return failure;
    },
    async read(offset, length) {
      try {
        opened ??= await disk.open(path, "read");
        const bytes = new Uint8Array(length);
        const got = await opened.read(bytes, offset);
        if (offset === 0) {
          hash = xxh64Stream(0n);
          next = 0;
        }
        if (offset !== next) throw new SternwayError("internal", "a source is read in order");
        hash.update(bytes.subarray(0, got));
        next += got;
        const isEnd = offset + length >= file.sizeBytes;
        if (isEnd || got < length) {
          checkCopy(file, { sizeBytes: next, checksum: hashText(hash.digest()) });
        }
        return bytes;
      } catch (error) {
        return fail(error);
      }
    },
    [Symbol.asyncDispose]: async () => await opened?.close(),
  };
}
