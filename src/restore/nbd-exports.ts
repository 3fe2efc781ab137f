/**
 * Past moments of volumes as NBD exports: any standard client (qemu, nbdcopy, nbdfuse, nbd-client, fio) restores, mounts
 * or boots from here without our software. What an export reads never changes while it is open.
 */
import { SternwayError } from "../base/errors.ts";
import { formatTime } from "../base/units.ts";
import type { NbdExports } from "../nbd/server.ts";
import { findVolume, MOMENT_FORMS, parseExportName } from "../volume/export-name.ts";
import type { Bookmark, PastDevice, Volumes } from "../volume/volumes.ts";

/** A client reads the whole list into memory, and qemu's and libnbd's give up on very long ones. */
const LISTED_BOOKMARKS_MAX = 1000;

/** Exports `NAME@MOMENT`, read-only. Lists bookmarks alone: the other moments have no end. */
export function pastExports(volumes: Volumes): NbdExports {
  const open = async (name: string): Promise<{ device: PastDevice; description: string }> => {
    const { volume, moment } = parseExportName(name);
    if (moment === undefined) {
      throw new SternwayError("invalid", `${name} names no moment: use ${volume}@MOMENT (${MOMENT_FORMS})`);
    }
    findVolume(volumes, volume);
    const device = await volumes.openAt(volume, moment);
    const { lsn, time, flushPoint } = device.moment;
    const kind = flushPoint ? "a flush point" : "a write boundary";
    return { device, description: `${volume} as of ${formatTime(time)}, lsn ${lsn}, ${kind}` };
  };

  return {
    list: async () => {
      const names: { name: string; description: string }[] = [];
      for (const info of volumes.list()) {
        for (const bookmark of volumes.bookmarks(info.name)) {
          if (names.length === LISTED_BOOKMARKS_MAX) return names;
          names.push({ name: `${info.name}@bookmark:${bookmark.name}`, description: describeBookmark(bookmark) });
        }
      }
      return names;
    },
    describe: async (name) => {
      const { device, description } = await open(name);
      const sizeBytes = device.sizeBytes;
      await device.close();
      return { sizeBytes, readOnly: true, description };
    },
    open: async (name) => ({ readOnly: true, ...(await open(name)) }),
  };
}

function describeBookmark(bookmark: Bookmark): string {
  const note = bookmark.note === "" ? "" : `, ${bookmark.note}`;
  return `as of ${formatTime(bookmark.time)}, lsn ${bookmark.lsn}${note}`;
}
