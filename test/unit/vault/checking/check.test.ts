import { describe, expect, test } from "bun:test";
import { BLOCK_SIZE } from "../../../../src/base/units.ts";
import {
  checkVault,
  type CheckFinding,
  type CheckOptions,
  type CheckStep,
} from "../../../../src/vault/checking/check.ts";
import type { Vault } from "../../../../src/vault/vault.ts";
import type { Bed } from "../../../support/vault-bed.ts";
import { all, blockOf, inWorld, noise, type World } from "../../../support/world.ts";

const MIB = 2 ** 20;

interface Checked {
  findings: CheckFinding[];
  steps: CheckStep[];
  end: CheckStep | undefined;
}

async function check(vault: Vault, options: CheckOptions = {}): Promise<Checked> {
  const steps = await all(checkVault(vault, options));
  const findings = steps.filter((step) => step.line === "finding");
  return { findings, steps, end: steps.find((step) => step.line === "end") };
}

/** Two sealed stretches and an unsealed tail of `web` (blocks 0 to 63), and a branch of it. */
async function fill({ vault, volumes }: Bed): Promise<void> {
  await volumes.create("web", 4 * MIB);
  await volumes.create("other", MIB);
  const web = await volumes.openLive("web");
  const other = await volumes.openLive("other");
  for (let block = 0; block < 64; block += 8) await web.write(block * BLOCK_SIZE, noise(block, 8), false);
  await other.write(0, noise(1000, 8), false);
  await web.flush();
  await vault.seal();
  await volumes.bookmark("web", "before", { kind: "now" }, "");
  for (let block = 0; block < 8; block++) await web.write(block * BLOCK_SIZE, blockOf(block + 1), false);
  await web.trim(32 * BLOCK_SIZE, 8 * BLOCK_SIZE, false);
  await web.flush();
  await vault.seal();
  await volumes.branch("web", { kind: "now" }, "copy");
  for (let block = 40; block < 44; block++) await web.write(block * BLOCK_SIZE, noise(block + 500, 1), false);
  await web.flush();
  await web.close();
  await other.close();
}

/** Fills a vault, stops it, lets `harm` have the disk, and checks what is left, opened for reading. */
function checkAfter(
  harm: (world: World, vault: Vault) => void,
  options: CheckOptions = { deep: true },
): Promise<Checked> {
  return inWorld(7, async (world) => {
    const bed = await world.open();
    await fill(bed);
    await bed.vault.stop();
    harm(world, bed.vault);
    const { vault } = await world.open({ readOnly: true });
    return await check(vault, options);
  });
}

const only = (checked: Checked): CheckFinding => {
  expect(checked.findings.map((finding) => `${finding.kind} ${finding.subject}`)).toHaveLength(1);
  return checked.findings[0]!;
};
const kinds = (checked: Checked): string[] => [...new Set(checked.findings.map((finding) => finding.kind))].sort();
const pathsOf = ({ disk }: World, end: string): string[] => disk.paths().filter((path) => path.endsWith(end));

/** Flips a bit of a block of `web` from the first stretch, where it lies in its pack. @returns its offset */
function spoilBlock(world: World, block: number): number {
  const path = pathsOf(world, ".pack")[0]!;
  const at = Buffer.from(world.disk.peek(path)!).indexOf(Buffer.from(noise(block, 1)));
  expect(at).toBeGreaterThan(0);
  world.disk.flipBit(path, at + 5);
  return at;
}
import type { LayerRecord } from "../../../../src/vault/manifest.ts";

describe("checkVault() on a whole vault", () => {
  test("finds nothing on a stopped one, and counts what it looked at", async () => {
    const checked = await checkAfter(() => undefined);
    expect(checked.findings).toEqual([]);
    expect(checked.end).toMatchObject({ line: "end", findings: 0 });
    expect(checked.end).toHaveProperty("objects");
    expect((checked.end as { bytes: number }).bytes).toBeGreaterThan(100 * BLOCK_SIZE);
  });

  test("reads no block with quick", async () => {
    const checked = await checkAfter(() => undefined, { quick: true });
    expect(checked.findings).toEqual([]);
    expect((checked.end as { bytes: number }).bytes).toBeLessThan(20 * BLOCK_SIZE);
  });

  test("finds nothing on a running one that is written, sealed and merged meanwhile, and lets writers go on", async () => {
    await inWorld(11, async ({ open }) => {
      const { vault, volumes } = await open();
      await fill({ vault, volumes });
      const web = await volumes.openLive("web");
      let rounds = 0;
      const steps: CheckStep[] = [];
      for await (const step of checkVault(vault, { deep: true })) {
        steps.push(step);
        for (let block = 0; block < 64; block += 16)
          await web.write(block * BLOCK_SIZE, noise(9000 + rounds, 16), false);
        rounds++;
        await web.flush();
        if (rounds % 2 === 0) await vault.seal();
      }
      await web.close();
      expect(rounds).toBeGreaterThan(20);
      expect(vault.sealing.manifest.layers.some((layer) => layer.rank > 0)).toBe(true);
      expect(steps.filter((step) => step.line === "finding")).toEqual([]);
      expect(steps.at(-1)).toMatchObject({ line: "end", findings: 0 });
    });
  });

  test("ends without a last line when its signal is aborted", async () => {
    await inWorld(12, async ({ open }) => {
      const bed = await open();
      await fill(bed);
      const stop = new AbortController();
      const steps: CheckStep[] = [];
      for await (const step of checkVault(bed.vault, { signal: stop.signal })) {
        steps.push(step);
        stop.abort();
      }
      expect(steps).toHaveLength(1);
    });
  });

  test("closes every file that it opens", async () => {
    await inWorld(13, async ({ open, disk }) => {
      const bed = await open();
      await fill(bed);
      await check(bed.vault, { deep: true });
      const before = disk.openFileCount;
      await check(bed.vault, { deep: true });
      await check(bed.vault);
      expect(disk.openFileCount).toBe(before);
    });
  });

  test("refuses a volume that is not there", async () => {
    await inWorld(14, async ({ open }) => {
      const bed = await open();
      await expect(check(bed.vault, { volume: "nobody" })).rejects.toMatchObject({ kind: "not_found" });
    });
  });
});

describe("checkVault() on damaged packs", () => {
  test("names the frame, its offset, the volumes, blocks and LSNs of a flipped bit", async () => {
    // Blocks that do not compress lie in the pack as they are: block 8 of web, which was written once.
    let at = 0;
    const checked = await checkAfter((world) => {
      at = spoilBlock(world, 8);
    });
    expect(kinds(checked)).toEqual(["pack-damaged", "volume-unreadable"]);
    const pack = checked.findings.find((finding) => finding.kind === "pack-damaged")!;
    expect(pack.subject).toBe("pack 1");
    expect(pack.facts).toMatchObject({ pack: 1, volumes: "web,copy" });
    expect(at - Number(pack.facts["offset"])).toBeLessThan(65_536);
    expect(pack.touches).toHaveLength(1);
    expect(pack.touches[0]!.volumes).toEqual(["web", "copy"]);
    const holds = (finding: CheckFinding, block: number): boolean =>
      finding.touches.some(({ ranges }) =>
        ranges.some(({ firstBlock, count }) => block >= firstBlock && block < firstBlock + count),
      );
    expect(holds(pack, 8)).toBe(true);
    expect(holds(pack, 63)).toBe(false);
    expect(pack.touches[0]!.firstLsn).toBeGreaterThan(2);
    // Blocks 0 to 7 were overwritten in the second stretch: now they read, at the bookmark they may not.
    const places = checked.findings.filter((finding) => finding.kind === "volume-unreadable");
    const subjects = ["volume copy", "volume web", "volume web@bookmark:before"];
    expect(places.map((finding) => finding.subject).sort()).toEqual(subjects);
    for (const place of places) expect(holds(place, 8)).toBe(true);
    expect(
      holds(
        places.find((finding) => finding.subject === "volume web")!,
        7,
      ),
    ).toBe(false);
  });

  test("finds the same places of volumes without reading their blocks", async () => {
    const harm = (world: World): void => void spoilBlock(world, 8);
    const deep = await checkAfter(harm, { deep: true });
    const normal = await checkAfter(harm);
    const places = ({ findings }: Checked): unknown[] =>
      findings
        .filter((finding) => finding.kind === "volume-unreadable")
        .map(({ subject, touches }) => [subject, touches]);
    expect(places(normal)).toEqual(places(deep));
  });

  test("keeps silent about other volumes when asked for one", async () => {
    const harm = ({ disk }: World): void => disk.flipBit(pathsOf({ disk } as World, ".pack")[0]!, 100);
    const checked = await checkAfter(harm, { deep: true, volume: "other" });
    expect(checked.findings.filter((finding) => finding.kind === "volume-unreadable")).toEqual([]);
  });

  test("tells a missing pack, and everything that lay in it", async () => {
    const checked = await inWorld(21, async (world) => {
      const bed = await world.open();
      await fill(bed);
      await bed.vault.stop();
      await world.disk.remove(pathsOf(world, ".pack")[0]!);
      const { vault } = await world.open({ readOnly: true });
      return await check(vault, { quick: true });
    });
    const missing = checked.findings.find((finding) => finding.kind === "file-missing")!;
    expect(missing.facts).toMatchObject({ pack: 1 });
    expect(missing.touches.flatMap((touch) => touch.volumes).sort()).toEqual(["copy", "other", "web"]);
    expect(kinds(checked)).toEqual(["file-missing", "volume-unreadable"]);
  });

  test("tells a pack of another size, and one whose directory is damaged", async () => {
    for (const quick of [true, false]) {
      const directory = await checkAfter(
        ({ disk }) => {
          const path = pathsOf({ disk } as World, ".pack")[0]!;
          disk.flipBit(path, disk.peek(path)!.length - 100);
        },
        { quick },
      );
      expect(directory.findings[0]).toMatchObject({ kind: "pack-damaged", subject: "pack 1" });
      const longer = await checkAfter(
        ({ disk }) => {
          const path = pathsOf({ disk } as World, ".pack")[0]!;
          disk.scribble(path, disk.peek(path)!.length, new Uint8Array(10));
        },
        { quick },
      );
      expect(longer.findings[0]).toMatchObject({ kind: "file-size", subject: "pack 1" });
    }
  });
});

describe("checkVault() on a damaged map", () => {
  test("names the layer, the page's offset, and what the index says lies there", async () => {
    const checked = await checkAfter(({ disk }) => disk.flipBit(pathsOf({ disk } as World, ".layer")[0]!, 70));
    const layer = checked.findings.find((finding) => finding.kind === "layer-damaged")!;
    expect(layer.subject).toBe("layer 1");
    expect(layer.facts).toMatchObject({ layer: 1, page: 0 });
    expect(layer.touches[0]!.ranges).toEqual([{ firstBlock: 0, count: 64 }]);
    expect(kinds(checked)).toEqual(["layer-damaged", "volume-unreadable"]);
  });

  test("tells a layer whose index is damaged, and a missing one", async () => {
    const damaged = await checkAfter(({ disk }) => {
      const path = pathsOf({ disk } as World, ".layer")[0]!;
      disk.flipBit(path, disk.peek(path)!.length - 140);
    });
    expect(kinds(damaged)).toContain("layer-damaged");
    const missing = await inWorld(22, async (world) => {
      const bed = await world.open();
      await fill(bed);
      await bed.vault.stop();
      await world.disk.remove(pathsOf(world, ".layer")[1]!);
      const { vault } = await world.open({ readOnly: true });
      return await check(vault);
    });
    expect(kinds(missing)).toEqual(["file-missing", "volume-unreadable"]);
  });

  test("finds a gap between layers, and targets that no pack holds", async () => {
    await inWorld(23, async ({ open }) => {
      const { vault, volumes } = await open();
      await fill({ vault, volumes });
      const { manifest } = vault.sealing;
      expect(manifest.layers.length).toBeGreaterThanOrEqual(2);
      const pretend = (layers: LayerRecord[]): void => {
        Object.defineProperty(vault.sealing, "manifest", { configurable: true, value: { ...manifest, layers } });
      };
      pretend(manifest.layers.slice(1));
      expect(kinds(await check(vault, { quick: true }))).toContain("layers-gap");
      pretend(manifest.layers.slice(0, -1));
      expect(kinds(await check(vault, { quick: true }))).toContain("layers-gap");
      Reflect.deleteProperty(vault.sealing, "manifest");
      const locate = vault.sealing.locate.bind(vault.sealing);
      vault.sealing.locate = (pack) => (pack === 1 ? undefined : locate(pack));
      const unknown = (await check(vault, { quick: true })).findings.find(
        (finding) => finding.kind === "target-unknown",
      )!;
      expect(unknown.facts).toMatchObject({ pack: 1 });
      expect(unknown.touches.flatMap((touch) => touch.volumes)).toContain("web");
      vault.sealing.locate = locate;
    });
  });

  test("tells a damaged chronicle, and that only times are lost", async () => {
    const checked = await checkAfter(({ disk }) => disk.flipBit(pathsOf({ disk } as World, ".chronicle")[0]!, 70));
    expect(only(checked)).toMatchObject({ kind: "chronicle-damaged", subject: "chronicle 1" });
    expect(only(checked).message).toContain("times of LSNs");
  });
});

describe("checkVault() on damaged manifests", () => {
  test("tells the newest one, from which the vault fell back", async () => {
    const checked = await checkAfter(({ disk }) => {
      const manifests = disk.paths().filter((path) => path.includes("/manifest/"));
      disk.flipBit(manifests.at(-1)!, 100);
    });
    expect(kinds(checked)).toContain("manifest-damaged");
  });

  test("tells an older one that is kept, one that is missing, and one of another chain", async () => {
    const manifests = ({ disk }: World): string[] => disk.paths().filter((path) => path.includes("/manifest/"));
    const damaged = await checkAfter(({ disk }) => disk.flipBit(manifests({ disk } as World).at(-2)!, 100));
    expect(only(damaged)).toMatchObject({ kind: "manifest-damaged" });
    const missing = await inWorld(24, async (world) => {
      const bed = await world.open();
      await fill(bed);
      await bed.vault.stop();
      await world.disk.remove(manifests(world).at(-3)!);
      const { vault } = await world.open({ readOnly: true });
      return await check(vault, { quick: true });
    });
    expect(only(missing)).toMatchObject({ kind: "manifest-missing" });
    const forked = await checkAfter(({ disk }) => {
      const path = manifests({ disk } as World).at(-2)!;
      const json = new TextDecoder().decode(disk.peek(path)).slice(65);
      const other = json.replace(/"epoch":\d/, '"epoch":7');
      const hash = new Bun.CryptoHasher("sha256").update(other).digest("hex");
      disk.scribble(path, 0, new TextEncoder().encode(`${hash}\n${other}`));
    });
    expect(kinds(forked)).toEqual(["manifest-chain"]);
  });
});

describe("checkVault() on a damaged journal", () => {
  const journals = ({ disk }: World): string[] => disk.paths().filter((path) => path.endsWith(".journal"));

  test("names what a running vault can no longer read", async () => {
    await inWorld(31, async (world) => {
      const { vault, volumes } = await world.open();
      await fill({ vault, volumes });
      const held = vault.journal.held().at(-1)!;
      // The payload of the unsealed writes: blocks 40 to 43 of web, found by their content.
      const path = journals(world).find((candidate) => candidate.endsWith(held.slot))!;
      const at = Buffer.from(world.disk.peek(path)!).indexOf(Buffer.from(noise(541, 1)));
      expect(at).toBeGreaterThan(0);
      world.disk.flipBit(path, at + 5);
      const checked = await check(vault);
      const journal = checked.findings.find((finding) => finding.kind === "journal-damaged")!;
      expect(journal.touches).toHaveLength(1);
      expect(journal.touches[0]).toMatchObject({ volumes: ["web"], ranges: [{ firstBlock: 41, count: 1 }] });
      const deep = await check(vault, { deep: true });
      expect(kinds(deep)).toEqual(["journal-damaged", "volume-unreadable"]);
      world.disk.flipBit(path, at + 5);
      expect((await check(vault, { deep: true })).findings).toEqual([]);
    });
  });

  test("tells where recovery of a stopped vault had to stop", async () => {
    const checked = await checkAfter((world, vault) => {
      const held = vault.journal.held().at(-1)!;
      const path = journals(world).find((candidate) => candidate.endsWith(held.slot))!;
      const at = Buffer.from(world.disk.peek(path)!).indexOf(Buffer.from(noise(540, 1)));
      world.disk.flipBit(path, at);
    });
    const journal = checked.findings.find((finding) => finding.kind === "journal-damaged")!;
    expect(journal.message).toContain("cannot be read");
  });
});
