import { describe, expect, test } from "bun:test";
import { BLOCK_SIZE } from "../../../../src/base/units.ts";
import { checkVault } from "../../../../src/vault/checking/check.ts";
import { Scrub, type ScrubStep } from "../../../../src/vault/scrubbing/scrub.ts";
import type { Vault } from "../../../../src/vault/vault.ts";
import { VAULT_DIR, type Bed } from "../../../support/vault-bed.ts";
import { all, inWorld, noise, type World } from "../../../support/world.ts";

const MIB = 2 ** 20;
const DAY_MICROS = 86_400e6;

/** Two sealed stretches of `web`, a branch of it made between them, and nothing in the journal. */
async function fill({ vault, volumes }: Bed): Promise<void> {
  await volumes.create("web", 4 * MIB);
  const web = await volumes.openLive("web");
  for (let block = 0; block < 64; block += 8) await web.write(block * BLOCK_SIZE, noise(block, 8), false);
  await web.flush();
  await vault.seal();
  await volumes.branch("web", { kind: "now" }, "copy");
  for (let block = 0; block < 8; block++) await web.write(block * BLOCK_SIZE, noise(block + 500, 1), false);
  await web.flush();
  await vault.seal();
  await web.close();
}

/** Steps until a cycle ends. */
async function cycle(scrub: Scrub): Promise<ScrubStep[]> {
  const steps: ScrubStep[] = [];
  do steps.push(await scrub.step());
  while (!steps.at(-1)!.endsCycle);
  return steps;
}

const findings = (steps: readonly ScrubStep[]) => steps.flatMap((step) => step.findings);
const repairs = (steps: readonly ScrubStep[]) => steps.flatMap((step) => step.repairs);
const packPaths = ({ disk }: World): string[] => disk.paths().filter((path) => path.endsWith(".pack"));

/** Flips a bit of where the bytes lie in a pack. */
function spoil(world: World, bytes: Uint8Array): void {
  for (const path of packPaths(world)) {
    const at = Buffer.from(world.disk.peek(path)!).indexOf(Buffer.from(bytes));
    if (at >= 0) return world.disk.flipBit(path, at + 5);
  }
  throw new Error("no pack holds these bytes as they are");
}

async function damageFound(vault: Vault): Promise<number> {
  const steps = await all(checkVault(vault, { deep: true }));
  return steps.filter((step) => step.line === "finding").length;
}

async function readBlock({ volumes }: Bed, name: string, block: number): Promise<Uint8Array> {
  const device = await volumes.openAt(name, { kind: "now" });
  try {
    return (await device.read(block * BLOCK_SIZE, BLOCK_SIZE)).slice();
  } finally {
    await device.close();
  }
}

/** A filled vault, stopped, harmed and opened again (so that no cache hides the harm), with its scrub. */
function scrubAfter(
  seed: number,
  harm: (world: World) => void,
  story: (world: World & { bed: Bed; scrub: Scrub }) => Promise<void>,
): Promise<void> {
  return inWorld(seed, async (world) => {
    const first = await world.open();
    await fill(first);
    await first.vault.stop();
    harm(world);
    const bed = await world.open();
    await story({ ...world, bed, scrub: await Scrub.open(bed.vault) });
  });
}

describe("Scrub.step()", () => {
  test("goes through packs newest first, then layers and chronicles, and ends the cycle", () =>
    scrubAfter(
      1,
      () => undefined,
      async ({ scrub, bed }) => {
        const steps = await cycle(scrub);
        expect(steps.map((step) => step.subject)).toEqual([
          "pack 2",
          "pack 1",
          "layer 2",
          "layer 1",
          "chronicle 2",
          "chronicle 1",
          "cycle 1",
        ]);
        expect(findings(steps)).toEqual([]);
        expect(scrub.status()).toMatchObject({ cycle: 2, objects: 0, last: { objects: 6, findings: 0 } });
        expect(bed.vault.sealing.manifest.quarantine ?? []).toEqual([]);
      },
    ));

  test("goes on after a restart where it was, and starts over when its record is damaged", () =>
    inWorld(2, async (world) => {
      const first = await world.open();
      await fill(first);
      const before = await Scrub.open(first.vault);
      await before.step();
      await before.step();
      await first.vault.stop();
      const second = await world.open();
      expect((await (await Scrub.open(second.vault)).step()).subject).toBe("layer 2");
      await second.vault.stop();
      world.disk.flipBit(`${VAULT_DIR}/scrub`, 40);
      const third = await world.open();
      expect((await (await Scrub.open(third.vault)).step()).subject).toBe("pack 2");
    }));

  test("names the volumes, blocks and LSNs of a damaged frame, quarantines all of it, and brings back what is sound in it", () =>
    scrubAfter(
      3,
      (world) => spoil(world, noise(16, 1)),
      async ({ scrub, bed }) => {
        await expect(readBlock(bed, "web", 18)).rejects.toMatchObject({ kind: "corrupt" });
        const steps = await cycle(scrub);
        expect(findings(steps)).toHaveLength(1);
        const { finding, isKnown } = findings(steps)[0]!;
        expect(isKnown).toBe(false);
        expect(finding.touches).toHaveLength(1);
        expect(finding.touches[0]).toMatchObject({ volumes: ["web", "copy"], ranges: [{ firstBlock: 16, count: 4 }] });
        // One block's bit is flipped; its three neighbours in the frame still match their fingerprints.
        expect(repairs(steps)[0]).toMatchObject({ pack: 1, report: { restored: { itself: 3 }, freed: 0, lost: 1 } });
        const { packs, quarantine } = bed.vault.sealing.manifest;
        expect(packs.map(({ pack, generation }) => [pack, generation])).toEqual([
          [1, 1],
          [2, 0],
        ]);
        expect(quarantine).toEqual([{ pack: 1, generation: 1, slots: [{ first: 16, count: 1 }] }]);
        expect(await readBlock(bed, "web", 18)).toEqual(noise(16, 8).subarray(2 * BLOCK_SIZE, 3 * BLOCK_SIZE));
        await expect(readBlock(bed, "web", 16)).rejects.toMatchObject({ kind: "corrupt" });
        const again = await cycle(scrub);
        expect(findings(again).map((found) => found.isKnown)).toEqual([true]);
      },
    ));

  test("deletes the file of the generation before when its pack was written anew", () =>
    scrubAfter(
      4,
      (world) => spoil(world, noise(16, 1)),
      async (world) => {
        await cycle(world.scrub);
        await world.bed.vault.sealing.idle();
        await world.sim.clock.sleep(1000);
        expect(packPaths(world).map((path) => path.slice(path.lastIndexOf("/") + 1))).toEqual([
          "00000001-1.pack",
          "00000002-0.pack",
        ]);
        expect(world.bed.vault.sealing.leftovers).toBe(0);
      },
    ));

  test("restores a lost block from the journal while it waits there, and a check is content afterwards", () =>
    scrubAfter(
      5,
      (world) => spoil(world, noise(16, 1)),
      async ({ scrub, bed }) => {
        const web = await bed.volumes.openLive("web");
        await web.write(60 * BLOCK_SIZE, noise(16, 1), false);
        await web.flush();
        const steps = await cycle(scrub);
        expect(repairs(steps)[0]!.report).toEqual({ restored: { itself: 3, journal: 1 }, freed: 0, lost: 0 });
        expect(await readBlock(bed, "copy", 16)).toEqual(noise(16, 1));
        expect(bed.vault.sealing.manifest.quarantine).toEqual([]);
        expect(await damageFound(bed.vault)).toBe(0);
        await web.close();
      },
    ));

  test("shares no new block with a quarantined slot, and repairs that from the new copy", () =>
    scrubAfter(
      6,
      (world) => spoil(world, noise(16, 1)),
      async ({ scrub, bed }) => {
        await cycle(scrub);
        const web = await bed.volumes.openLive("web");
        await web.write(60 * BLOCK_SIZE, noise(16, 1), false);
        await bed.vault.seal();
        expect(bed.vault.sealing.manifest.packs).toHaveLength(3);
        expect(await readBlock(bed, "web", 60)).toEqual(noise(16, 1));
        // A further stretch lets the sealer take over what the last one stored.
        await web.write(61 * BLOCK_SIZE, noise(77, 1), false);
        await bed.vault.seal();
        expect(await scrub.retryRepairs()).toEqual([
          { pack: 1, report: { restored: { index: 1 }, freed: 0, lost: 0 } },
        ]);
        expect(await readBlock(bed, "copy", 16)).toEqual(noise(16, 1));
        expect(await damageFound(bed.vault)).toBe(0);
        await web.close();
      },
    ));

  test("never shares a slot that was found damaged once, even if it reads well the next time", () =>
    scrubAfter(
      7,
      () => undefined,
      async ({ bed, disk }) => {
        // Without any source there is no repair, so the slots stay as they are.
        const scrub = await Scrub.open(bed.vault, {});
        disk.inject({ effect: "EIO", operations: ["read"], path: /00000002-0\.pack$/, skip: 4, times: 1 });
        const step = await scrub.step();
        expect(step.subject).toBe("pack 2");
        expect(step.repairs[0]!.report).toEqual({ restored: {}, freed: 0, lost: 4 });
        expect(await readBlock(bed, "web", 0)).toEqual(noise(500, 1));
        const web = await bed.volumes.openLive("web");
        for (let block = 0; block < 8; block++)
          await web.write((56 + block) * BLOCK_SIZE, noise(block + 500, 1), false);
        await bed.vault.seal();
        expect(bed.vault.sealing.manifest.packs.at(-1)).toMatchObject({ pack: 3, slots: 4 });
        await web.close();
      },
    ));

  test("writes a pack anew on other sectors when a second reading succeeds", () =>
    scrubAfter(
      13,
      () => undefined,
      async ({ scrub, bed, disk }) => {
        disk.inject({ effect: "EIO", operations: ["read"], path: /00000002-0\.pack$/, skip: 4, times: 1 });
        const step = await scrub.step();
        expect(step.repairs[0]!.report).toEqual({ restored: { itself: 4 }, freed: 0, lost: 0 });
        expect(bed.vault.sealing.manifest.packs.at(-1)).toMatchObject({ pack: 2, generation: 1 });
        expect(bed.vault.sealing.manifest.quarantine).toEqual([]);
        expect(await damageFound(bed.vault)).toBe(0);
      },
    ));

  test("finds a pack whose file was deleted while it is open, and shares it with nothing new", () =>
    scrubAfter(
      14,
      () => undefined,
      async ({ scrub, bed, disk }) => {
        expect(await readBlock(bed, "web", 0)).toEqual(noise(500, 1));
        await cycle(scrub);
        const path = disk.paths().find((each) => each.endsWith("00000002-0.pack"))!;
        await disk.remove(path);
        const step = await scrub.step();
        expect(step.findings.map(({ finding }) => finding.message)).toEqual([
          expect.stringContaining("its file is missing"),
        ]);
        expect(bed.vault.sealing.manifest.quarantine).toEqual([
          { pack: 2, generation: 0, slots: [{ first: 0, count: 8 }] },
        ]);
      },
    ));

  test("finds a copy in another pack at the end of a cycle, when the index does not know it", () =>
    inWorld(8, async (world) => {
      const first = await world.open();
      await fill(first);
      // The same block twice: the second time the sealer was not looking for duplicates.
      const { pressure } = first.vault.parts;
      Object.defineProperty(pressure, "effort", { get: () => "raw", configurable: true });
      const web = await first.volumes.openLive("web");
      await web.write(60 * BLOCK_SIZE, noise(16, 1), false);
      await first.vault.seal();
      await web.close();
      await first.vault.stop();
      spoil(world, noise(16, 1));
      const bed = await world.open();
      const scrub = await Scrub.open(bed.vault, {});
      const steps = await cycle(scrub);
      expect(repairs(steps).map(({ report }) => report.restored)).toEqual([{}, { packs: 1 }]);
      expect(await readBlock(bed, "copy", 16)).toEqual(noise(16, 1));
    }));

  test("frees damaged slots that nothing refers to any more", () =>
    inWorld(9, async (world) => {
      const first = await world.open();
      await fill(first);
      await first.vault.stop();
      spoil(world, noise(16, 1));
      const bed = await world.open();
      const scrub = await Scrub.open(bed.vault);
      // Nothing frees map entries here, so the map is made to forget by hand: no layer at all is the extreme case.
      const { sealing } = bed.vault;
      await sealing.perform(async () => ({ changes: { layers: [] } }));
      const steps = await cycle(scrub);
      expect(repairs(steps)[0]!.report).toEqual({ restored: {}, freed: 4, lost: 0 });
      expect(findings(steps)[0]!.finding.touches).toEqual([]);
    }));

  test("holds a whole pack whose directory is damaged, says so, and goes on", () =>
    scrubAfter(
      10,
      (world) => {
        const path = packPaths(world)[0]!;
        world.disk.flipBit(path, world.disk.peek(path)!.length - 30);
      },
      async ({ scrub, bed }) => {
        const steps = await cycle(scrub);
        expect(steps.at(-1)!.subject).toBe("cycle 1");
        expect(repairs(steps)[0]!.report.obstacle).toContain("directory is damaged");
        expect(bed.vault.sealing.manifest.quarantine).toEqual([
          { pack: 1, generation: 0, slots: [{ first: 0, count: 64 }] },
        ]);
        expect(findings(steps)[0]!.finding.touches[0]!.volumes).toEqual(["web", "copy"]);
      },
    ));

  test("keeps the quarantine over a restart", () =>
    scrubAfter(
      11,
      (world) => spoil(world, noise(16, 1)),
      async ({ scrub, bed, open }) => {
        await cycle(scrub);
        await bed.vault.stop();
        const next = await open();
        const web = await next.volumes.openLive("web");
        await web.write(60 * BLOCK_SIZE, noise(16, 8), false);
        await next.vault.seal();
        // The one that is lost was stored anew, the seven others are duplicates.
        expect(next.vault.sealing.manifest.packs.at(-1)).toMatchObject({ pack: 3, slots: 1 });
        await web.close();
      },
    ));
});

describe("Scrub.dueIn()", () => {
  test("spreads a cycle's steps evenly over its time, by bytes", () =>
    scrubAfter(
      12,
      () => undefined,
      async ({ scrub, sim }) => {
        expect(scrub.dueIn(30 * DAY_MICROS)).toBe(0);
        const steps = [await scrub.step()];
        const { bytes, bytesLeft } = scrub.status();
        const expected = (30 * DAY_MICROS * bytes) / (bytes + bytesLeft) / 1000;
        expect(Math.abs(scrub.dueIn(30 * DAY_MICROS) - expected)).toBeLessThan(1000);
        await sim.clock.sleep(expected);
        expect(scrub.dueIn(30 * DAY_MICROS)).toBeLessThan(1000);
        while (!steps.at(-1)!.endsCycle) steps.push(await scrub.step());
        expect(scrub.dueIn(30 * DAY_MICROS)).toBe(0);
      },
    ));
});
