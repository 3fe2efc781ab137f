import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { systemClock } from "../../../src/base/clock.ts";
import { realDisk } from "../../../src/base/real-disk.ts";
import { systemRandom } from "../../../src/base/random.ts";
import { resolveConfig } from "../../../src/config/config.ts";
import { checkVaultAt, openEngine } from "../../../src/daemon/assemble.ts";
import type { Engine } from "../../../src/daemon/engine.ts";
import { createLog } from "../../../src/observe/log.ts";
import { createMetrics } from "../../../src/observe/metrics.ts";

let dir: string;
const never = new AbortController().signal;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), "sternway-engine-"));
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

function open(): Promise<Engine> {
  const fileText = '{"storage":{"journalFileBytes":"4MiB","freeSpaceReserveBytes":"64MiB"}}';
  return openEngine({
    disk: realDisk,
    clock: systemClock,
    random: systemRandom,
    name: "default",
    dir,
    make: !existsSync(join(dir, "vault.json")),
    scrub: { cycleDays: 30 },
    admit: () => {},
    onMoved: () => Promise.resolve(),
    openStore: () => Promise.reject(new Error("no tier is opened here")),
    zone: "UTC",
    storage: resolveConfig({ fileText, filePath: "config.json", environment: {}, flags: {} }).storage,
    log: createLog({ level: "error", format: "json", write: () => {} }),
    metrics: createMetrics(),
    tell: () => {},
  });
}

async function linesOf<Line>(source: AsyncIterable<Line>): Promise<Line[]> {
  const lines: Line[] = [];
  for await (const line of source) lines.push(line);
  return lines;
}

/** Six MiB that do not compress, more than one journal file, so that packs come to be. */
async function fill(engine: Engine): Promise<void> {
  await engine.volumes.create("v", 8 * 2 ** 20);
  const live = await engine.volumes.openLive("v");
  for (let offset = 0; offset < 6 * 2 ** 20; offset += 2 ** 20)
    await live.write(offset, systemRandom.bytes(65_536), false);
  for (let offset = 0; offset < 6 * 2 ** 20; offset += 2 ** 20) {
    const data = new Uint8Array(2 ** 20 - 65_536);
    for (let at = 0; at < data.length; at += 65_536) data.set(systemRandom.bytes(65_536), at);
    await live.write(offset + 65_536, data, false);
  }
  await live.flush();
  await live.close();
}

describe("openEngine()", () => {
  test("keeps what was flushed over a stop, and tells how the vault stands", async () => {
    const first = await open();
    await fill(first);
    expect(await first.status()).toMatchObject({
      state: "writable",
      epoch: 1,
      volumeCount: 1,
      journalSizeBytes: 32 * 2 ** 22,
    });
    expect(first.trouble()).toBeUndefined();
    const device = await first.volumes.openAt("v", { kind: "now" });
    const before = Bun.hash(await device.read(0, 8 * 2 ** 20));
    await device.close();
    await first.stop();

    const second = await open();
    expect(await second.status()).toMatchObject({ state: "writable", epoch: 2, volumeCount: 1 });
    const again = await second.volumes.openAt("v", { kind: "now" });
    expect(Bun.hash(await again.read(0, 8 * 2 ** 20))).toBe(before);
    await again.close();
    const { storedBytes, liveBytes, deadBytes, volumes } = await second.space();
    expect(volumes).toEqual([{ volume: "v", uniqueBytes: liveBytes, sharedBytes: 0, mappedBytes: expect.any(Number) }]);
    expect(liveBytes).toBeGreaterThan(0);
    expect(liveBytes + deadBytes).toBe(storedBytes);
    const lines = await linesOf(second.check({}, never));
    expect(lines.at(-1)).toMatchObject({ line: "end", findings: 0 });
    await second.stop();
  });
});

describe("checkVaultAt()", () => {
  test("finds damage in a stopped vault, and changes nothing", async () => {
    const engine = await open();
    await fill(engine);
    // A stop does not wait for what could be sealed at the next start as well, and the damage is to lie in a pack.
    while ((await engine.status()).packCount === 0) await new Promise((resolve) => setImmediate(resolve));
    await engine.stop();
    expect((await linesOf(checkVaultAt(dir, {}, never))).at(-1)).toMatchObject({ line: "end", findings: 0 });
    await expect(linesOf(checkVaultAt(dir, { volume: "w" }, never))).rejects.toMatchObject({ kind: "not_found" });

    const packs = readdirSync(join(dir, "packs"), { recursive: true, withFileTypes: true });
    const file = packs.find((entry) => entry.isFile())!;
    const pack = join(file.parentPath, file.name);
    const bytes = readFileSync(pack);
    const middle = Math.floor(bytes.length / 2);
    bytes[middle] = bytes[middle]! ^ 1;
    writeFileSync(pack, bytes);
    const lines = await linesOf(checkVaultAt(dir, {}, never));
    const findings = lines.filter((line) => line.line === "finding");
    expect(findings.length).toBeGreaterThan(0);
    expect(findings[0]).toMatchObject({ severity: "damage", subject: "pack 1", facts: { volumes: "v" } });
    expect(lines.at(-1)).toMatchObject({ line: "end", findings: findings.length });
    expect(readFileSync(pack).equals(bytes)).toBe(true);
  });
});
