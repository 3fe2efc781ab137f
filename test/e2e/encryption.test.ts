/**
 * An encrypted vault as its owner meets it: written by other people's clients, killed, opened again by its key; and what is left lying about, on the disk and
 * in a core dump, by one who searches for what was planted.
 */
import { afterAll, expect } from "bun:test";
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { seededRandom, systemRandom } from "../../src/base/random.ts";
import { realDisk } from "../../src/base/real-disk.ts";
import { openIdentity } from "../../src/vault/identity.ts";
import {
  DaemonProcess,
  execute,
  removeScratch,
  scratchFolder,
  sternway,
  sternwayCommand,
  succeed,
} from "../support/daemon-process.ts";
import { testWith } from "../support/require-tool.ts";

const MIB = 2 ** 20;
const MARK = "planted-in-the-contents";
const NAMES = ["planted-volume", "planted-branch", "planted-bookmark"];
const folder = scratchFolder();
const usualTemporary = process.env["TMPDIR"];
afterAll(() => {
  if (usualTemporary === undefined) delete process.env["TMPDIR"];
  else process.env["TMPDIR"] = usualTemporary;
  removeScratch(folder);
});
const dataDir = join(folder, "data");
const temporary = join(folder, "tmp");
const keyPath = join(folder, "payroll.key");
const keyBytes = seededRandom(21).bytes(64);
const config = {
  storage: { journalFileBytes: "4MiB", journalFilesMax: 6 },
  vaults: { payroll: { keyFile: keyPath } },
};

/** Everything that must not be found, by what it is. */
async function planted(): Promise<Map<string, Buffer>> {
  const unlock = { kind: "key-file" as const, bytes: new Uint8Array(keyBytes) };
  const { cipher, seed } = await openIdentity(realDisk, join(dataDir, "vaults/payroll"), systemRandom, unlock);
  const dataKey = Buffer.from(cipher!.copyDataKey());
  return new Map([
    ["contents", Buffer.from(MARK)],
    ...NAMES.map((name): [string, Buffer] => [name, Buffer.from(name)]),
    ["key file", Buffer.from(keyBytes)],
    ["data key", dataKey],
    ["data key as text", Buffer.from(dataKey.toString("hex"))],
    ["seed", Buffer.from(BigUint64Array.of(seed).buffer)],
  ]);
}

function leaksIn(paths: string[], what: Map<string, Buffer>): string[] {
  return paths.flatMap((path) => {
    const bytes = readFileSync(path);
    return [...what].flatMap(([name, mark]) =>
      bytes.includes(mark) ? [`${name} in ${path.slice(folder.length)}`] : [],
    );
  });
}

/** Takes the registers out of a core dump (elf(5): segments of type PT_NOTE): that they are in it is said, and they may hold a few bytes of anything. */
function withoutRegisters(path: string): void {
  const core = readFileSync(path);
  const PT_NOTE = 4;
  const [table, size, count] = [Number(core.readBigUInt64LE(32)), core.readUInt16LE(54), core.readUInt16LE(56)];
  for (let i = 0; i < count; i++) {
    const at = table + i * size;
    if (core.readUInt32LE(at) !== PT_NOTE) continue;
    const offset = Number(core.readBigUInt64LE(at + 8));
    core.fill(0, offset, offset + Number(core.readBigUInt64LE(at + 32)));
  }
  writeFileSync(path, core);
}

const filesBeneath = (path: string): string[] =>
  readdirSync(path, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name));

testWith(
  ["qemu-io", "nbdcopy", "gcore"],
  "nbdcopy's and qemu-io's data comes back exact after a kill, and nothing planted lies on the disk or in a dump",
  async () => {
    mkdirSync(temporary);
    writeFileSync(keyPath, keyBytes, { mode: 0o600 });
    process.env["TMPDIR"] = temporary;
    const [volume, branch, bookmark] = NAMES as [string, string, string];
    const image = join(folder, "image");
    const content = Buffer.from(seededRandom(22).bytes(24 * MIB));
    for (let at = 0; at < content.length; at += 4096) content.write(MARK, at + 100);
    writeFileSync(image, content);
    let secrets: Map<string, Buffer>;
    {
      await using daemon = await DaemonProcess.start(dataDir, { config });
      await succeed(sternwayWords("vault", "create", "payroll", "--encrypt", "--key-file", keyPath));
      await succeed(sternwayWords("volume", "create", volume, "32M", "--vault", "payroll"));
      secrets = await planted();
      await succeed(["nbdcopy", "--flush", image, daemon.uri(volume)]);
      await succeed(["qemu-io", "-f", "raw", "-c", "write -P 0x5a 26M 1M", "-c", "flush", daemon.uri(volume)]);
      await daemon.client.createBookmark(volume, { name: bookmark });
      await succeed(sternwayWords("branch", `${volume}@bookmark:${bookmark}`, branch));
      await succeed(sternwayWords("restore", `${branch}@now`, "--to", join(folder, "restored")));
      await succeed(sternwayWords("volume", "delete", branch));
      const refused = await sternway(dataDir, "branch", volume, "elsewhere", "--vault", "default");
      expect(refused.code).toBe(2);

      // The daemon as a debugger dumps it; gdb keeps to what the process says must stay out.
      await succeed(["gcore", "-o", join(folder, "core"), String(daemon.pid)]);
      const [core] = readdirSync(folder).filter((name) => name.startsWith("core."));
      withoutRegisters(join(folder, core!));
      expect(leaksIn([join(folder, core!)], secrets)).toEqual([]);
      await daemon.kill();
    }
    expect(leaksIn([...filesBeneath(dataDir), ...filesBeneath(temporary)], secrets)).toEqual([]);

    {
      await using daemon = await DaemonProcess.start(dataDir, { config });
      const back = join(folder, "back");
      await succeed(["nbdcopy", daemon.uri(volume), back]);
      expect(readFileSync(back).subarray(0, content.length).equals(content)).toBe(true);
      await succeed(["qemu-io", "-r", "-f", "raw", "-c", "read -P 0x5a 26M 1M", daemon.uri(volume)]);
      await succeed(sternwayWords("check", "--vault", "payroll"));
      expect((await daemon.stop()).code).toBe(0);
    }
    expect(leaksIn([...filesBeneath(dataDir), ...filesBeneath(temporary)], secrets)).toEqual([]);
    await writeConfig({});
    expect((await sternway(dataDir, "check", "--vault", "payroll")).code).toBe(7);
    expect((await sternway(dataDir, "check", "--vault", "payroll", "--key-file", image.concat(".none"))).code).toBe(3);
    await succeed(sternwayWords("check", "--vault", "payroll", "--key-file", keyPath));
  },
  120_000,
);

testWith(
  ["qemu-io", "nbdcopy", "gcore"],
  "keys change while the vault is stopped and while it is open, lock takes it from its client, and delete removes it",
  async () => {
    const next = join(folder, "next.key");
    writeFileSync(next, seededRandom(23).bytes(32), { mode: 0o600 });
    const keysOf = async (): Promise<string[]> =>
      (
        JSON.parse(await succeed(sternwayWords("vault", "key", "list", "payroll", "--json"))) as {
          keys: { id: string }[];
        }
      ).keys.map(({ id }) => id);
    await succeed(sternwayWords("vault", "key", "add", "payroll", "--key-file", keyPath, "--new-key-file", next));
    await using daemon = await DaemonProcess.start(dataDir);
    expect(await daemon.client.vaultNamed("payroll")).toMatchObject({ state: "locked", volumes: [], volumeCount: 1 });
    const wrong = await sternway(dataDir, "vault", "unlock", "payroll", "--key-file", join(folder, "image"));
    expect(wrong.code).toBe(2);
    await succeed(sternwayWords("vault", "unlock", "payroll", "--key-file", next));
    const [first] = await keysOf();
    await succeed(sternwayWords("vault", "key", "remove", "payroll", first!, "--key-file", next));
    const volume = NAMES[0]!;
    const client = execute(["qemu-io", "-f", "raw", "-c", "sleep 3000", "-c", "write 0 4k", daemon.uri(volume)]);
    while ((await daemon.client.volume(volume)).attached === 0) await Promise.resolve();
    expect((await sternway(dataDir, "vault", "lock", "payroll")).code).toBe(4);
    await succeed(sternwayWords("vault", "lock", "payroll", "--force"));
    const { out, err } = await client;
    expect(out + err).toMatch(/failed|error/i);
    expect((await sternway(dataDir, "vault", "unlock", "payroll", "--key-file", keyPath)).code).toBe(7);
    await succeed(sternwayWords("vault", "unlock", "payroll", "--key-file", next));
    expect((await sternway(dataDir, "vault", "delete", "payroll")).code).toBe(4);
    await succeed(sternwayWords("vault", "delete", "payroll", "--force", "payroll"));
    expect(readdirSync(join(dataDir, "vaults"))).toEqual(["default"]);
  },
  60_000,
);

const sternwayWords = (...words: string[]): string[] => sternwayCommand(dataDir, ...words);

async function writeConfig(value: object): Promise<void> {
  await Bun.write(join(dataDir, "config.json"), JSON.stringify(value));
}
