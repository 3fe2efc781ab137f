/**
 * Asks node-disk-info for the mounted file systems, in a thread of its own: the library runs `df` and waits for it, and
 * `df` waits for as long as a dead network mount does. The daemon's thread must never wait for either.
 */
import { getDiskInfo } from "node-disk-info";
import type { DiskUsage, DiskUsageAnswer } from "./disk-usage.ts";

declare const self: { postMessage(message: DiskUsageAnswer): void };

/** `df -P` counts in KiB. */
const UNIT_BYTES = 1024;

const drives = await getDiskInfo().catch((error: unknown) => (error instanceof Error ? error.message : String(error)));
if (typeof drives === "string") self.postMessage({ error: drives });
else {
  self.postMessage({
    usages: drives.map((drive): DiskUsage => ({
      source: drive.filesystem,
      mountPath: drive.mounted,
      sizeBytes: drive.blocks * UNIT_BYTES,
      usedBytes: drive.used * UNIT_BYTES,
      freeBytes: drive.available * UNIT_BYTES,
    })),
  });
}
