/**
 * The door to chronicles: what happened when (layout and meaning in chronicle-format.ts). Making them and joining them; reading is
 * chronicle-reader.ts's.
 */
import { assert } from "../../base/assert.ts";
import type { Disk } from "../../base/disk.ts";
import { SternwayError } from "../../base/errors.ts";
import type { VaultCipher } from "../../security/cipher.ts";
import type { ChronicleMeta, ChroniclePage, ChronicleRow } from "./chronicle-format.ts";
import { openChronicle } from "./chronicle-reader.ts";
import { ChronicleWriter, type ChronicleWriterOptions } from "./chronicle-writer.ts";
import { PageCache } from "../files/page-cache.ts";

export type { ChronicleMeta, ChronicleRow } from "./chronicle-format.ts";

export interface WriteChronicleOptions extends ChronicleWriterOptions {
  /** In the order of their groups: `firstLsn` and `time` never fall. */
  rows: Iterable<ChronicleRow>;
}

export interface ConcatChroniclesOptions {
  disk: Disk;
  /** Oldest first; each begins one LSN after the one before ends. */
  inputs: readonly { meta: ChronicleMeta; path: string }[];
  /** Where the result is published; nothing may be there. */
  path: string;
  /** 16 bytes. */
  vaultId: Uint8Array;
  /** Undefined: the vault is not encrypted. */
  cipher?: VaultCipher | undefined;
  /** Of the result; never used before. */
  id: number;
  /** Called with each row that was passed; what it returns is awaited, so that others have their turn. */
  breathe?: (rows: number) => Promise<void> | undefined;
}

/** Writes and publishes a chronicle: durable when it resolves. @throws unavailable: the disk refused; nothing was published */
export async function writeChronicle(options: WriteChronicleOptions): Promise<ChronicleMeta> {
  const writer = new ChronicleWriter(options);
  try {
    for (const row of options.rows) {
      const written = writer.append(row);
      if (written) await written;
    }
    return await writer.finish();
  } catch (error) {
    return await giveUp(writer, error);
  }
}

/**
 * Streams chronicles into one over their whole LSN range, one input open at a time.
 * @throws corrupt: an input is damaged, or its rows do not follow those before; nothing was published
 */
export async function concatChronicles(options: ConcatChroniclesOptions): Promise<ChronicleMeta> {
  const { disk, inputs, path, vaultId, cipher, id, breathe } = options;
  const first = inputs[0]?.meta;
  const last = inputs.at(-1)?.meta;
  assert(first !== undefined && last !== undefined, "at least one chronicle is concatenated");
  for (const [i, { meta }] of inputs.entries()) {
    assert(i === 0 || meta.firstLsn === inputs[i - 1]!.meta.lastLsn + 1, "the inputs' LSN ranges follow one another");
  }
  const { firstLsn } = first;
  const { lastLsn } = last;
  const writer = new ChronicleWriter({ disk, path, vaultId, cipher, id, firstLsn, lastLsn });
  // Every page is read once: keep none.
  const cache = new PageCache<ChroniclePage>(0);
  try {
    let before: ChronicleRow | undefined;
    for (const input of inputs) {
      const reader = await openChronicle({ disk, path: input.path, vaultId, cipher, meta: input.meta, cache });
      try {
        for await (const row of reader.rows()) {
          if (before) checkFollows(row, before, input.meta.id);
          before = row;
          const written = writer.append(row);
          if (written) await written;
          const pause = breathe?.(1);
          if (pause) await pause;
        }
      } finally {
        await reader.close();
      }
    }
    return await writer.finish();
  } catch (error) {
    return await giveUp(writer, error);
  }
}

function checkFollows(row: ChronicleRow, before: ChronicleRow, chronicle: number): void {
  if (row.firstLsn >= before.firstLsn && row.time >= before.time) return;
  const message = `chronicle ${chronicle}: LSN ${row.firstLsn} at ${row.time} does not follow ${before.firstLsn} at ${before.time}`;
  throw new SternwayError("corrupt", message, { chronicle, lsn: row.firstLsn });
}

async function giveUp(writer: ChronicleWriter, error: unknown): Promise<never> {
  // The first error tells what happened; a leftover that cannot be removed now goes when the vault opens.
  await writer.abort().catch(() => undefined);
  throw error;
}
