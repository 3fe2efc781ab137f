/**
 * Notes of what scripts before bookmarks may have frozen, so that the script after one runs even when the appliance was killed between the two: at its next start
 * then. A note lies in the catalog from before the first script is started until the second has ended; a catalog that fails costs that, and no bookmark.
 */
import type { Clock } from "../base/clock.ts";
import { SternwayError } from "../base/errors.ts";
import { formatTime } from "../base/units.ts";
import type { Frozen, FrozenTable } from "../catalog/catalog.ts";
import type { Log } from "../observe/log.ts";
import type { VolumeInfo } from "../volume/volumes.ts";
import { said, type ScriptContext } from "./around-bookmark.ts";
import type { ScriptFolder } from "./script-folder.ts";
import { runScript } from "./script-run.ts";
import { volumeMeant } from "./volume-reference.ts";

export interface FrozenNotesOptions {
  frozen: FrozenTable;
  folder: ScriptFolder;
  clock: Clock;
  log: Log;
  tell: ScriptContext["tell"];
}

export class FrozenNotes {
  private readonly options: FrozenNotesOptions;

  constructor(options: FrozenNotesOptions) {
    this.options = options;
  }

  /** @returns what takes the note back */
  note(row: Omit<Frozen, "id">): () => void {
    const { frozen, log } = this.options;
    try {
      const id = frozen.add(row);
      return () => {
        try {
          frozen.remove(id);
        } catch (error) {
          log.warn({ err: error }, "the catalog still says that something is frozen");
        }
      };
    } catch (error) {
      log.warn({ err: error }, "the catalog did not note that something is frozen");
      return () => undefined;
    }
  }

  /** Runs the scripts that are owed, and tells of each. @throws unavailable: the catalog fails */
  async thawAll(infos: readonly VolumeInfo[]): Promise<void> {
    await Promise.all(this.options.frozen.list().map((row) => this.thaw(row, infos)));
  }

  private async thaw(row: Frozen, infos: readonly VolumeInfo[]): Promise<void> {
    const { folder, frozen, clock, log, tell } = this.options;
    const { script, machine, timeoutSeconds, since } = row;
    const volumes = row.volumes.flatMap((each) => volumeMeant(infos, each)?.name ?? []);
    const subject = machine === "" ? volumes.join(" ") : machine;
    const env = {
      STERNWAY_MACHINE: machine,
      STERNWAY_VOLUMES: volumes.join(" "),
      STERNWAY_BOOKMARK: "",
      STERNWAY_PHASE: "post",
      STERNWAY_OUTCOME: "failed",
    };
    const before = `the appliance ended after ${formatTime(since)} between the scripts around a bookmark of ${subject}`;
    try {
      using open = folder.open(script);
      const run = await runScript(open, { phase: "post", env, timeoutMs: timeoutSeconds * 1000, clock });
      if (run.result !== "ok") throw new SternwayError("unavailable", said(run));
      tell({ level: "warning", kind: "script-late", subject, message: `${before}; script ${script} was run now` });
    } catch (error) {
      if (!(error instanceof SternwayError)) throw error;
      const message = `${before}; script ${script}, run now: ${error.message}. What was frozen may still be`;
      log.error({ err: error, script }, message);
      tell({ level: "alert", kind: "script-failed", subject, message });
    }
    frozen.remove(row.id);
  }
}
