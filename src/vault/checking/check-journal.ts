/**
 * The check of the journal: every unsealed group reads back as it was written. A file is held for the moment in which it is read, by pinning
 * a version; where its groups cannot be walked any more, each version that lies in it is read by itself, so that what is lost is named.
 */
import { errorText } from "../../base/errors.ts";
import { xxh64 } from "../../base/hash.ts";
import { BLOCK_SIZE } from "../../base/units.ts";
import { readGroups } from "../../journal/scan.ts";
import { isDamage, Touched, type CheckRun, type CheckStep } from "./check-report.ts";
import type { Memtable } from "../memtable.ts";

export async function* checkJournal(run: CheckRun): AsyncGenerator<CheckStep> {
  const { journalDamage } = run.vault.parts;
  if (journalDamage) {
    const { slot, offset, message } = journalDamage;
    const lost = `${message}; what was written after LSN ${run.vault.lastLsn} cannot be read`;
    yield run.finding("journal-damaged", `journal file ${slot}`, lost, {
      file: slot,
      offset,
      afterLsn: run.vault.lastLsn,
    });
  }
  // Reading it is reading blocks; recovery has read every group of a stopped vault already.
  if (run.options.quick === true) return;
  const files = run.vault.journal.held();
  for (const [done, { fileSequence }] of files.entries()) {
    yield { line: "progress", what: "journal files", done, total: files.length };
    const version = run.vault.sealing.versions.acquire();
    try {
      const table = version.memtables.find((candidate) => candidate.fileSequence === fileSequence);
      // Sealed meanwhile: packs and layers have it now.
      if (table) yield* checkHeld(run, table);
    } finally {
      run.vault.sealing.versions.release(version);
    }
  }
}

async function* checkHeld(run: CheckRun, table: Memtable): AsyncGenerator<CheckStep> {
  const { journal, parts } = run.vault;
  const { fileSequence } = table;
  const held = journal.held().find((file) => file.fileSequence === fileSequence);
  if (!held) return;
  run.objects++;
  const path = `${parts.dir}/journal/${held.slot}`;
  const found = await countGroups(run, path, fileSequence, held.groupCount);
  if (found.groups >= held.groupCount) return;
  const { touched, blocks } = await unreadable(run, table);
  const why = found.message === "" ? "the next one is damaged" : found.message;
  const message = `${found.groups} of ${held.groupCount} groups are whole, ${why} at byte ${found.end}, and ${blocks} block versions cannot be read`;
  const facts = { file: path, offset: found.end, fileSequence, groups: held.groupCount };
  yield run.finding("journal-damaged", `journal file ${held.slot}`, message, facts, touched);
}

async function countGroups(
  run: CheckRun,
  path: string,
  fileSequence: number,
  groupCount: number,
): Promise<{ groups: number; end: number; message: string }> {
  const { disk, identity } = run.vault.parts;
  const { id: vaultId, seed, cipher, journalFileBytes } = identity;
  const result = { groups: 0, end: 0, message: "" };
  try {
    const file = await disk.open(path, "read");
    try {
      const whose = { vaultId, seed, cipher, fileSequence };
      for await (const group of readGroups(file, journalFileBytes, whose, groupCount)) {
        const bytes = group.header.headerBytes + group.header.payloadBytes;
        result.groups++;
        result.end = group.offset + bytes;
        run.bytes += bytes;
      }
    } finally {
      await file.close();
    }
  } catch (error) {
    if (!isDamage(error)) throw error;
    result.message = errorText(error);
  }
  return result;
}

/** Reads every version of a file as a reader would. */
async function unreadable(run: CheckRun, table: Memtable): Promise<{ touched: Touched; blocks: number }> {
  const { journal, parts } = run.vault;
  const places: { strand: number; index: number; node: number }[] = [];
  table.forEachVersion((strand, level, index, node) => {
    if (level === 0 && table.hasBytes(node)) places.push({ strand, index, node });
  });
  places.sort((a, b) => a.strand - b.strand || a.index - b.index);
  const touched = new Touched();
  const block = new Uint8Array(BLOCK_SIZE);
  let blocks = 0;
  for (const { strand, index, node } of places) {
    try {
      await journal.read(table.fileSequence, table.locationOf(node), block);
      if (xxh64(block, parts.identity.seed) === table.printOf(node)) continue;
    } catch (error) {
      if (!isDamage(error)) throw error;
    }
    blocks++;
    touched.add(strand, index, 1, table.lsnOf(node));
  }
  return { touched, blocks };
}
