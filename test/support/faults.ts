/** Faults for a simulated vault's disk, drawn from a seed; each with the errors that its clients may then see. */
import { isSternwayError } from "../../src/base/errors.ts";
import type { Random } from "../../src/base/random.ts";
import type { SimulatedDisk } from "../../src/base/simulated-disk.ts";
import type { DiskOperation } from "../../src/base/simulated-faults.ts";

const OPERATIONS: readonly DiskOperation[] = [
  "open",
  "create",
  "read",
  "write",
  "write-through",
  "sync",
  "sizeOf",
  "list",
  "mkdir",
  "rename",
  "remove",
  "syncDir",
  "space",
];

/** Steps of sealing, each with the files that it concerns: what fails there leaves a step half done. */
const SEALING: readonly { operations: readonly DiskOperation[]; path: RegExp }[] = [
  { operations: ["create", "write", "sync", "rename", "syncDir"], path: /manifest/ },
  { operations: ["create", "write", "sync", "rename", "syncDir"], path: /layers|chronicles/ },
  { operations: ["create", "write", "sync", "rename", "syncDir"], path: /packs/ },
  { operations: ["read", "open"], path: /journal|layers|packs/ },
];

/** Some operations fail with EIO, several in a row at times: any of them, or those of the journal or of sealing above all. */
export function injectErrors(disk: SimulatedDisk, random: Random): void {
  const profile = random.below(3);
  for (let i = 1 + random.below(6); i > 0; i--) {
    const times = 1 + random.below(3);
    const skip = random.below(random.below(2) === 0 ? 12 : 120);
    if (profile === 0) disk.inject({ effect: "EIO", operations: ["write-through"], skip, times: 1 });
    else if (profile === 1) {
      const { operations, path } = SEALING[random.below(SEALING.length)]!;
      disk.inject({
        effect: "EIO",
        operations: [operations[random.below(operations.length)]!],
        path,
        skip: skip % 15,
        times,
      });
    } else disk.inject({ effect: "EIO", operations: [OPERATIONS[random.below(OPERATIONS.length)]!], skip, times });
  }
}

/** Writes that report success and are lost in part, or land elsewhere. */
export function injectLies(disk: SimulatedDisk, random: Random): void {
  for (let i = 1 + random.below(2); i > 0; i--) {
    disk.inject({ effect: random.below(2) === 0 ? "stale" : "misdirected", skip: random.below(80) });
  }
}

/** Turns over bits in files at rest: of the journal, packs, layers, chronicles, manifests and the identity alike. */
export function flipBits(disk: SimulatedDisk, random: Random): void {
  const paths = disk.paths();
  for (let i = 1 + random.below(4); i > 0; i--) {
    const path = paths[random.below(paths.length)]!;
    const size = disk.peek(path)!.length;
    if (size === 0) continue;
    // Files of the journal are mostly empty at their end: crowd at the start.
    const offset = random.below(2) === 0 ? random.below(size) : random.below(Math.min(size, 9000));
    disk.flipBit(path, offset, random.below(8));
  }
}

/** What clients of a disk with errors may be told: nothing is damaged, only out of reach. */
export const isUnavailable = (error: unknown): boolean => isSternwayError(error, "unavailable");

/** What clients of a lying disk may be told. */
export const isTold = (error: unknown): boolean =>
  isSternwayError(error) && (error.kind === "unavailable" || error.kind === "corrupt" || error.kind === "not_found");
