/**
 * The check of chronicles: what dates every sealed LSN. They lose no block when damaged, but times and timelines.
 */
import { errorText, SternwayError } from "../../base/errors.ts";
import { checkFile } from "./check-files.ts";
import { isDamage, onlyDamage, type CheckRun, type CheckStep } from "./check-report.ts";
import type { ChroniclePage } from "../chronicles/chronicle-format.ts";
import { openChronicle } from "../chronicles/chronicle-reader.ts";
import type { ChronicleRecord } from "../manifest.ts";
import { PageCache } from "../files/page-cache.ts";
import { chroniclePath } from "../paths.ts";

export async function* checkChronicles(run: CheckRun): AsyncGenerator<CheckStep> {
  const { chronicles, layers, sealed } = run.vault.sealing.manifest;
  const lastDelta = layers.findLast((layer) => layer.kind === "delta")?.lastLsn ?? 0;
  let next = 1;
  for (const [done, record] of chronicles.entries()) {
    yield { line: "progress", what: "chronicles", done, total: chronicles.length };
    run.objects++;
    if (record.firstLsn !== next || record.lastLsn < record.firstLsn || record.lastLsn > sealed.lsn) {
      const message = `it dates LSNs ${record.firstLsn} to ${record.lastLsn}, but ${next} is next and ${sealed.lsn} the last sealed`;
      yield run.finding("chronicles-gap", `chronicle ${record.id}`, message, { chronicle: record.id });
    }
    next = record.lastLsn + 1;
    yield* checkChronicle(run, record, lastDelta);
  }
}

/** One chronicle. @param lastDelta - up to which LSN the layers speak */
export async function* checkChronicle(
  run: CheckRun,
  record: ChronicleRecord,
  lastDelta: number,
): AsyncGenerator<CheckStep> {
  const { parts, sealing } = run.vault;
  const path = `${parts.dir}/${chroniclePath(record.id)}`;
  const subject = `chronicle ${record.id}`;
  const facts = { file: path, chronicle: record.id };
  const dates = `; times of LSNs ${record.firstLsn} to ${record.lastLsn} cannot be told`;
  const isGone = (): boolean => !sealing.manifest.chronicles.some((chronicle) => chronicle.id === record.id);
  let isSound = true;
  try {
    const cache = new PageCache<ChroniclePage>(0);
    const { id: vaultId, cipher } = parts.identity;
    const reader = await openChronicle({ disk: parts.disk, path, vaultId, cipher, meta: record, cache });
    try {
      for await (const { info, rows } of reader.inspect()) {
        if (rows instanceof SternwayError) {
          const error = onlyDamage(rows);
          isSound = false;
          const message = `${errorText(error)}; times of LSNs ${info.firstLsn} to ${info.lastLsn} cannot be told`;
          yield run.finding("chronicle-damaged", subject, message, { ...error.facts, ...facts });
          continue;
        }
        // A write that no layer speaks for: its stretch was sealed without its map.
        const lost = rows.find((row) => row.writes > 0 && row.lastLsn > lastDelta);
        if (!lost) continue;
        const message = `strand ${lost.strand} was written up to LSN ${lost.lastLsn}, but the layers end at ${lastDelta}`;
        yield run.finding("layers-gap", subject, message, { ...facts, firstLsn: lastDelta + 1, lastLsn: lost.lastLsn });
      }
    } finally {
      await reader.close();
    }
  } catch (error) {
    if (!isDamage(error)) throw error;
    if (isGone()) return;
    const file = await checkFile(run, path, record.sizeBytes, record.checksum, true);
    yield run.finding(file?.kind ?? "chronicle-damaged", subject, (file?.message ?? errorText(error)) + dates, facts);
    return;
  }
  const file = isSound ? await checkFile(run, path, record.sizeBytes, record.checksum, false) : undefined;
  if (file && !isGone()) yield run.finding(file.kind, subject, file.message + dates, facts);
}
