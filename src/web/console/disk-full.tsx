/** How full the file system is that holds something; others may store there, too. */
import { Progress } from "./parts/figures.tsx";
import { formatSize, percent } from "./words.ts";

export function DiskFull({ space: { totalBytes, freeBytes } }: { space: { totalBytes: number; freeBytes: number } }) {
  const full = percent(totalBytes - freeBytes, totalBytes);
  return (
    <Progress
      label={<>Its disk is {Math.floor(full)} % full</>}
      detail={`${formatSize(freeBytes)} free of ${formatSize(totalBytes)}`}
      value={full / 100}
    />
  );
}
