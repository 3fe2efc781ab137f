/**
 * Keeps keys and plaintext out of core dumps. Linux writes a dump of those kinds of memory that /proc/PID/coredump_filter names (core(5)); with none named,
 * a dump holds registers and nothing of what the process worked on. It holds for this process and what it starts from then on. What it cannot keep:
 * another process of the same user or root can read our memory as long as we run, and a hibernating or swapping machine writes it to its disk.
 */
import { writeFileSync } from "node:fs";

const NO_MEMORY = "0x0";

/** Takes all memory out of this process's core dumps, for good. @returns false: this system has no such switch */
export function keepOutOfCoreDumps(filter = "/proc/self/coredump_filter"): boolean {
  try {
    writeFileSync(filter, NO_MEMORY);
    return true;
  } catch {
    // A kernel built without core dumps has no such file, and a sandbox may forbid writing it: the caller says so to people.
    return false;
  }
}
