/**
 * What is proved of a merge, a thinning or an image before what they replace goes, beside the xor over their entries (layer-merge.ts, thin.ts). Each of
 * the three finds by itself what the others would let pass:
 *
 * - The xor compares entries: none lost, added or altered between what was read and what was written.
 * - *Tiling* compares what the layers say of themselves: the deltas still speak for every LSN that they spoke for, without a gap or an overlap.
 * - *Sampled reads* compare what readers get to see: at a sample of places, needed moments read through the published file as they did before.
 */
import { SternwayError } from "../../base/errors.ts";
import { emptyResolution, LEVEL_SHIFT, type Resolution } from "../map.ts";
import type { StrandNeeds } from "../needs.ts";
import { isNeeded } from "../needs.ts";
import type { EntryRun } from "./layer-writer.ts";
import type { LayerMeta } from "./layer-format.ts";
import type { RunSink } from "./layer-merge.ts";
import type { LayerReader } from "./layer-reader.ts";
import { breatheAfter, type Breathe } from "./breathe.ts";

/** Places looked at; about half as many when few entries came. */
const SAMPLES_MAX = 32;
/** Needed points on each side of an entry that are tried. */
const POINTS_TRIED = 2;
/** What opening a page of one layer counts for, in entries passed. */
const LOOK_ENTRIES = 1024;

/**
 * @param before - the deltas of the manifest that counts, oldest first @param after - of the one that is to replace it
 * @throws internal: they do not speak for the same LSNs without a gap
 */
export function checkTiling(before: readonly LayerMeta[], after: readonly LayerMeta[]): void {
  const fail = (why: string, lsn: number): never => {
    throw new SternwayError("internal", `the deltas would not tile history: ${why}`, { lsn });
  };
  const [first] = before;
  const last = before.at(-1);
  for (const [i, { id, firstLsn, lastLsn }] of after.entries()) {
    const expected = i === 0 ? (first?.firstLsn ?? firstLsn) : after[i - 1]!.lastLsn + 1;
    if (firstLsn !== expected) fail(`layer ${id} begins at LSN ${firstLsn} instead of ${expected}`, expected);
    if (lastLsn < firstLsn) fail(`layer ${id} ends before it begins`, firstLsn);
  }
  const end = after.at(-1)?.lastLsn;
  if (last && end !== last.lastLsn) fail(`they end at LSN ${end ?? "none"} instead of ${last.lastLsn}`, last.lastLsn);
}

interface Sample {
  strand: number;
  block: number;
  lsn: number;
}

/** A sample of the entries that pass, spread evenly over them. */
export class PlaceSample {
  readonly #samples: Sample[] = [];
  #stride = 1;
  #passed = 0;

  /** Entries `[from, to)` pass. */
  note(run: EntryRun, from: number, to: number): void {
    const skipped = (this.#stride - (this.#passed % this.#stride)) % this.#stride;
    for (let at = from + skipped; at < to; at += this.#stride) {
      const block = run.index[at]! * 2 ** LEVEL_SHIFT[run.level];
      this.#samples.push({ strand: run.strand, block, lsn: run.lsn[at]! });
      if (this.#samples.length === SAMPLES_MAX) {
        this.#thinOut();
        // Where the entry after this one stands in the new stride.
        this.#passed += at + 1 - from;
        this.note(run, at + 1, to);
        return;
      }
    }
    this.#passed += to - from;
  }

  get samples(): readonly Sample[] {
    return this.#samples;
  }

  /** A sink that notes what passes on its way to another. */
  before(sink: RunSink): RunSink {
    return {
      appendRun: (run, from, to) => {
        this.note(run, from, to);
        return sink.appendRun(run, from, to);
      },
    };
  }

  #thinOut(): void {
    for (let i = 0; i < SAMPLES_MAX / 2; i++) this.#samples[i] = this.#samples[i * 2]!;
    this.#samples.length = SAMPLES_MAX / 2;
    this.#stride *= 2;
  }
}

export interface ReadProof {
  sample: PlaceSample;
  /** What was merged, oldest first, and what came of it. */
  inputs: readonly LayerReader[];
  output: LayerReader;
  /** Deltas behind them. */
  after: readonly LayerReader[];
  /** By strand; undefined: every moment is needed. */
  needs: ReadonlyMap<number, StrandNeeds> | undefined;
  breathe?: Breathe | undefined;
}

/** @throws internal: a needed moment would read otherwise than before; corrupt: a damaged layer */
export async function checkReads({ sample, inputs, output, after, needs, breathe }: ReadProof): Promise<void> {
  const before = [...inputs, ...after];
  const now = [output, ...after];
  for (const { strand, block, lsn } of sample.samples) {
    for (const moment of momentsAround(lsn, output.meta, needs?.get(strand))) {
      if (needs && !isNeeded(needs.get(strand), moment, moment + 1)) continue;
      const expected = await readOf(before, strand, block, moment);
      const actual = await readOf(now, strand, block, moment);
      if (expected.lsn[0] === actual.lsn[0] && expected.target[0] === actual.target[0]) continue;
      const message = `layer ${output.meta.id} would read otherwise than what it replaces: block ${block} of strand ${strand} at LSN ${moment}`;
      throw new SternwayError("internal", message, { layer: output.meta.id, strand, block, lsn: moment });
    }
    await breatheAfter(breathe, LOOK_ENTRIES * (before.length + 1));
  }
}

/** Moments worth trying for an entry: its own, the one before, the layer's last, the newest, and needed ones nearby. */
function momentsAround(lsn: number, { firstLsn, lastLsn }: LayerMeta, needs: StrandNeeds | undefined): Set<number> {
  const moments = new Set([lsn, lastLsn, Number.MAX_SAFE_INTEGER]);
  if (lsn > firstLsn) moments.add(lsn - 1);
  if (needs) {
    const next = needs.points.findIndex((point) => point >= lsn);
    const from = next < 0 ? needs.points.length : next;
    for (const point of needs.points.slice(Math.max(0, from - POINTS_TRIED), from + POINTS_TRIED)) moments.add(point);
    if (Number.isFinite(needs.from)) moments.add(needs.from);
  }
  return moments;
}

async function readOf(
  layers: readonly LayerReader[],
  strand: number,
  block: number,
  moment: number,
): Promise<Resolution> {
  const found = emptyResolution(block, 1);
  for (const layer of layers.toReversed()) {
    const pending = layer.collect(strand, found, moment);
    if (pending) await pending;
  }
  return found;
}
