/**
 * `DATA/vaults.json`: which volumes each vault held when it was last open. Read for vaults that are closed only, so that their volumes'
 * names stay taken, and whoever asks for one learns where it is; also how a vault whose folder has gone is still known.
 *
 *     {"format":1,"vaults":{"default":["web1","web2"]}}
 *
 * It is no source of truth: vaults know what they hold. It names, at every moment, at least what the vaults hold: a name is added
 * before its volume is made, and taken out after it is deleted. Lost or damaged, it is made anew from the vaults that open.
 */
import { z } from "zod";
import { isSternwayError } from "../base/errors.ts";
import { publish, readWhole, type Disk } from "../base/disk.ts";
import type { Log } from "../observe/log.ts";

const storedSchema = z.object({ format: z.literal(1), vaults: z.record(z.string(), z.array(z.string())) });

export type KnownVolumes = Record<string, readonly string[]>;

/** What was kept; nothing when the file is not there or cannot be read. */
export async function readKnownVolumes(disk: Disk, path: string, log: Log): Promise<KnownVolumes> {
  try {
    return storedSchema.parse(JSON.parse(new TextDecoder().decode(await readWhole(disk, path)))).vaults;
  } catch (error) {
    if (!isSternwayError(error, "not_found")) {
      log.warn(
        { err: error, path },
        "the names of closed vaults' volumes could not be read; they are learned again as vaults open",
      );
    }
    return {};
  }
}

/** Writes the file when it would change. One writer at a time; the newest request wins. */
export class KnownVolumesFile {
  private readonly disk: Disk;
  private readonly path: string;
  private written = "";
  private queue: Promise<void> = Promise.resolve();

  constructor(disk: Disk, path: string) {
    this.disk = disk;
    this.path = path;
  }

  /** Durable when it resolves. @throws unavailable */
  async write(current: () => KnownVolumes): Promise<void> {
    const turn = this.queue.then(async () => {
      const text = `${JSON.stringify({ format: 1, vaults: current() })}\n`;
      if (text === this.written) return;
      await publish(this.disk, this.path, [new TextEncoder().encode(text)]);
      this.written = text;
    });
    // The next one tries again whatever became of this one; its own caller hears of it.
    this.queue = turn.then(
      () => undefined,
      () => undefined,
    );
    await turn;
  }
}
