/**
 * Encrypted vaults, as whole vaults: unlocking and refusing, what damage does, and that a vault which is not encrypted has stayed what it was.
 */
import { describe, expect, test } from "bun:test";
import { isSternwayError } from "../../../src/base/errors.ts";
import { seededRandom } from "../../../src/base/random.ts";
import { publish } from "../../../src/base/disk.ts";
import { SimulatedDisk } from "../../../src/base/simulated-disk.ts";
import { Simulation } from "../../../src/base/simulation.ts";
import { BLOCK_SIZE } from "../../../src/base/units.ts";
import { secretOfPassphrase, type Secret } from "../../../src/security/secret.ts";
import { checkVault } from "../../../src/vault/checking/check.ts";
import { openIdentity } from "../../../src/vault/identity.ts";
import { createVault } from "../../../src/vault/open-vault.ts";
import { MemoryDisk } from "../../support/memory-disk.ts";
import { encryptedBed, openBed, VAULT_DIR, type Bed } from "../../support/vault-bed.ts";
import { blockOf, inWorld, noise } from "../../support/world.ts";

const MIB = 2 ** 20;
const BLOCKS = 48;
const outcome = (promise: Promise<unknown>): Promise<unknown> =>
  promise.then(
    () => "opened",
    (error: unknown) => (isSternwayError(error) ? error.kind : error),
  );

/** Blocks that compress, that do not, that repeat, and zeroes. */
const contentOf = (block: number): Uint8Array =>
  block % 4 === 0 ? noise(block, 1) : block % 4 === 1 ? new Uint8Array(BLOCK_SIZE) : blockOf(block % 16);

/** Writes the blocks, seals half of them, and leaves the rest in the journal. */
async function fill({ vault, volumes }: Bed): Promise<void> {
  await volumes.create("a", 4 * MIB);
  const device = await volumes.openLive("a");
  for (let block = 0; block < BLOCKS; block++) {
    await device.write(block * BLOCK_SIZE, contentOf(block), false);
    if (block % 12 === 11 && block < BLOCKS / 2) await vault.seal();
  }
  await device.flush();
  await volumes.bookmark("a", "here", { kind: "now" }, "");
  await device.close();
}

describe("an encrypted vault", () => {
  test("reads back: from packs, from the journal, from a group that is being written, and all of it after a crash", async () => {
    const after = new Simulation(2);
    const left = await inWorld(1, async ({ disk, open }) => {
      const bed = await open(encryptedBed);
      expect(bed.vault.isEncrypted).toBe(true);
      await fill(bed);
      await expectContent(bed, 0);
      const device = await bed.volumes.openLive("a");
      await device.write(0, blockOf(1), false);
      expect(await device.read(0, BLOCK_SIZE)).toEqual(blockOf(1));
      await device.close();
      return disk.crashed(after);
    });
    await after.run(async () => {
      const again = await openBed(after, left, encryptedBed);
      await expectContent(again, 1);
      for await (const step of checkVault(again.vault)) expect(step.line).not.toBe("finding");
      await again.vault.stop();
    });
  });

  test("stays locked for a wrong key, a wrong kind and none, and changes nothing meanwhile", () =>
    inWorld(2, async ({ sim, disk, open }) => {
      await (await open(encryptedBed)).vault.stop();
      const before = disk.paths().map((path) => Buffer.from(disk.peek(path)!).toString("base64"));
      const wrong: Secret = { kind: "key-file", bytes: new Uint8Array(32).fill(0x43) };
      expect(await outcome(openBed(sim, disk, { unlock: wrong }))).toBe("denied");
      expect(await outcome(openBed(sim, disk, { unlock: { ...wrong, kind: "passphrase" } }))).toBe("denied");
      expect(await outcome(openBed(sim, disk))).toBe("denied");
      expect(disk.paths().map((path) => Buffer.from(disk.peek(path)!).toString("base64"))).toEqual(before);
      expect(disk.openFileCount).toBe(0);
    }));

  test("is told from one that is not: a key for that is refused", () =>
    inWorld(3, async ({ sim, disk, open }) => {
      const bed = await open();
      expect(bed.vault.isEncrypted).toBe(false);
      await bed.vault.stop();
      expect(await outcome(openBed(sim, disk, { unlock: encryptedBed.encrypt }))).toBe("invalid");
    }));

  test("is not opened as one without encryption, should somebody put such an identity in its place", () =>
    inWorld(4, async ({ sim, disk, open }) => {
      await (await open()).vault.stop();
      const other = new SimulatedDisk(sim);
      const sealed = await openBed(sim, other, encryptedBed);
      await fill(sealed);
      await sealed.vault.stop();
      const path = `${VAULT_DIR}/vault.json`;
      await other.remove(path);
      await publish(other, path, [disk.peek(path)!]);
      expect(await outcome(openBed(sim, other))).toBe("corrupt");
    }));

  test("with a passphrase is made without being opened, and opens with it", async () => {
    const disk = new MemoryDisk();
    const encrypt = secretOfPassphrase("correct horse");
    await createVault(disk, "/v", seededRandom(1), { journalFileBytes: MIB, encrypt });
    const { cipher } = await openIdentity(disk, "/v", seededRandom(2), encrypt);
    expect(cipher).toBeDefined();
    const wrong = openIdentity(disk, "/v", seededRandom(2), secretOfPassphrase("wrong horse"));
    expect(await outcome(wrong)).toBe("denied");
  });

  test("damaged in any file gives the right bytes or a typed error", async () => {
    const disk = await inWorld(5, async (world) => {
      const bed = await world.open(encryptedBed);
      await fill(bed);
      await bed.vault.stop();
      return world.disk;
    });
    let refused = 0;
    let tries = 0;
    for (const path of disk.paths()) {
      const length = path.endsWith(".journal") ? usedBytes(disk.peek(path)!) : disk.peek(path)!.length;
      // Every offset would take minutes: forty of each file, and each bit in turn.
      for (let offset = 3; offset < length; offset += Math.max(11, Math.ceil(length / 40))) {
        const after = new Simulation(offset);
        const left = disk.shutDown(after);
        left.flipBit(path, offset, offset % 8);
        tries++;
        if (!(await after.run(() => readsRightOrRefuses(after, left)))) refused++;
      }
    }
    expect(tries).toBeGreaterThan(150);
    // Nearly every byte counts for something that is read.
    expect(refused).toBeGreaterThan(tries / 3);
  });
});

/** @returns false: something was refused @throws a wrong byte was given out */
async function readsRightOrRefuses(sim: Simulation, disk: SimulatedDisk): Promise<boolean> {
  let bed: Bed | undefined;
  let whole = true;
  try {
    bed = await openBed(sim, disk, encryptedBed);
  } catch (error) {
    if (!isSternwayError(error)) throw error;
    return false;
  }
  const { vault, volumes } = bed;
  // A vault that says that it is damaged shows an older state: what it shows is not what was last written.
  if (vault.readOnlyReason !== undefined) whole = false;
  else {
    const device = await volumes.openLive("a");
    for (let block = 0; block < BLOCKS; block++) {
      try {
        expect(await device.read(block * BLOCK_SIZE, BLOCK_SIZE)).toEqual(contentOf(block));
      } catch (error) {
        if (!isSternwayError(error)) throw error;
        whole = false;
      }
    }
    await device.close();
  }
  await vault.stop().catch((error: unknown) => {
    if (!isSternwayError(error)) throw error;
  });
  return whole;
}

/** Up to where a journal file has been written. */
function usedBytes(bytes: Uint8Array): number {
  let end = bytes.length;
  while (end > 0 && bytes[end - 1] === 0) end--;
  return end;
}

async function expectContent({ volumes }: Bed, from: number): Promise<void> {
  const device = await volumes.openLive("a");
  for (let block = from; block < BLOCKS; block++) {
    expect(await device.read(block * BLOCK_SIZE, BLOCK_SIZE)).toEqual(contentOf(block));
  }
  expect(volumes.bookmarks("a").map(({ name }) => name)).toEqual(["here"]);
  await device.close();
}
