import { describe, expect, test } from "bun:test";
import type { WritableDevice } from "../../../../src/base/device.ts";
import type { Disk } from "../../../../src/base/disk.ts";
import { SternwayError } from "../../../../src/base/errors.ts";
import { BLOCK_SIZE } from "../../../../src/base/units.ts";
import { MERGE_DEBT_MAX, MERGE_OVERDUE } from "../../../../src/vault/layers/merge-policy.ts";
import type { VaultOptions } from "../../../../src/vault/open-vault.ts";
import { SEALS_BEFORE_ORDER_MAX } from "../../../../src/vault/sealing/orders.ts";
import { inlineSealer, type SealerRunner } from "../../../../src/vault/sealing/sealer-runner.ts";
import type { SealerOptions, SealerRequest, SealerResult } from "../../../../src/vault/sealing/sealer-requests.ts";
import { type Bed } from "../../../support/vault-bed.ts";
import { blockOf, inWorld, type World } from "../../../support/world.ts";

const MIB = 2 ** 20;

interface Watched {
  /** Kinds of requests, in the order in which they were asked for. */
  asked: string[];
  /** Called before each request is carried out; may throw instead of it. */
  before: (request: SealerRequest) => Promise<void> | void;
  /** Called with each answer; returns the one to give. */
  after: (request: SealerRequest, answer: unknown) => unknown;
}

/** A vault with a volume `a`, whose sealer is watched. */
function story(
  seed: number,
  options: Partial<VaultOptions>,
  tell: (story: World & { bed: Bed; device: WritableDevice; watched: Watched }) => Promise<void>,
): Promise<void> {
  return inWorld(seed, async (world) => {
    const watched: Watched = { asked: [], before: () => undefined, after: (_, answer) => answer };
    const sealer = (disk: Disk, sealerOptions: SealerOptions): SealerRunner => {
      const inner = inlineSealer(disk, sealerOptions);
      return {
        async run<Request extends SealerRequest>(request: Request): Promise<SealerResult<Request>> {
          watched.asked.push(request.kind);
          await watched.before(request);
          return watched.after(request, await inner.run(request)) as SealerResult<Request>;
        },
        stop: () => inner.stop(),
      };
    };
    const bed = await world.open({ journalFilesMax: 16, sealer, ...options });
    await bed.volumes.create("a", 64 * MIB);
    const device = await bed.volumes.openLive("a");
    await bed.vault.seal();
    await tell({ ...world, bed, device, watched });
    await device.close();
  });
}

/** One stretch of so many scattered blocks; does not wait until it is sealed. */
async function stretch(bed: Bed, device: WritableDevice, round: number, blocks = 4): Promise<void> {
  for (let i = 0; i < blocks; i++)
    await device.write(((round * 7 + i * 31) % 8000) * BLOCK_SIZE, blockOf(round), false);
  await device.flush();
  bed.vault.journal.rotate();
}

const deltasOf = (bed: Bed): number =>
  bed.vault.sealing.manifest.layers.filter((layer) => layer.kind === "delta").length;

const unavailable = (): SternwayError => new SternwayError("unavailable", "planted");

describe("Sealing with long work on layers", () => {
  test("seals stretches between the slices of a merge, under numbers of their own, and reads back the same", () =>
    story(1, { sliceEntries: 64 }, async ({ bed, device, watched }) => {
      let sealedBetween = 0;
      let slices = 0;
      let round = 0;
      watched.before = async ({ kind }) => {
        if (kind !== "layers-more" || round < 16 || sealedBetween > 3) return;
        slices++;
        // A stretch comes in during each slice.
        if (slices % 2 === 0) await stretch(bed, device, round++, 40);
        if (watched.asked.at(-2) === "seal") sealedBetween++;
      };
      while (round < 16) await stretch(bed, device, round++, 40);
      await bed.vault.seal();
      expect(sealedBetween).toBeGreaterThan(2);
      const ids = bed.vault.sealing.manifest.layers.map((layer) => layer.id);
      expect(new Set(ids).size).toBe(ids.length);
      for (let i = 0; i < 40; i++) {
        const place = ((round - 1) * 7 + i * 31) % 8000;
        expect(await device.read(place * BLOCK_SIZE, BLOCK_SIZE)).toEqual(blockOf(round - 1));
      }
      await bed.vault.stop();
    }));

  test("gives a merge up when the vault stops, and begins it anew at the next open", () =>
    story(2, { sliceEntries: 32 }, async ({ bed, device, watched, open, disk }) => {
      let stopped: Promise<void> | undefined;
      watched.before = ({ kind }) => {
        if (kind === "layers-more") stopped ??= bed.vault.stop();
      };
      for (let round = 0; round < 20 && !stopped; round++) {
        await stretch(bed, device, round, 40);
        await bed.vault.sealing.idle();
      }
      await stopped;
      expect(stopped).toBeDefined();
      expect(disk.paths().filter((path) => path.endsWith(".layer.tmp"))).toEqual([]);
      watched.before = () => undefined;
      const again = await open();
      await again.vault.seal();
      expect(deltasOf(again)).toBeLessThan(8);
      await again.vault.stop();
    }));

  test("does a small merge before a large one goes on", () =>
    story(3, { sliceEntries: 64, imageEntriesMin: 1e9 }, async ({ bed, device, watched }) => {
      const ranks: number[] = [];
      const began: number[] = [];
      let round = 0;
      watched.before = async (request) => {
        if (request.kind === "merge") began.push(request.rank);
        // While the merge of the merged is under way, more than enough stretches come in for a small one.
        if (request.kind === "layers-more" && began.at(-1) === 2 && round < 80) {
          for (let i = 0; i < 8; i++) await stretch(bed, device, round++, 8);
        }
      };
      watched.after = (request, answer) => {
        const done = answer as { outcome?: { record?: { rank: number } } } | undefined;
        if (request.kind === "layers-more" && done?.outcome?.record) ranks.push(done.outcome.record.rank);
        return answer;
      };
      for (; round < 64; round++) {
        await stretch(bed, device, round, 8);
        await bed.vault.sealing.idle();
      }
      await bed.vault.seal();
      const large = ranks.indexOf(2);
      // Eight small ones made the large one due; others were done before it was.
      expect(ranks.slice(0, large).filter((rank) => rank === 1).length).toBeGreaterThan(8);
      expect(began.indexOf(2)).toBeLessThan(began.lastIndexOf(1));
      await bed.vault.stop();
    }));

  test("keeps merges to their rate while clients write, and hurries when they are overdue", () =>
    story(4, { sliceEntries: 32, mergeBytesPerSecond: 1000 }, async ({ bed, device, watched, sim }) => {
      const times: number[] = [];
      watched.before = async ({ kind }) => {
        if (kind !== "layers-more") return;
        times.push(sim.clock.monotonic());
        await device.write(0, blockOf(times.length), false);
      };
      for (let round = 0; round < 8; round++) await stretch(bed, device, round, 40);
      await bed.vault.seal();
      const gaps = times.slice(1).map((time, i) => time - times[i]!);
      expect(gaps.length).toBeGreaterThan(4);
      // 32 entries of some bytes each, at 1,000 bytes a second.
      expect(Math.min(...gaps.slice(1, -1))).toBeGreaterThan(100_000);
      await bed.vault.stop();
    }));

  test("does not publish an image when something it may name was dropped while it was made", () =>
    story(6, { sliceEntries: 64, imageEntriesMin: 200 }, async ({ bed, device, watched, sim }) => {
      let image: number | undefined;
      let horizonLsn = 0;
      let round = 0;
      watched.before = async (request) => {
        if (request.kind === "image" && image === undefined) {
          image = request.layer;
          horizonLsn = request.lastLsn;
        }
        if (request.kind !== "layers-more" || image === undefined || round >= 24) return;
        // What came before the image is let go, and merged while it is under way.
        await stretch(bed, device, 0, 40);
        if (round++ > 0) return;
        void bed.vault.mark(() => ({ kind: "thinned", volume: 1, horizonLsn, points: [], time: sim.clock.wall() }));
      };
      for (let i = 0; image === undefined && i < 20; i++) {
        await stretch(bed, device, 0, 40);
        await bed.vault.seal();
      }
      await bed.vault.seal();
      expect(image).toBeDefined();
      const images = bed.vault.sealing.manifest.layers.filter((layer) => layer.kind === "image");
      expect(images.map(({ id }) => id)).not.toContain(image!);
      expect(watched.asked.filter((kind) => kind === "image").length).toBeGreaterThan(1);
      await bed.vault.stop();
    }));

  test("refuses a layer that leaves a gap in history, keeps what it would have replaced, and merges the rest", () =>
    story(5, {}, async ({ bed, device, watched, sim }) => {
      let planted = 0;
      watched.after = (request, answer) => {
        const done = answer as { outcome?: { record?: { firstLsn: number } } } | undefined;
        if (request.kind === "layers-more" && done?.outcome?.record && planted++ === 0) done.outcome.record.firstLsn++;
        return answer;
      };
      for (let round = 0; round < 20; round++) await stretch(bed, device, round, 4);
      await bed.vault.seal();
      while (bed.vault.sealing.lastTrouble) await sim.clock.sleep(1000);
      await bed.vault.seal();
      expect(planted).toBeGreaterThan(1);
      const deltas = bed.vault.sealing.manifest.layers.filter((layer) => layer.kind === "delta");
      for (const [i, { firstLsn }] of deltas.entries()) expect(firstLsn).toBe(i === 0 ? 1 : deltas[i - 1]!.lastLsn + 1);
      expect(await device.read(((19 * 7) % 8000) * BLOCK_SIZE, BLOCK_SIZE)).toEqual(blockOf(19));
      await bed.vault.stop();
    }));
});

describe("Sealing's order of steps", () => {
  test("gives a step that was asked for its turn after a few stretches, under writes that never let up", () =>
    story(10, {}, async ({ bed, device, watched }) => {
      let turn = -1;
      let seals = 0;
      let round = 0;
      let asked: Promise<void> | undefined;
      watched.before = async ({ kind }) => {
        if (kind !== "seal" || round > 40) return;
        // There is always a next stretch.
        await stretch(bed, device, round++);
        if (round < 4) return;
        seals++;
        asked ??= bed.vault.sealing.perform(() => {
          turn = seals;
          return Promise.resolve(undefined);
        });
      };
      await stretch(bed, device, round++);
      await bed.vault.seal();
      await asked;
      expect(turn).toBeGreaterThan(0);
      expect(turn).toBeLessThanOrEqual(SEALS_BEFORE_ORDER_MAX + 1);
      await bed.vault.stop();
    }));

  test("merges that are overdue go before stretches that wait, slice by slice", () =>
    story(11, { journalFilesMax: 32 }, async ({ bed, device, watched }) => {
      const most: number[] = [];
      let round = 0;
      let between = 0;
      watched.before = async ({ kind }) => {
        most.push(deltasOf(bed));
        if (kind === "seal" && round < 80) await stretch(bed, device, round++);
        if (kind === "layers-more" && bed.vault.sealing.backlog > 0) between++;
      };
      await stretch(bed, device, round++);
      await stretch(bed, device, round++);
      await bed.vault.seal();
      expect(between).toBeGreaterThan(5);
      // Sixteen of a rank, of at most three ranks.
      expect(Math.max(...most)).toBeLessThanOrEqual(3 * MERGE_OVERDUE);
      await bed.vault.stop();
    }));

  test("layers per read stay bounded when nothing is ever merged: less work, slower writes, then none", () =>
    story(12, { journalFilesMax: 8 }, async ({ bed, device, watched, sim }) => {
      watched.before = ({ kind }) => {
        if (kind === "layers-more") throw unavailable();
      };
      const { pressure } = bed.vault.parts;
      const seen: string[] = [];
      let round = 0;
      let refused: unknown;
      while (refused === undefined && round < 400) {
        await stretch(bed, device, round++).catch((error: unknown) => (refused = error));
        while (bed.vault.sealing.backlog > 0 && bed.vault.sealing.mergeDebt < 1) await sim.clock.sleep(50);
        const state = `${pressure.effort}${pressure.isSlowing ? " slow" : ""}`;
        if (seen.at(-1) !== state) seen.push(state);
      }
      expect(seen).toEqual(["full", "raw", "raw slow"]);
      expect(refused).toMatchObject({ kind: "unavailable" });
      expect(deltasOf(bed)).toBeLessThanOrEqual(MERGE_DEBT_MAX);
      expect(bed.vault.sealing.manifest.chronicles.length).toBeLessThanOrEqual(MERGE_DEBT_MAX);
      // What was answered is there, and when merging works again, so does everything.
      watched.before = () => undefined;
      while (bed.vault.sealing.backlog > 0 || bed.vault.sealing.lastTrouble) await sim.clock.sleep(1000);
      await stretch(bed, device, 1000);
      await bed.vault.seal();
      expect(deltasOf(bed)).toBeLessThan(MERGE_OVERDUE);
      expect(pressure.isSlowing).toBe(false);
      await bed.vault.stop();
    }));

  test("a damaged layer is left aside: all others are merged and everything goes on being sealed", () =>
    story(13, { sliceEntries: 64 }, async ({ bed, device, watched }) => {
      let damaged: number | undefined;
      watched.before = (request) => {
        if (request.kind === "merge") damaged ??= request.inputs[3]!.id;
        if (request.kind === "merge" && request.inputs.some(({ id }) => id === damaged)) failing.add(request.work);
        if (request.kind === "layers-more" && failing.has(request.work))
          throw new SternwayError("corrupt", "planted", { layer: damaged! });
      };
      const failing = new Set<number>();
      for (let round = 0; round < 120; round++) {
        await stretch(bed, device, round);
        await bed.vault.seal();
      }
      expect(failing.size).toBe(1);
      expect(bed.vault.sealing.manifest.layers.some(({ id }) => id === damaged)).toBe(true);
      expect(deltasOf(bed)).toBeLessThan(3 * MERGE_OVERDUE);
      await bed.vault.stop();
    }));
});
