/**
 * Errors of the disk interface: one mapping from errno names to {@link SternwayError}, so that the real and the
 * simulated disk cannot differ in it.
 */
import { SternwayError, type ErrorKind } from "./errors.ts";

const KINDS: Readonly<Record<string, ErrorKind>> = { ENOENT: "not_found", EEXIST: "conflict" };

/**
 * The error of a disk operation that failed.
 * @param code - errno name; `ENOENT` gives not_found, `EEXIST` conflict, everything else unavailable
 * @param op - what was asked for, in the words of the disk interface
 */
export function diskError(code: string, op: string, path: string, cause?: unknown): SternwayError {
  return new SternwayError(
    KINDS[code] ?? "unavailable",
    `${op} ${path}: ${code}`,
    { code, op, path },
    cause === undefined ? {} : { cause },
  );
}
