/**
 * What a schedule of bookmarks does: one more, and then no more than so many of its own. Its own are those that carry its mark, in their name and at the end of
 * their note; the mark lies with them in the vault, so that a lost catalog makes a schedule forget its old ones and never take others for its own.
 */
import { errorText, SternwayError } from "../base/errors.ts";
import type { Micros } from "../base/units.ts";
import type { Schedule, StoredBookmarkTask } from "../catalog/catalog.ts";
import type { Volumes } from "../volume/volumes.ts";
import { stamp } from "./bookmark-text.ts";
import type { MachineDesk } from "./machine-desk.ts";
import { volumeMeant, whyMissing } from "./volume-reference.ts";

/** Leaves room for the time in a name of 64. */
const PREFIX_LENGTH_MAX = 40;

export interface BookmarkTaskContext {
  volumes: Volumes;
  machines: MachineDesk;
  now: Micros;
  signal: AbortSignal;
}

/** @returns what was done, in words @throws why no bookmark was made */
export async function scheduledBookmark(
  { name: schedule, key }: Pick<Schedule, "name" | "key">,
  task: StoredBookmarkTask,
  { volumes, machines, now, signal }: BookmarkTaskContext,
): Promise<string> {
  const prefix = (task.prefix ?? schedule).slice(0, PREFIX_LENGTH_MAX);
  const mark = `[schedule ${schedule} ${key}]`;
  const name = `${prefix}-${stamp(now)}`;
  const { machine } = task;
  const volume = machine === undefined ? volumeName(volumes, task) : "";
  const scripts = task.scripts ?? (machine === undefined ? undefined : (machines.get(machine).scripts ?? undefined));
  const request = { name, note: "", mark, scripts, signal };
  const made =
    machine === undefined ? await machines.bookmarkVolume(volume, request) : await machines.bookmark(machine, request);
  const removed: string[] = [];
  const kept: string[] = [];
  if (task.keep !== undefined) {
    for (const each of made.result.volumes) {
      for (const old of ownBookmarks(volumes, each.volume, mark).slice(task.keep)) {
        try {
          await volumes.removeBookmark(each.volume, old);
          removed.push(old);
        } catch (error) {
          // Such as one that a lock still protects: it goes after a later run.
          if (!(error instanceof SternwayError)) throw error;
          kept.push(`${old} of ${each.volume} (${errorText(error)})`);
        }
      }
    }
  }
  const failed = made.scripts
    .filter(({ result }) => result !== "ok")
    .map((run) => `${run.script}: ${run.reason ?? ""}`);
  const parts = [
    `bookmark ${name} was made, ${made.consistency}-consistent`,
    removed.length > 0 ? `${removed.length} older ones went` : "",
    kept.length > 0 ? `these stay longer: ${kept.join(", ")}` : "",
    failed.length > 0 ? `scripts: ${failed.join(", ")}` : "",
  ];
  return parts.filter((part) => part !== "").join("; ");
}

/** Newest first. */
function ownBookmarks(volumes: Volumes, volume: string, mark: string): string[] {
  const own = volumes.bookmarks(volume).filter(({ note }) => note.endsWith(mark));
  return own.sort((a, b) => b.createdAt - a.createdAt || b.lsn - a.lsn).map(({ name }) => name);
}

function volumeName(volumes: Volumes, { volume }: StoredBookmarkTask): string {
  if (!volume) throw new SternwayError("invalid", "the schedule names neither a machine nor a volume");
  const infos = volumes.list();
  const info = volumeMeant(infos, volume);
  if (info) return info.name;
  throw new SternwayError("unavailable", `the schedule's volume cannot be had: ${whyMissing(infos, volume)}`);
}
