/** What a disk says of a directory that is a store, in a store's words: whether another try can help is what callers go by. */
import { isSternwayError, SternwayError, type ErrorKind } from "../../base/errors.ts";

/** Everything else is `unavailable`: a full disk, a device that fails, a mount that broke. */
const KINDS: Readonly<Record<string, ErrorKind>> = {
  EACCES: "denied",
  EPERM: "denied",
  EROFS: "denied",
  // An object where another one's folder should be, or the other way round.
  EEXIST: "invalid",
  ENOTDIR: "invalid",
  EISDIR: "invalid",
  ENOTEMPTY: "invalid",
  ELOOP: "invalid",
  ENAMETOOLONG: "invalid",
};

/** The server of a FUSE mount ended, or a network file system lost what it had mounted: only mounting it again helps. */
const DEAD_MOUNT = new Set(["ENOTCONN", "ESTALE", "ECONNABORTED"]);

/** The error of a store. A path that is missing (callers that expect that look first) was taken away under the call, which another one may find mended. */
export function placeError(dir: string, error: unknown): unknown {
  const code = codeOf(error);
  if (!isSternwayError(error) || code === undefined) return error;
  if (code === "ENOENT") {
    return new SternwayError("unavailable", `${dir} changed under a call: ${error.message}`, error.facts, {
      cause: error,
    });
  }
  return new SternwayError(KINDS[code] ?? "unavailable", error.message, error.facts, { cause: error });
}

/** Its failure becomes {@link placeError}'s. */
export async function inPlace<Result>(dir: string, work: Promise<Result>): Promise<Result> {
  try {
    return await work;
  } catch (error) {
    throw placeError(dir, error);
  }
}

/** There is nothing of that name, or a folder, or its folder is something else. */
export function isNoObject(error: unknown): boolean {
  const code = codeOf(error);
  return code === "ENOENT" || code === "ENOTDIR" || code === "EISDIR";
}

export function isDeadMount(error: unknown): error is SternwayError {
  return DEAD_MOUNT.has(codeOf(error) ?? "");
}

/** The errno name; undefined for what no disk has said. */
export function codeOf(error: unknown): string | undefined {
  if (!isSternwayError(error)) return undefined;
  const code = error.facts["code"];
  return typeof code === "string" ? code : undefined;
}
