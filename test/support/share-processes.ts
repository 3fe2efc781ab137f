/** Processes that work on shares, as tests see them. */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";

/** The processes that work on a directory. */
export function processesOn(dir: string): number[] {
  return readdirSync("/proc")
    .map(Number)
    .filter((pid) => {
      try {
        return pid > 0 && readFileSync(`/proc/${pid}/cmdline`, "utf8").endsWith(`share-process.ts\0${dir}\0`);
      } catch {
        // It has ended since.
        return false;
      }
    });
}

/** Another process with a store, and what it does with that. */
export function runWithStore(
  dir: string,
  timeLimitMs: number,
  code: string,
): Bun.Subprocess<"ignore", "pipe", "inherit"> {
  const source = (path: string): string => JSON.stringify(join(import.meta.dir, "../../src", path));
  const program = `
    import { ShareStore } from ${source("tiers/share/share-store.ts")};
    import { systemClock } from ${source("base/clock.ts")};
    const store = new ShareStore({ dir: ${JSON.stringify(dir)}, clock: systemClock, timeLimitMs: ${timeLimitMs} });
    ${code}`;
  return Bun.spawn([process.execPath, "-e", program], { stdin: "ignore", stdout: "pipe", stderr: "inherit" });
}
