/**
 * Asks node-disk-info for the mounted file systems and prints them as JSON, in a process of its own: the library runs `df`, waits for
 * it and lets it complain to the standard error of whoever asks, and `df` waits for as long as a dead network mount does.
 */
import { getDiskInfo } from "node-disk-info";
import type { DiskUsage } from "./disk-usage.ts";

/** `df -P` counts in KiB. */
const UNIT_BYTES = 1024;

const drives = await getDiskInfo();
const usages = drives.map((drive): DiskUsage => ({
  source: drive.filesystem,
  mountPath: drive.mounted,
  sizeBytes: drive.blocks * UNIT_BYTES,
  usedBytes: drive.used * UNIT_BYTES,
  freeBytes: drive.available * UNIT_BYTES,
}));
await Bun.write(Bun.stdout, JSON.stringify(usages));
