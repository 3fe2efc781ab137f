/** Sizes of volumes as people write them. Pure. */
import { parseSize, SECTOR_SIZE, VOLUME_SIZE_MAX } from "../../base/units.ts";
import { formatSize } from "./words.ts";

/** A volume's size from what was written. Whole sectors: what is written is rounded up to them. */
export function readSize(text: string): { bytes: number | undefined; error: string | undefined } {
  if (text.trim() === "") return { bytes: undefined, error: undefined };
  const parsed = parseSize(text);
  if (parsed === undefined) return { bytes: undefined, error: "Write a number and a unit, such as 20 GiB or 500 MiB." };
  const bytes = Math.ceil(parsed / SECTOR_SIZE) * SECTOR_SIZE;
  if (bytes < SECTOR_SIZE) return { bytes: undefined, error: "It must be larger than nothing." };
  if (bytes > VOLUME_SIZE_MAX) {
    return { bytes: undefined, error: `At most ${formatSize(VOLUME_SIZE_MAX)}, which is as far as a volume goes.` };
  }
  return { bytes, error: undefined };
}
