/** Small files that a command line names, read whole. */
import { readFileSync, statSync } from "node:fs";
import { SternwayError } from "../base/errors.ts";

/** A device or a log given by mistake must not be swallowed whole. */
const BYTES_MAX = 64 * 1024;

/** @throws invalid: it cannot be read, or is larger than 64 KiB */
export function fileText(path: string): string {
  try {
    if (statSync(path).size > BYTES_MAX) throw new Error("it is larger than 64 KiB");
    return readFileSync(path, "utf8");
  } catch (cause) {
    throw new SternwayError("invalid", `cannot read ${path}`, { path }, { cause });
  }
}
