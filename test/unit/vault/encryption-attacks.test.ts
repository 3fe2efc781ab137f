/**
 * What somebody who can write to the disk of an encrypted vault, and has kept what lay there earlier, can and cannot do: files put in one another's
 * place, cut, taken back to an earlier state, or said not to be encrypted. Reading gives what was written or a typed error; nothing is written readable.
 */
import { describe, expect, test } from "bun:test";
import { publish } from "../../../src/base/disk.ts";
import { isSternwayError } from "../../../src/base/errors.ts";
import { seededRandom } from "../../../src/base/random.ts";
import type { SimulatedDisk } from "../../../src/base/simulated-disk.ts";
import { Simulation } from "../../../src/base/simulation.ts";
import { BLOCK_SIZE } from "../../../src/base/units.ts";
import type { Secret } from "../../../src/security/secret.ts";
import { rotateVaultKey } from "../../../src/vault/vault-keys.ts";
import { encryptedBed, openBed, VAULT_DIR, type Bed } from "../../support/vault-bed.ts";
import { inWorld, noise } from "../../support/world.ts";

const BLOCKS = 24;
/** Of them, those of the stretch that is not sealed: no pack or layer is needed to read them. */
const IN_JOURNAL = 6;
const key = (byte: number): Secret => ({ kind: "key-file", bytes: new Uint8Array(32).fill(byte) });
const outcome = (promise: Promise<unknown>): Promise<unknown> =>
  promise.then(
    () => "opened",
    (error: unknown) => (isSternwayError(error) ? error.kind : error),
  );
const copyOf = (disk: SimulatedDisk): Map<string, Uint8Array> =>
  new Map(disk.paths().map((path) => [path, disk.peek(path)!.slice()]));

async function put(disk: SimulatedDisk, path: string, bytes: Uint8Array): Promise<void> {
  await disk.remove(path);
  await publish(disk, path, [bytes]);
}

/** Three stretches that are sealed, one that lies in the journal. */
async function fill({ vault, volumes }: Bed, version: number): Promise<void> {
  if (version === 0) await volumes.create("a", 2 ** 20);
  const device = await volumes.openLive("a");
  for (let block = 0; block < BLOCKS; block++) {
    await device.write(block * BLOCK_SIZE, noise(block + 1000 * version, 1), false);
    if (block % 6 === 5 && block < BLOCKS - 1) await vault.seal();
  }
  await device.flush();
  await device.close();
}

/** Opens what an attacker left, and reads. @returns how it opened; blocks that read as they were written last count as right */
async function judge(
  sim: Simulation,
  disk: SimulatedDisk,
  version: number,
): Promise<{ state: string; right: number; refused: number; wrong: number }> {
  const found = { state: "writable", right: 0, refused: 0, wrong: 0 };
  let bed: Bed;
  try {
    bed = await openBed(sim, disk, { unlock: encryptedBed.encrypt });
  } catch (error) {
    if (!isSternwayError(error)) throw error;
    return { ...found, state: error.kind, refused: BLOCKS };
  }
  if (bed.vault.readOnlyReason !== undefined) found.state = "read-only";
  for (let block = 0; block < BLOCKS; block++) {
    try {
      const device = await bed.volumes.openAt("a", { kind: "now" });
      const bytes = await device.read(block * BLOCK_SIZE, BLOCK_SIZE);
      if (Buffer.compare(bytes, noise(block + 1000 * version, 1)) === 0) found.right++;
      else found.wrong++;
      await device.close();
    } catch (error) {
      if (!isSternwayError(error)) throw error;
      found.refused++;
    }
  }
  await bed.vault.stop();
  return found;
}

/** A vault that was filled and stopped, with what an attacker does to its disk. */
const attacked = (
  seed: number,
  attack: (disk: SimulatedDisk, paths: (folder: string) => string[]) => Promise<void>,
): Promise<Awaited<ReturnType<typeof judge>>> =>
  inWorld(seed, async ({ sim, disk, open }) => {
    const bed = await open(encryptedBed);
    await fill(bed, 0);
    await bed.vault.stop();
    await attack(disk, (folder) =>
      disk
        .paths()
        .filter((path) => path.startsWith(`${VAULT_DIR}/${folder}/`))
        .sort(),
    );
    return await judge(sim, disk, 0);
  });

describe("somebody who writes to the disk of an encrypted vault", () => {
  test.each(["packs", "layers", "chronicles", "manifest"])(
    "and puts one of its %s in another's place is noticed",
    async (folder) => {
      const found = await attacked(11, async (disk, paths) => {
        const [first, second] = paths(folder);
        const [one, two] = [disk.peek(first!)!.slice(), disk.peek(second!)!.slice()];
        await put(disk, first!, two);
        await put(disk, second!, one);
      });
      expect(found.wrong).toBe(0);
      if (folder === "packs" || folder === "layers") expect(found.refused).toBeGreaterThan(0);
    },
  );

  test.each(["packs", "layers", "manifest"])("and cuts its %s is noticed", async (folder) => {
    const found = await attacked(12, async (disk, paths) => {
      for (const path of paths(folder)) await put(disk, path, disk.peek(path)!.slice(0, -100));
    });
    expect(found.wrong).toBe(0);
    expect(found.right).toBeLessThanOrEqual(folder === "manifest" ? 0 : IN_JOURNAL);
  });

  test("and puts another vault's files there, of the same numbers and the same key file, is noticed", async () => {
    const other = await inWorld(99, async ({ disk, open }) => {
      const bed = await open(encryptedBed);
      await fill(bed, 0);
      await bed.vault.stop();
      return copyOf(disk);
    });
    for (const folder of ["packs", "layers", "manifest"]) {
      const found = await attacked(13, async (disk, paths) => {
        for (const path of paths(folder)) if (other.has(path)) await put(disk, path, other.get(path)!);
      });
      expect([folder, found.wrong]).toEqual([folder, 0]);
      expect(found.right).toBeLessThanOrEqual(folder === "manifest" ? 0 : IN_JOURNAL);
    }
    const found = await attacked(13, (disk) =>
      put(disk, `${VAULT_DIR}/vault.json`, other.get(`${VAULT_DIR}/vault.json`)!),
    );
    expect(found).toMatchObject({ right: 0, wrong: 0 });
  });

  test.each([
    ["was sealed since", 1],
    ["still lies in the journal", 0],
  ])(
    "and takes away manifests makes it read-only, when what they knew %s: nothing is cut, no epoch comes twice",
    async (_, version) => {
      const after = new Simulation(15);
      const { left, earlier } = await inWorld(14, async ({ disk, open }) => {
        const first = await open(encryptedBed);
        await fill(first, 0);
        await first.vault.stop();
        const before = copyOf(disk);
        const second = await open({ unlock: encryptedBed.encrypt });
        if (version > 0) await fill(second, version);
        else await second.volumes.bookmark("a", "here", { kind: "now" }, "");
        return { left: disk.crashed(after), earlier: before };
      });
      await after.run(async () => {
        for (const path of left.paths()) if (path.includes("/manifest/")) await left.remove(path);
        for (const [path, bytes] of earlier) if (path.includes("/manifest/")) await put(left, path, bytes);
        expect(await judge(after, left, version)).toMatchObject({ state: "read-only" });
      });
    },
  );

  test("and says of a young vault that it is not encrypted, with its manifests gone, gets nothing opened and nothing written", async () => {
    const plain = await inWorld(18, async ({ disk, open }) => {
      await (await open()).vault.stop();
      return disk.peek(`${VAULT_DIR}/vault.json`)!.slice();
    });
    const after = new Simulation(17);
    const left = await inWorld(16, async ({ disk, open }) => {
      const { volumes } = await open(encryptedBed);
      await volumes.create("a", 2 ** 20);
      const device = await volumes.openLive("a");
      await device.write(0, noise(1, 1), true);
      await device.close();
      return disk.crashed(after);
    });
    await after.run(async () => {
      await put(left, `${VAULT_DIR}/vault.json`, plain);
      for (const path of left.paths()) if (path.includes("/manifest/")) await left.remove(path);
      const before = copyOf(left);
      expect(await outcome(openBed(after, left))).toBe("corrupt");
      expect(copyOf(left)).toEqual(before);
    });
  });

  test("and replaces it by an empty one in the clear is refused by an appliance that remembers it as encrypted", () =>
    inWorld(19, async ({ sim, disk, open }) => {
      await (await open()).vault.stop();
      const before = copyOf(disk);
      expect(await outcome(openBed(sim, disk, { mustBeEncrypted: true }))).toBe("corrupt");
      expect(await outcome(openBed(sim, disk, { mustBeEncrypted: true, unlock: key(1) }))).toBe("corrupt");
      expect(copyOf(disk)).toEqual(before);
    }));

  test("is not kept from putting back an older vault.json, whose keys then work again", () =>
    inWorld(20, async ({ sim, disk, open }) => {
      await (await open(encryptedBed)).vault.stop();
      const path = `${VAULT_DIR}/vault.json`;
      const older = disk.peek(path)!.slice();
      await rotateVaultKey({ disk, dir: VAULT_DIR }, seededRandom(1), encryptedBed.encrypt, key(9));
      expect(await outcome(openBed(sim, disk, { unlock: encryptedBed.encrypt }))).toBe("denied");
      await put(disk, path, older);
      await (await openBed(sim, disk, { unlock: encryptedBed.encrypt })).vault.stop();
    }));
});
