/**
 * History that is let go of on a running appliance: an ext4 goes through phases, a policy keeps some of them, collecting gives the space back, a kill
 * comes in between; and every moment that was kept is byte for byte what it was.
 */
import { afterAll, expect } from "bun:test";
import { createHash } from "node:crypto";
import { createReadStream, readdirSync, statSync } from "node:fs";
import { join } from "node:path";
import type { WireVaultSpace } from "../../src/contract/contract.ts";
import { DaemonProcess, removeScratch, scratchFolder, sternway, succeed } from "../support/daemon-process.ts";
import { testWith } from "../support/require-tool.ts";

const MIB = 2 ** 20;
const SIZE = 96 * MIB;
const PHASES = 6;
const PHASE_BYTES = 12 * MIB;
const TIMEOUT_MS = 300_000;

const folder = scratchFolder();
const at = (name: string): string => join(folder, name);
afterAll(() => removeScratch(folder));

async function hashOf(path: string): Promise<string> {
  const hash = createHash("sha256");
  for await (const chunk of createReadStream(path)) hash.update(chunk as Uint8Array);
  return hash.digest("hex");
}

/** Bytes of all packs of the default vault, as the file system tells them. */
function packBytes(dataDir: string): number {
  const dir = join(dataDir, "vaults", "default", "packs");
  return readdirSync(dir, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && entry.name.endsWith(".pack"))
    .reduce((sum, entry) => sum + statSync(join(entry.parentPath, entry.name)).size, 0);
}

/** A daemon that was just started may be at it by itself. */
async function collect(dataDir: string): Promise<void> {
  const patience = performance.now() + 60_000;
  let result = await sternway(dataDir, "gc", "run", "--json");
  while (result.err.includes("conflict") && performance.now() < patience)
    result = await sternway(dataDir, "gc", "run", "--json");
  expect(result).toMatchObject({ code: 0 });
}

testWith(
  ["nbdcopy", "mkfs.ext4", "debugfs", "e2fsck"],
  "what a policy keeps is exact after collecting, through a kill in the middle of it, and what it lets go of comes back as space",
  async () => {
    const dataDir = at("data");
    const config = { storage: { journalFileBytes: "4MiB", journalFilesMax: 64 } };
    const wanted = new Map<string, string>();
    let daemon = await DaemonProcess.start(dataDir, { config });
    try {
      await daemon.command("volume", "create", "disk", String(SIZE));
      await daemon.command("volume", "create", "other", String(SIZE));
      await succeed(["truncate", "-s", String(SIZE), at("image")]);
      await succeed(["mkfs.ext4", "-q", "-F", "-b", "4096", at("image")]);
      for (let phase = 0; phase < PHASES; phase++) {
        await succeed([
          "dd",
          "if=/dev/urandom",
          `of=${at("file")}`,
          "bs=1M",
          `count=${PHASE_BYTES / MIB}`,
          "status=none",
        ]);
        // One file, written anew each time: the one before is history.
        const commands = phase === 0 ? `write ${at("file")} data` : `rm data\nwrite ${at("file")} data`;
        await Bun.write(at("commands"), `${commands}\n`);
        await succeed(["debugfs", "-w", "-f", at("commands"), at("image")]);
        await succeed(["nbdcopy", "--flush", at("image"), daemon.uri("disk")]);
        // Some moments have a name, the others go.
        if (phase % 2 === 0) await daemon.command("bookmark", "create", "disk", `phase${phase}`);
        if (phase === 1) await daemon.command("hold", "disk@now", "--name", "audit");
        if (phase % 2 === 0) wanted.set(`disk@bookmark:phase${phase}`, await hashOf(at("image")));
        if (phase === 1) {
          const holds = await daemon.command<{ holds: { lsn: number }[] }>("hold", "list", "disk");
          wanted.set(`disk@lsn:${holds.holds[0]!.lsn}`, await hashOf(at("image")));
        }
      }
      wanted.set("disk@now", await hashOf(at("image")));
      await succeed(["nbdcopy", "--flush", at("file"), daemon.uri("other")]);
      const before = (await daemon.client.volume("disk")).lastLsn;
      await daemon.command("retention", "set", "disk", "--all", "1s", "--yes");
      // Phase 3 has neither name nor hold: once the policy's second is over, what it alone wrote goes.
      let plan: { freedBytes?: number };
      const patience = performance.now() + 20_000;
      do plan = await daemon.command("retention", "plan", "disk");
      while ((plan.freedBytes ?? 0) < PHASE_BYTES * 0.9 && performance.now() < patience);
      expect(plan.freedBytes).toBeGreaterThan(PHASE_BYTES * 0.9);
      expect(plan.freedBytes).toBeLessThan(PHASE_BYTES * 1.1);

      // Killed while it collects, as soon as something of it is on the disk.
      const stored = packBytes(dataDir);
      const run = sternway(dataDir, "gc", "run", "--json");
      for (let i = 0; i < 400 && packBytes(dataDir) === stored; i++) await Bun.sleep(5);
      await daemon.kill();
      await run;
      daemon = await DaemonProcess.start(dataDir, { config });
      // What passed between the last note of time and the kill does not count: the policy's second begins anew.
      const enough = performance.now() + 30_000;
      do await collect(dataDir);
      while (packBytes(dataDir) > PHASE_BYTES * (PHASES - 1) + 8 * MIB && performance.now() < enough);
      expect(packBytes(dataDir)).toBeLessThan(PHASE_BYTES * (PHASES - 1) + 8 * MIB);
      for (const [moment, hash] of wanted) {
        await succeed(["nbdcopy", daemon.uri(moment), at("out")]);
        expect([moment, await hashOf(at("out"))]).toEqual([moment, hash]);
        await succeed(["e2fsck", "-fn", at("out")]);
      }
      const refused = await sternway(dataDir, "restore", `disk@lsn:${before - 60}`, "--to", at("gone"));
      expect(refused.code).not.toBe(0);
      expect(refused.err).toContain("no longer kept");

      const space = await daemon.command<WireVaultSpace>("vault", "space");
      const disk = space.volumes.find(({ volume }) => volume === "disk")!;
      const other = space.volumes.find(({ volume }) => volume === "other")!;
      // The other volume holds what the last phase's file holds, on the same grid or not: it shares or it does not, and nobody is counted twice.
      expect(disk.uniqueBytes + Math.max(disk.sharedBytes, other.sharedBytes) + other.uniqueBytes).toBeCloseTo(
        space.liveBytes,
        -2,
      );
      expect(space.liveBytes + space.deadBytes).toBeCloseTo(space.storedBytes, -2);
      expect(Math.abs(space.storedBytes - packBytes(dataDir))).toBeLessThan(MIB);

      // Deleting gives back what the volume held alone.
      await daemon.command("hold", "release", "disk", "audit");
      await daemon.command("volume", "delete", "disk", "--force");
      const full = packBytes(dataDir);
      await collect(dataDir);
      const freed = full - packBytes(dataDir);
      expect(freed).toBeGreaterThan(disk.uniqueBytes * 0.9);
      await succeed(["nbdcopy", daemon.uri("other"), at("out")]);
      await succeed(["cmp", "-n", String(PHASE_BYTES), at("file"), at("out")]);
      expect(await sternway(dataDir, "check")).toMatchObject({ code: 0 });
      expect(daemon.complaints).toEqual([]);
    } finally {
      await daemon.stop();
    }
    expect(await sternway(dataDir, "check")).toMatchObject({ code: 0 });
  },
  TIMEOUT_MS,
);
