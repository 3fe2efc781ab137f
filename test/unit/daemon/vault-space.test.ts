import { expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { systemClock } from "../../../src/base/clock.ts";
import type { Disk } from "../../../src/base/disk.ts";
import { VaultSpaces } from "../../../src/daemon/vault-space.ts";
import { createLog } from "../../../src/observe/log.ts";

test("VaultSpaces watches each file system once, and none that no vault lies on any more", async () => {
  const dir = mkdtempSync(join(tmpdir(), "sternway-space-"));
  const asked: string[] = [];
  const told: string[] = [];
  const free = new Map([["/dev/shm", 10]]);
  const disk = {
    space: (path: string) => {
      asked.push(path);
      return Promise.resolve({ freeBytes: free.get(path) ?? 1e9, totalBytes: 1e10 });
    },
  } as Partial<Disk> as Disk;
  const spaces = new VaultSpaces({
    disk,
    reserveBytes: 1000,
    clock: systemClock,
    log: createLog({ level: "error", format: "json", write: () => {} }),
    tell: (event) => void told.push(event.kind),
  });
  try {
    for (const name of ["a", "b"]) mkdirSync(join(dir, name));
    await spaces.follow([join(dir, "a"), join(dir, "b"), join(dir, "gone")]);
    expect(asked).toEqual([join(dir, "a")]);
    expect(spaces.of(join(dir, "b"))).toMatchObject({ freeBytes: 1e9 });
    expect(spaces.of(join(dir, "gone"))).toBeUndefined();
    expect(spaces.level()).toBe("enough");
    // Another file system, in memory.
    await spaces.follow([join(dir, "a"), "/dev/shm"]);
    expect(asked).toEqual([join(dir, "a"), "/dev/shm"]);
    expect([spaces.level(), spaces.levelOf("/dev/shm"), spaces.levelOf(dir)]).toEqual([
      "critical",
      "critical",
      "enough",
    ]);
    expect(told).toEqual(["space-critical"]);
    await spaces.follow([join(dir, "a")]);
    expect([spaces.level(), spaces.of("/dev/shm")]).toEqual(["enough", undefined]);
  } finally {
    spaces.stop();
    rmSync(dir, { recursive: true, force: true });
  }
});
