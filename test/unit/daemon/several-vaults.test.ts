/** Several vaults with the real engine beneath them, through the daemon's own doors. */
import { afterEach, beforeEach, expect, test } from "bun:test";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { resolveConfig } from "../../../src/config/config.ts";
import { createClient, type Client } from "../../../src/contract/client.ts";
import { openEngine } from "../../../src/daemon/assemble.ts";
import { checkStopped } from "../../../src/daemon/check-stopped.ts";
import { startDaemon, type Daemon } from "../../../src/daemon/daemon.ts";
import { connectNbd } from "../../../src/nbd/client.ts";
import { createLog } from "../../../src/observe/log.ts";

const never = new AbortController().signal;
let dir: string;
let running: Daemon | undefined;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), "sw-several-"));
});
afterEach(async () => {
  await running?.stop();
  running = undefined;
  rmSync(dir, { recursive: true, force: true });
});

async function start(journalFile = "4MiB"): Promise<Client> {
  const fileText = `{"http":{"listen":"off"},"storage":{"journalFileBytes":"${journalFile}","freeSpaceReserveBytes":"64MiB"}}`;
  running = await startDaemon({
    dataDir: dir,
    config: resolveConfig({ fileText, filePath: "config.json", environment: {}, flags: {} }),
    log: createLog({ level: "error", format: "json", write: () => {} }),
    version: "1",
    openEngine,
  });
  return createClient({ socketPath: running.addresses.control });
}

async function stop(): Promise<void> {
  await running?.stop();
  running = undefined;
}

async function fill(volume: string, value: number): Promise<void> {
  const device = await connectNbd({ kind: "unix", path: join(dir, "nbd.sock") }, volume);
  await device.write(0, new Uint8Array(65_536).fill(value));
  await device.flush();
  await device.close();
}

async function byteOf(volume: string): Promise<number | undefined> {
  const device = await connectNbd({ kind: "unix", path: join(dir, "nbd.sock") }, `${volume}@now`);
  const [byte] = await device.read(0, 4096);
  await device.close();
  return byte;
}

async function linesOf<Line>(source: AsyncIterable<Line>): Promise<Line[]> {
  const lines: Line[] = [];
  for await (const line of source) lines.push(line);
  return lines;
}

test("each vault keeps its own volumes, over stops, locks and unlocks", async () => {
  const first = await start();
  await first.createVault("archive");
  await first.createVolume("web1", 2 ** 20);
  await first.createVolume("old1", 2 ** 20, { vault: "archive" });
  await fill("web1", 1);
  await fill("old1", 2);
  await stop();
  for (const name of ["default", "archive"]) expect(existsSync(join(dir, "vaults", name, "vault.json"))).toBe(true);

  const client = await start();
  const [main, archive] = await client.vaults();
  expect([main?.volumes, archive?.volumes]).toEqual([["web1"], ["old1"]]);
  expect(main?.status?.id).not.toBe(archive?.status?.id);
  expect([await byteOf("web1"), await byteOf("old1")]).toEqual([1, 2]);
  await client.lockVault("archive");
  await expect(byteOf("old1")).rejects.toThrow("volume old1 is in vault archive, which is closed");
  expect(await byteOf("web1")).toBe(1);
  await client.unlockVault("archive");
  expect(await byteOf("old1")).toBe(2);
  expect((await client.disks()).vaults.map((each) => each.vault)).toEqual(["default", "archive"]);
});

test("the journal's size is told by the vault, not by what is configured since", async () => {
  await start("4MiB");
  await stop();
  const client = await start("8MiB");
  expect((await client.vault()).journalSizeBytes).toBe(32 * 4 * 2 ** 20);
});

test("a key is refused where nothing is encrypted by it, and the vault opens without one", async () => {
  const client = await start();
  await client.lockVault("default");
  await expect(client.unlockVault("default", { passphrase: "any" })).rejects.toMatchObject({ kind: "invalid" });
  expect(await client.unlockVault("default")).toMatchObject({ state: "writable" });
});

test("checkStopped() opens encrypted vaults by the key that it is given, refuses a wrong one, and warns of them without", async () => {
  const client = await start();
  await client.createVault("pay", { passphrase: "open sesame" });
  await client.createVolume("p1", 2 ** 20, { vault: "pay" });
  await fill("p1", 3);
  await stop();
  const check = (secret?: string) =>
    linesOf(
      checkStopped({
        dataDir: dir,
        request: {},
        signal: never,
        key: secret === undefined ? undefined : { passphrase: secret },
      }),
    );
  const locked = expect.objectContaining({ line: "finding", severity: "warning", subject: "vault pay" });
  const [without, right] = [await check(), await check("open sesame")];
  expect(without).toContainEqual(locked);
  const inside = (): string[] => readdirSync(join(dir, "vaults"), { recursive: true }).map(String).sort();
  const before = inside();
  await expect(check("open says me")).rejects.toMatchObject({ kind: "denied" });
  expect(inside()).toEqual(before);
  expect(right.filter(({ line }) => line === "finding")).toEqual([]);
  const objects = (lines: typeof right): unknown => lines.flatMap((line) => (line.line === "end" ? line.objects : []));
  expect(Number(objects(right))).toBeGreaterThan(Number(objects(without)));
});

test("checkStopped() goes through all vaults, and one that cannot be opened is a finding", async () => {
  const client = await start();
  await client.createVault("b");
  await client.createVolume("web1", 2 ** 20);
  await client.createVolume("b1", 2 ** 20, { vault: "b" });
  await fill("b1", 3);
  await stop();
  const check = (request: object) => linesOf(checkStopped({ dataDir: dir, request, signal: never }));
  const checked = async (request: object) => {
    const end = (await check(request)).at(-1);
    if (end?.line !== "end") throw new Error("the check did not come to its end");
    expect(end.findings).toBe(0);
    return end;
  };
  const [all, first, second] = [await checked({}), await checked({ vault: "default" }), await checked({ vault: "b" })];
  expect([first.objects, second.objects]).toEqual([expect.any(Number), expect.any(Number)]);
  expect(all.objects).toBe(first.objects + second.objects);
  expect(all.bytes).toBe(first.bytes + second.bytes);
  expect((await checked({ volume: "b1" })).objects).toBeGreaterThan(0);
  await expect(check({ volume: "nosuch" })).rejects.toMatchObject({ kind: "not_found" });
  await expect(check({ vault: "nosuch" })).rejects.toMatchObject({ kind: "not_found" });

  const identity = join(dir, "vaults", "b", "vault.json");
  writeFileSync(identity, readFileSync(identity, "utf8").replace(/"seed": "./, '"seed": "x'));
  const before = readdirSync(join(dir, "vaults", "b"), { recursive: true }).length;
  const lines = await check({});
  expect(lines).toContainEqual(expect.objectContaining({ line: "finding", severity: "damage", subject: "vault b" }));
  expect(lines.at(-1)).toMatchObject({ line: "end", findings: 1, objects: first.objects });
  expect(readdirSync(join(dir, "vaults", "b"), { recursive: true })).toHaveLength(before);
});
