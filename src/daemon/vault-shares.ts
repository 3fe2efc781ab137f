/**
 * How several vaults share what is configured once: caches, the fingerprint index and the journal's files are divided evenly among
 * all vaults of the appliance, closed ones included, so that opening one never needs what another has taken.
 *
 * A vault gets its share when it opens and keeps it until it opens again: after a vault was added, the older ones still hold their
 * larger shares until the next start. With n vaults made one after the other that is at most 1 + 1/2 + … + 1/n of what is configured.
 * What cannot be divided (a sealer's thread, two journal groups) each vault has for itself; {@link VAULTS_MAX} bounds it.
 */
import type { Config } from "../config/config.ts";

/** Each takes a thread, a journal file or more, and some 50 MiB of memory before any cache. */
export const VAULTS_MAX = 16;

const CACHE_BYTES_MIN = 4 * 2 ** 20;
/** One fills, one is sealed, two wait. */
const JOURNAL_FILES_MIN = 4;

/** One vault's part. @param vaultCount - at least 1 */
export function shareOf(storage: Config["storage"], vaultCount: number): Config["storage"] {
  // What is configured may lie below a least share already: it is never raised.
  const part = (total: number, least: number): number =>
    Math.min(total, Math.max(least, Math.floor(total / vaultCount)));
  return {
    ...storage,
    frameCacheBytes: part(storage.frameCacheBytes, CACHE_BYTES_MIN),
    pageCacheBytes: part(storage.pageCacheBytes, CACHE_BYTES_MIN),
    journalFilesMax: part(storage.journalFilesMax, JOURNAL_FILES_MIN),
  };
}
