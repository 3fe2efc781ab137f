/**
 * Law 10: nothing that a client wrote or named, and no key, reaches a disk readable. Marks are planted in contents and names, the vault
 * goes through its whole life, and everything that lies on its disk is searched: also what crashes left, and what was deleted meanwhile.
 */
import { afterAll, describe, expect, test } from "bun:test";
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { seededRandom } from "../../src/base/random.ts";
import { SimulatedDisk } from "../../src/base/simulated-disk.ts";
import { Simulation } from "../../src/base/simulation.ts";
import { BLOCK_SIZE } from "../../src/base/units.ts";
import { connectNbd } from "../../src/nbd/client.ts";
import { openIdentity } from "../../src/vault/identity.ts";
import type { VaultOptions } from "../../src/vault/open-vault.ts";
import { DaemonProcess, removeScratch, scratchFolder, sternway } from "../support/daemon-process.ts";
import { encryptedBed, openBed, VAULT_DIR, type Bed } from "../support/vault-bed.ts";

const MIB = 2 ** 20;
/** What is planted where; found readable, it names the leak. */
const MARKS = {
  content: "planted-in-the-contents",
  volume: "planted-volume",
  branch: "planted-branch",
  bookmark: "planted-bookmark",
  note: "planted-in-a-note",
};
const folder = scratchFolder();
afterAll(() => removeScratch(folder));

/** A block that compresses as little as it can beside the mark in it, so that a stored frame shows it. */
function marked(random: { bytes(length: number): Uint8Array }): Uint8Array {
  const block = random.bytes(BLOCK_SIZE);
  block.set(new TextEncoder().encode(MARKS.content), 1000);
  return block;
}

/** Marks and secrets that lie readable in some bytes. */
function found(bytes: Uint8Array, secrets: Record<string, Uint8Array> = {}): string[] {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
  const marks = Object.values(MARKS).filter((mark) => buffer.includes(mark));
  const keys = Object.entries(secrets).flatMap(([name, secret]) => {
    const raw = Buffer.from(secret);
    const forms = [
      raw,
      Buffer.from(raw).reverse(),
      Buffer.from(raw.toString("hex")),
      Buffer.from(raw.toString("base64")),
    ];
    return forms.some((form) => buffer.includes(form)) ? [name] : [];
  });
  return [...marks, ...keys];
}

describe("on a simulated disk", () => {
  /** One life with a crash in it. @returns everything that ever lay on the disk, by path */
  async function life(
    options: Partial<VaultOptions>,
    secrets: Record<string, Uint8Array>,
  ): Promise<Map<string, string[]>> {
    const leaks = new Map<string, string[]>();
    const search = (disk: SimulatedDisk): void => {
      for (const path of disk.paths()) {
        const marks = found(disk.peek(path)!, secrets);
        if (marks.length > 0) leaks.set(path, marks);
      }
    };
    const work = async ({ vault, volumes }: Bed, disk: SimulatedDisk, seed: number): Promise<void> => {
      const random = seededRandom(seed);
      const name = `${MARKS.volume}-${seed}`;
      await volumes.create(name, 4 * MIB);
      const device = await volumes.openLive(name);
      // Enough stretches for a merge of layers and of chronicles.
      for (let round = 0; round < 10; round++) {
        for (let i = 0; i < 6; i++) await device.write(random.below(500) * BLOCK_SIZE, marked(random), i === 5);
        if (round < 9) await vault.seal();
        search(disk);
      }
      await volumes.bookmark(name, MARKS.bookmark, { kind: "now" }, MARKS.note);
      await volumes.branch(name, { kind: "now" }, `${MARKS.branch}-${seed}`);
      await device.close();
      search(disk);
    };
    const sim = new Simulation(1);
    const disk = new SimulatedDisk(sim);
    await sim.run(async () => {
      const bed = await openBed(sim, disk, options);
      if (options.encrypt) {
        const { seed, cipher } = await openIdentity(disk, VAULT_DIR, sim.random, options.encrypt);
        secrets["data key"] = cipher!.copyDataKey();
        secrets["fingerprint seed"] = new Uint8Array(BigUint64Array.of(seed).buffer);
      }
      await work(bed, disk, 1);
    });
    const after = new Simulation(2);
    const left = disk.crashed(after);
    await after.run(async () => {
      search(left);
      const bed = await openBed(after, left, options);
      await work(bed, left, 2);
      await bed.vault.stop();
      search(left);
    });
    return leaks;
  }

  test("an encrypted vault leaves no mark and no key readable anywhere", async () => {
    const secrets: Record<string, Uint8Array> = { "key file": encryptedBed.encrypt.bytes };
    expect(await life(encryptedBed, secrets)).toEqual(new Map());
    expect(Object.keys(secrets)).toHaveLength(3);
  });

  test("the same search finds the marks of a vault that is not encrypted, so it would find a leak", async () => {
    const leaks = await life({}, {});
    const all = new Set([...leaks.values()].flat());
    expect([...all].sort()).toEqual(Object.values(MARKS).sort());
    for (const kind of [/journal/, /packs/, /manifest/])
      expect([...leaks.keys()].some((path) => kind.test(path))).toBe(true);
  });
});

/** A running vault may delete what was listed a moment ago. */
function readIfThere(path: string): Uint8Array {
  try {
    return readFileSync(path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return new Uint8Array(0);
    throw error;
  }
}

describe("an appliance", () => {
  const PASSPHRASE = "planted passphrase";
  const keyPath = join(folder, "vault.key");
  const keyBytes = seededRandom(11).bytes(48);
  const dataDir = join(folder, "data");
  const temporary = join(folder, "tmp");

  const filesBeneath = (path: string): string[] =>
    readdirSync(path, { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map((entry) => join(entry.parentPath, entry.name));

  /** In the vaults, in the appliance's own books beside them, and in temporary files. */
  const leaks = (): [path: string, marks: string[]][] =>
    [...filesBeneath(dataDir), ...filesBeneath(temporary)].flatMap((path): [string, string[]][] => {
      const secrets = { "key file": keyBytes, passphrase: new TextEncoder().encode(PASSPHRASE) };
      const marks = found(readIfThere(path), secrets);
      return marks.length > 0 ? [[path.slice(folder.length), marks]] : [];
    });

  test("that was killed in the middle of its work, and unlocked again, left nothing readable", async () => {
    mkdirSync(temporary);
    writeFileSync(keyPath, keyBytes, { mode: 0o600 });
    const before = process.env["TMPDIR"];
    process.env["TMPDIR"] = temporary;
    try {
      const config = {
        storage: { journalFileBytes: "4MiB", journalFilesMax: 6 },
        vaults: { sealed: { keyFile: keyPath } },
      };
      const random = seededRandom(12);
      const written = new Map<number, Uint8Array>();
      for (let round = 0; round < 3; round++) {
        await using daemon = await DaemonProcess.start(dataDir, { config });
        if (round === 0) {
          await daemon.client.createVault("sealed", { keyFile: keyPath });
          await daemon.client.createVault("other", { passphrase: PASSPHRASE });
          await daemon.client.createVolume(MARKS.volume, 64 * MIB, { vault: "sealed" });
        }
        expect(await daemon.client.vaultNamed("sealed")).toMatchObject({ state: "writable", encrypted: true });
        const blocks = await connectNbd(daemon.blocks, MARKS.volume);
        for (const [offset, bytes] of written) expect(await blocks.read(offset, bytes.length)).toEqual(bytes);
        // More than two journal files, so that packs and layers come to be.
        for (let i = 0; i < 10; i++) {
          const data = new Uint8Array(Buffer.concat(Array.from({ length: 256 }, () => marked(random))));
          const offset = (round * 10 + i) * MIB;
          await blocks.write(offset, data);
          if (i === 9) await blocks.flush();
          if (i % 5 === 4) written.set(offset, data);
        }
        expect(leaks()).toEqual([]);
        await daemon.kill();
        expect(leaks()).toEqual([]);
      }
      const packs = filesBeneath(join(dataDir, "vaults", "sealed", "packs"));
      expect(packs.length).toBeGreaterThan(1);
    } finally {
      if (before === undefined) delete process.env["TMPDIR"];
      else process.env["TMPDIR"] = before;
    }
  }, 300_000);

  test("unlocks by its passphrase and by no other, and is checked when it is open", async () => {
    await using daemon = await DaemonProcess.start(dataDir);
    expect(await daemon.client.vaultNamed("other")).toMatchObject({ state: "locked", encrypted: true });
    await expect(daemon.client.unlockVault("other", { passphrase: "planted passphrases" })).rejects.toMatchObject({
      kind: "denied",
    });
    expect(await daemon.client.unlockVault("other", { passphrase: PASSPHRASE })).toMatchObject({ state: "writable" });
    const check = await sternway(dataDir, "check", "--json");
    expect(check.code, check.out + check.err).toBe(0);
    expect(JSON.stringify(daemon.log)).not.toContain(PASSPHRASE);
    expect(leaks()).toEqual([]);
    await daemon.stop();
  }, 300_000);
});
