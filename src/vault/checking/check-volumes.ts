/**
 * The check of volumes at moments that people can name, now and their bookmarks: the map resolves there, nothing there lies in a damaged place,
 * and (deep) every block reads by the way that clients take. Reads pin what they need for one piece at a time, so that a long check
 * holds no journal file back.
 */
import { errorText, type SternwayError } from "../../base/errors.ts";
import { BLOCK_SIZE, lsn, type Lsn } from "../../base/units.ts";
import type { Suspects } from "./check-packs.ts";
import { onlyDamage, Touched, type CheckRun, type CheckStep } from "./check-report.ts";
import { SHARD_BLOCKS, TARGET_ADDRESS_MIN, TARGET_ZERO, type Resolution } from "../map.ts";
import { sizeAt, strandAt, type VolumeRecord } from "../registry.ts";
import { READ_BLOCKS_MAX } from "../vault.ts";

/** A window that does not resolve is narrowed down to this many blocks. */
const NARROW_BLOCKS = 64;
const READ_BLOCKS = 256;

export async function* checkVolumes(run: CheckRun, suspects: Suspects): AsyncGenerator<CheckStep> {
  const { vault, options } = run;
  for (const volume of vault.registry.volumes()) {
    if (options.volume !== undefined && volume.name !== options.volume) continue;
    const moments = new Map<number, string>();
    for (const bookmark of volume.bookmarks) moments.set(bookmark.lsn, `${volume.name}@bookmark:${bookmark.name}`);
    moments.set(vault.lastLsn, volume.name);
    for (const [at, name] of moments) {
      run.objects++;
      yield* checkMoment(run, volume, lsn(at), name, suspects);
    }
  }
}

async function* checkMoment(
  run: CheckRun,
  volume: VolumeRecord,
  at: Lsn,
  name: string,
  suspects: Suspects,
): AsyncGenerator<CheckStep> {
  const strand = strandAt(volume, at);
  if (strand === undefined) return;
  const blocks = Math.ceil(sizeAt(volume, at) / BLOCK_SIZE);
  const bad = new BadBlocks();
  const shards = [...run.vault.shardsOf(strand, at)].sort((a, b) => a - b);
  for (const shard of shards) {
    const end = Math.min(blocks, (shard + 1) * SHARD_BLOCKS);
    for (let block = shard * SHARD_BLOCKS; block < end; block += READ_BLOCKS_MAX) {
      yield { line: "progress", what: name, done: block, total: blocks };
      if (run.options.signal?.aborted === true) return;
      const count = Math.min(READ_BLOCKS_MAX, end - block);
      await checkWindow(run, strand, at, block, count, suspects, bad);
    }
  }
  if (bad.count === 0) return;
  const touched = new Touched();
  for (const { start, end } of bad.ranges) touched.add(strand, start, end - start, bad.firstLsn, at);
  const message = `${bad.count} blocks cannot be read as of LSN ${at}: ${bad.why}`;
  yield run.finding(
    "volume-unreadable",
    `volume ${name}`,
    message,
    { volume: volume.name, lsn: at, blocks: bad.count },
    touched,
  );
}

/** Blocks that cannot be read, merged; bounded by {@link Touched}, and by merging in order. */
class BadBlocks {
  readonly ranges: { start: number; end: number }[] = [];
  count = 0;
  firstLsn = Number.MAX_SAFE_INTEGER;
  why = "";

  add(block: number, count: number, writtenLsn: number, why: string): void {
    this.count += count;
    this.firstLsn = Math.min(this.firstLsn, Math.max(1, writtenLsn));
    if (this.why === "") this.why = why;
    const last = this.ranges.at(-1);
    if (last && (last.end === block || this.ranges.length === 1_000)) last.end = block + count;
    else this.ranges.push({ start: block, end: block + count });
  }
}

async function checkWindow(
  run: CheckRun,
  strand: number,
  at: Lsn,
  block: number,
  count: number,
  suspects: Suspects,
  bad: BadBlocks,
): Promise<void> {
  const found = await run.vault.resolve(strand, at, block, count).catch(onlyDamage);
  if (!("target" in found)) {
    if (count <= NARROW_BLOCKS) return bad.add(block, count, at, errorText(found));
    const half = Math.ceil(count / 2);
    await checkWindow(run, strand, at, block, half, suspects, bad);
    await checkWindow(run, strand, at, block + half, count - half, suspects, bad);
    return;
  }
  if (run.options.deep === true && run.options.quick !== true) return await readWindow(run, strand, at, found, bad);
  for (let i = 0; i < count; i++) {
    if (found.target[i]! < TARGET_ADDRESS_MIN) continue;
    const suspect = suspects.of(found.target[i]!);
    if (suspect) bad.add(block + i, 1, found.lsn[i]!, suspect.message);
  }
}

/** Reads what holds bytes, in pieces; where one fails, block by block. */
async function readWindow(run: CheckRun, strand: number, at: Lsn, found: Resolution, bad: BadBlocks): Promise<void> {
  const holdsBytes = (i: number): boolean => found.target[i]! < 0 || found.target[i]! > TARGET_ZERO;
  for (let i = 0; i < found.count;) {
    if (!holdsBytes(i)) {
      i++;
      continue;
    }
    let end = i + 1;
    while (end < found.count && end - i < READ_BLOCKS && holdsBytes(end)) end++;
    const error = await readError(run, strand, at, found.firstBlock + i, end - i);
    run.bytes += (end - i) * BLOCK_SIZE;
    for (let one = i; error && one < end; one++) {
      const own = await readError(run, strand, at, found.firstBlock + one, 1);
      if (own) bad.add(found.firstBlock + one, 1, found.lsn[one]!, errorText(own));
    }
    i = end;
  }
}

async function readError(
  run: CheckRun,
  strand: number,
  at: Lsn,
  block: number,
  count: number,
): Promise<SternwayError | undefined> {
  const into = new Uint8Array(count * BLOCK_SIZE);
  return await run.vault.read(strand, at, block, into).then(() => undefined, onlyDamage);
}
