/**
 * Watches the free space of the file system that holds the vault. The journal itself refuses writes when it cannot
 * grow; this tells people before that happens.
 */
import type { Clock, Timer } from "../base/clock.ts";
import type { Disk } from "../base/disk.ts";
import { formatSize } from "../base/units.ts";
import type { CatalogEvent } from "../catalog/catalog.ts";
import type { Log } from "../observe/log.ts";

export interface Space {
  freeBytes: number;
  totalBytes: number;
}

export type SpaceLevel = "enough" | "low" | "critical";

export interface SpaceWatch {
  /** The newest reading; undefined when the file system did not tell. */
  space(): Space | undefined;
  level(): SpaceLevel;
  stop(): void;
}

/** At 1 GB/s of writes ten seconds are 10 GB: the levels warn, the reserve protects. */
const INTERVAL_MS = 10_000;
/** Space must rise a tenth above a mark before it counts as back, so that a level does not flap. */
const HYSTERESIS = 1.1;

/** The level for a reading. `low` below three times the reserve, `critical` below the reserve. */
export function spaceLevel(freeBytes: number, reserveBytes: number, before: SpaceLevel): SpaceLevel {
  const mark = (times: number, held: boolean): number => reserveBytes * times * (held ? HYSTERESIS : 1);
  if (freeBytes < mark(1, before === "critical")) return "critical";
  if (freeBytes < mark(3, before !== "enough")) return "low";
  return "enough";
}

/** Reads once, then every ten seconds until stopped. */
export async function watchSpace(options: {
  disk: Disk;
  dir: string;
  reserveBytes: number;
  clock: Clock;
  log: Log;
  tell: (event: Omit<CatalogEvent, "id" | "time">) => void;
}): Promise<SpaceWatch> {
  const { disk, dir, reserveBytes, clock, log, tell } = options;
  let space: Space | undefined;
  let level: SpaceLevel = "enough";
  let timer: Timer | undefined;
  let stopped = false;

  async function look(): Promise<void> {
    try {
      space = await disk.space(dir);
      const now = spaceLevel(space.freeBytes, reserveBytes, level);
      if (now !== level) announce(now, space.freeBytes);
      level = now;
    } catch (error) {
      // A later look may succeed; the health page shows that nothing is known meanwhile.
      space = undefined;
      log.warn({ err: error, dir }, "the free space could not be read");
    }
    if (!stopped) timer = clock.timer(INTERVAL_MS, () => void look());
  }

  function announce(now: SpaceLevel, freeBytes: number): void {
    const free = `${formatSize(freeBytes)} are free at ${dir}`;
    const reserve = `the reserve is ${formatSize(reserveBytes)}`;
    if (now === "critical") {
      log.error({ freeBytes, reserveBytes }, "space is critical");
      tell({
        level: "alert",
        kind: "space-critical",
        subject: dir,
        message: `${free}; ${reserve}: writes are refused until space returns`,
      });
    } else if (now === "low") {
      log.warn({ freeBytes, reserveBytes }, "space is low");
      tell({ level: "warning", kind: "space-low", subject: dir, message: `${free}; ${reserve}: add space soon` });
    } else {
      log.info({ freeBytes, reserveBytes }, "space is back");
      tell({ level: "info", kind: "space-back", subject: dir, message: free });
    }
  }

  await look();
  return {
    space: () => space,
    level: () => level,
    stop() {
      stopped = true;
      timer?.cancel();
    },
  };
}
