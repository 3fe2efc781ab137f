/**
 * The check of the map: layers that follow one another up to the sealed LSN, each readable to its last entry, every target a block that
 * some pack holds (laws 2 and 5). Walked a second time, for what points to damaged packs, only when there are any.
 */
import { errorText, SternwayError } from "../../base/errors.ts";
import { checkFile } from "./check-files.ts";
import type { Suspects } from "./check-packs.ts";
import { onlyDamage, Touched, type CheckRun, type CheckStep } from "./check-report.ts";
import { EntryMix, type LayerPage, type LayerPageBounds } from "../layers/layer-format.ts";
import { openLayer, type LayerReader } from "../layers/layer-reader.ts";
import type { LayerRecord } from "../manifest.ts";
import { LEVEL_SHIFT, packOf, SHARD_BLOCKS, slotOf, TARGET_ADDRESS_MIN, type Level } from "../map.ts";
import { PageCache } from "../files/page-cache.ts";
import { layerPath } from "../paths.ts";

const subjectOf = (record: LayerRecord): string => `${record.kind === "image" ? "image" : "layer"} ${record.id}`;

/** @param packs - filled with the packs that the entries of the wanted strands point to */
export async function* checkLayers(run: CheckRun, packs: Set<number>): AsyncGenerator<CheckStep> {
  yield* checkTiling(run);
  const records = wantedLayers(run);
  for (const [done, record] of records.entries()) {
    yield { line: "progress", what: "layers", done, total: records.length };
    run.objects++;
    yield* checkLayer(run, record, packs);
  }
}

/** Finds the entries that point to suspects, and notes their places there. */
export async function* traceSuspects(run: CheckRun, suspects: Suspects): AsyncGenerator<CheckStep> {
  if (suspects.isEmpty) return;
  const records = wantedLayers(run);
  for (const [done, record] of records.entries()) {
    yield { line: "progress", what: "layers that point to damage", done, total: records.length };
    const reader = await open(run, record).catch(onlyDamage);
    if (reader instanceof SternwayError) {
      suspects.isWhole = false;
      continue;
    }
    try {
      for await (const { page } of reader.inspect()) {
        if (page instanceof SternwayError) {
          suspects.isWhole = false;
          continue;
        }
        if (!isWanted(run, page.strand) || page.level > 0) continue;
        for (let i = 0; i < page.length; i++) {
          const target = page.target[i]!;
          if (target < TARGET_ADDRESS_MIN) continue;
          suspects.trace(target, page.strand, page.index[i]!, page.lsn[i]!);
        }
      }
    } finally {
      await reader.close();
    }
  }
}

function* checkTiling(run: CheckRun): Generator<CheckStep> {
  const { layers, sealed } = run.vault.sealing.manifest;
  let next = 1;
  for (const record of layers) {
    if (record.kind !== "delta") continue;
    if (record.firstLsn !== next || record.lastLsn < record.firstLsn || record.lastLsn > sealed.lsn) {
      const message = `it speaks for LSNs ${record.firstLsn} to ${record.lastLsn}, but ${next} is next and ${sealed.lsn} the last sealed`;
      yield run.finding("layers-gap", subjectOf(record), message, {
        layer: record.id,
        firstLsn: next,
        lastLsn: record.firstLsn - 1,
      });
    }
    next = record.lastLsn + 1;
  }
}

const isWanted = (run: CheckRun, strand: number): boolean => run.strands?.has(strand) ?? true;

function wantedLayers(run: CheckRun): LayerRecord[] {
  return run.vault.sealing.manifest.layers.filter((record) =>
    record.shards.some(({ strand }) => isWanted(run, strand)),
  );
}

function open(run: CheckRun, record: LayerRecord): Promise<LayerReader> {
  const { disk, dir, identity } = run.vault.parts;
  // A reader of its own and no cache: nothing is pinned or pushed out, and what is read is what the disk holds now.
  const cache = new PageCache<LayerPage>(0);
  const { id: vaultId, cipher } = identity;
  return openLayer({ disk, path: `${dir}/${layerPath(record.id)}`, vaultId, cipher, meta: record, cache });
}

/** One layer, from its first page to its last, then the file as a whole. */
export async function* checkLayer(run: CheckRun, record: LayerRecord, packs: Set<number>): AsyncGenerator<CheckStep> {
  const { sealing, parts } = run.vault;
  const path = `${parts.dir}/${layerPath(record.id)}`;
  const subject = subjectOf(record);
  const facts = { file: path, layer: record.id };
  // Merged away while we looked: its successor was or will be checked in its stead by the next check.
  const isGone = (): boolean => !sealing.manifest.layers.some((layer) => layer.id === record.id);
  const reader = await open(run, record).catch(onlyDamage);
  if (reader instanceof SternwayError) {
    if (isGone()) return;
    const file = await checkFile(run, path, record.sizeBytes, record.checksum, true);
    const message = file?.message ?? errorText(reader);
    yield run.finding(
      file?.kind ?? "layer-damaged",
      subject,
      message,
      { ...reader.facts, ...facts },
      touchedByAll(record),
    );
    return;
  }
  let isSound = true;
  const mix = new EntryMix();
  const unknown = new Map<number, Touched>();
  try {
    for await (const { bounds, page } of reader.inspect()) {
      if (!(page instanceof SternwayError)) {
        mix.add(page);
        noteTargets(run, page, packs, unknown);
        continue;
      }
      const error = onlyDamage(page);
      isSound = false;
      yield run.finding(
        "layer-damaged",
        subject,
        errorText(error),
        { ...error.facts, ...facts },
        touchedByPage(bounds),
      );
    }
  } finally {
    await reader.close();
  }
  for (const [pack, touched] of unknown) {
    yield run.finding(
      "target-unknown",
      subject,
      `it points to slots of pack ${pack} that do not exist`,
      { ...facts, pack },
      touched,
    );
  }
  if (isSound && mix.hex() !== record.xor) {
    const message = `its entries give xor ${mix.hex()}, the manifest says ${record.xor}`;
    yield run.finding("layer-damaged", subject, message, facts, touchedByAll(record));
    return;
  }
  const file = isSound ? await checkFile(run, path, record.sizeBytes, record.checksum, false) : undefined;
  if (file && !isGone()) yield run.finding(file.kind, subject, file.message, facts, touchedByAll(record));
}

/** Compares targets with the packs that the manifest names now: it may have come to name more, never fewer that count. */
function noteTargets(run: CheckRun, page: LayerPage, packs: Set<number>, unknown: Map<number, Touched>): void {
  if (page.level > 0) return;
  const collects = run.strands?.has(page.strand) === true;
  for (let i = 0; i < page.length; i++) {
    const target = page.target[i]!;
    if (target < TARGET_ADDRESS_MIN) continue;
    const pack = packOf(target);
    if (collects) packs.add(pack);
    const record = run.vault.sealing.locate(pack);
    if (record && slotOf(target) < record.slots) continue;
    let touched = unknown.get(pack);
    // Bounded: a layer that points to a thousand unknown packs is told by its first ones.
    if (!touched && unknown.size < 100) unknown.set(pack, (touched = new Touched()));
    touched?.add(page.strand, page.index[i]!, 1, page.lsn[i]!);
  }
}

function touchedByPage({ strand, level, firstIndex, lastIndex, minLsn, maxLsn }: LayerPageBounds): Touched {
  const blocks = 2 ** LEVEL_SHIFT[level as Level];
  const touched = new Touched();
  touched.add(strand, firstIndex * blocks, (lastIndex - firstIndex + 1) * blocks, minLsn, maxLsn);
  return touched;
}

/** Everything that the manifest says a layer may hold. */
function touchedByAll(record: LayerRecord): Touched {
  const touched = new Touched();
  for (const { strand, shards } of record.shards) {
    for (const shard of shards)
      touched.add(strand, shard * SHARD_BLOCKS, SHARD_BLOCKS, Math.max(1, record.firstLsn), record.lastLsn);
  }
  return touched;
}
