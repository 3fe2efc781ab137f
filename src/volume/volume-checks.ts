/**
 * What may be asked for: names, sizes and notes. Each throws `invalid`, with the rule in its message.
 */
import { SternwayError } from "../base/errors.ts";
import { formatSize, SECTOR_SIZE, VOLUME_SIZE_MAX } from "../base/units.ts";

const NAME = /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/;
const NOTE_BYTES_MAX = 1024;

export function checkName(name: string): void {
  if (NAME.test(name)) return;
  const rule = "1 to 64 letters, digits, dots, underscores and hyphens, beginning with a letter or digit";
  throw new SternwayError("invalid", `"${name}" is not a name: use ${rule}`);
}

export function checkNote(note: string): void {
  if (Buffer.byteLength(note) <= NOTE_BYTES_MAX) return;
  throw new SternwayError("invalid", `a note has at most ${NOTE_BYTES_MAX} bytes`);
}

export function checkSize(sizeBytes: number): void {
  const isWhole = Number.isSafeInteger(sizeBytes) && sizeBytes > 0 && sizeBytes % SECTOR_SIZE === 0;
  if (isWhole && sizeBytes <= VOLUME_SIZE_MAX) return;
  throw new SternwayError(
    "invalid",
    `a volume has a multiple of ${SECTOR_SIZE} bytes, from ${SECTOR_SIZE} to ${formatSize(VOLUME_SIZE_MAX)}, not ${sizeBytes}`,
  );
}
