/**
 * Disks that decay under a running appliance: bits turned over, a pack cut short, one put in the place of another. The scrub finds each, nobody is ever
 * given wrong bytes, what comes again repairs what was lost, and a restore past the damage gives all the rest.
 */
import { afterAll, expect } from "bun:test";
import { copyFileSync, readdirSync, readFileSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { ScrubLine } from "../../src/contract/contract.ts";
import { DaemonProcess, removeScratch, scratchFolder, sternway, succeed } from "../support/daemon-process.ts";
import { testWith } from "../support/require-tool.ts";

const MIB = 2 ** 20;
const SIZE = 48 * MIB;
const TIMEOUT_MS = 300_000;
const EXIT_DAMAGE = 6;

const folder = scratchFolder();
const at = (name: string): string => join(folder, name);
afterAll(() => removeScratch(folder));

function packs(dataDir: string): string[] {
  const dir = join(dataDir, "vaults", "default", "packs");
  return readdirSync(dir, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && entry.name.endsWith(".pack"))
    .map((entry) => join(entry.parentPath, entry.name))
    .sort();
}

async function scrub(dataDir: string): Promise<{ code: number; lines: ScrubLine[] }> {
  const { code, out } = await sternway(dataDir, "scrub", "run", "--full", "--json");
  return { code, lines: out.split("\n").flatMap((line) => (line === "" ? [] : [JSON.parse(line) as ScrubLine])) };
}

testWith(
  ["nbdcopy"],
  "damage is found, never given out, repaired by what comes again, and passed by a restore that is told to",
  async () => {
    const dataDir = at("data");
    const config = { storage: { journalFileBytes: "4MiB", journalFilesMax: 64 } };
    const image = new Uint8Array(SIZE);
    for (let offset = 0; offset < SIZE; offset += 65_536)
      crypto.getRandomValues(image.subarray(offset, offset + 65_536));
    writeFileSync(at("image"), image);
    await using daemon = await DaemonProcess.start(dataDir, { config });
    await daemon.command("volume", "create", "disk", String(SIZE));
    await succeed(["nbdcopy", "--flush", at("image"), daemon.uri("disk")]);
    const { lastLsn } = await daemon.client.volume("disk");
    const moment = `disk@lsn:${lastLsn}`;
    // All of it in packs.
    expect(await sternway(dataDir, "gc", "run")).toMatchObject({ code: 0 });
    expect(await scrub(dataDir)).toMatchObject({ code: 0 });

    const [first, second, third, fourth] = packs(dataDir) as [string, string, string, string];
    copyFileSync(second, at("second"));
    copyFileSync(third, at("third"));
    const bytes = readFileSync(first);
    for (const place of [0.3, 0.5, 0.7]) bytes[Math.floor(bytes.length * place)]! ^= 0x10;
    writeFileSync(first, bytes);
    truncateSync(second, 2 * MIB);
    copyFileSync(fourth, third);

    const found = await scrub(dataDir);
    expect(found.code).toBe(EXIT_DAMAGE);
    const findings = found.lines.filter((line) => line.line === "finding");
    expect(findings.length).toBeGreaterThan(2);
    expect(JSON.stringify(findings)).toContain("disk");
    expect((await daemon.client.scrubStatus()).vaults[0]!.quarantined).toBeGreaterThan(0);
    const { events } = await daemon.client.events();
    expect(events.some(({ level }) => level === "alert")).toBe(true);

    const plain = await sternway(dataDir, "restore", moment, "--to", at("whole"));
    expect(plain.code).toBe(EXIT_DAMAGE);
    expect(plain.err).toContain("--past-damage");
    const past = await sternway(dataDir, "restore", moment, "--to", at("rest"), "--past-damage");
    expect(past.code).toBe(EXIT_DAMAGE);
    const rest = readFileSync(at("rest"));
    const lost = new Set<number>();
    for (const line of readFileSync(`${at("rest")}.damage.jsonl`, "utf8")
      .trim()
      .split("\n")) {
      const { offset, length } = JSON.parse(line) as { offset?: number; length?: number };
      if (offset === undefined || length === undefined) continue;
      for (let block = offset / 4096; block < (offset + length) / 4096; block++) lost.add(block);
    }
    expect(lost.size).toBeGreaterThan(100);
    expect(lost.size).toBeLessThan((SIZE / 4096) * 0.8);
    for (let block = 0; block < SIZE / 4096; block++) {
      const part = rest.subarray(block * 4096, (block + 1) * 4096);
      const expected = lost.has(block) ? new Uint8Array(4096) : image.subarray(block * 4096, (block + 1) * 4096);
      if (!part.equals(expected)) throw new Error(`block ${block} is neither right nor said to be lost`);
    }

    // The same content comes again, from another machine say. What was damaged is not shared: the new volume is whole.
    await daemon.command("volume", "create", "again", String(SIZE));
    await succeed(["nbdcopy", "--flush", at("image"), daemon.uri("again")]);
    expect(await sternway(dataDir, "gc", "run")).toMatchObject({ code: 0 });
    await succeed(["nbdcopy", daemon.uri("again@now"), at("copy")]);
    await succeed(["cmp", at("image"), at("copy")]);
    // It brings back the blocks that are damaged one by one. A pack that lost its directory says no more what it held: for that
    // it takes a copy of the pack.
    const repaired = await scrub(dataDir);
    expect(repaired.code).toBe(EXIT_DAMAGE);
    expect(repaired.lines.at(-1)).toMatchObject({ line: "end", restored: 3, damaged: 2 });
    copyFileSync(at("second"), second);
    copyFileSync(at("third"), third);
    expect(await scrub(dataDir)).toMatchObject({ code: 0 });
    expect(await sternway(dataDir, "restore", moment, "--to", at("whole"), "--fresh")).toMatchObject({ code: 0 });
    await succeed(["cmp", at("image"), at("whole")]);
    expect(await sternway(dataDir, "check")).toMatchObject({ code: 0 });
  },
  TIMEOUT_MS,
);
