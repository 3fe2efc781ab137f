/**
 * The names under which block clients see volumes: `NAME` is the live volume, `NAME@MOMENT` the volume as of a moment.
 *
 * One name, two rooms: the live volume is served by `sources/` (it is where data comes from), a past one by `restore/`.
 * {@link combineExports} sends each name to its room and is the only place that decides.
 */
import { isSternwayError, SternwayError } from "../base/errors.ts";
import type { NbdExports } from "../nbd/server.ts";
import { MOMENT_FORMS, parseMoment } from "./moment.ts";
import type { Moment, VolumeInfo, Volumes } from "./volumes.ts";

export { MOMENT_FORMS } from "./moment.ts";

export interface ExportName {
  volume: string;
  /** Absent: the live volume. */
  moment?: Moment;
}

/** Volumes' and bookmarks' names: no `@`, no `/`, nothing that a shell or URI would take apart. */
const NAME = /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/;

/**
 * Reads `NAME` or `NAME@MOMENT`. `NAME@now` is not the live volume: it is read-only and stands still.
 * @throws invalid: not a name, or not a moment, with the accepted forms in its message
 */
export function parseExportName(text: string): ExportName {
  const at = text.indexOf("@");
  const volume = at < 0 ? text : text.slice(0, at);
  if (!NAME.test(volume)) {
    const shown = text.length > 100 ? `${text.slice(0, 100)}…` : text;
    throw new SternwayError(
      "invalid",
      `"${shown}" names no volume: use NAME for the live volume or NAME@MOMENT for a past one (${MOMENT_FORMS})`,
    );
  }
  if (at < 0) return { volume };
  return { volume, moment: parseMoment(text.slice(at + 1)) };
}

/** The message for a volume that is not there, with those that are. */
export function unknownVolume(name: string, volumes: readonly VolumeInfo[]): SternwayError {
  const shown = volumes.slice(0, 10).map((info) => info.name);
  const rest = volumes.length > shown.length ? ` and ${volumes.length - shown.length} more` : "";
  const there = shown.length === 0 ? "there are none yet" : `there are ${shown.join(", ")}${rest}`;
  return new SternwayError("not_found", `no volume ${name}: ${there}`, { volume: name });
}

/** The volume of a name. @throws not_found, with those that are there; conflict, unavailable: its vault is closed */
export function findVolume(volumes: Volumes, name: string): VolumeInfo {
  try {
    return volumes.get(name);
  } catch (error) {
    if (isSternwayError(error, "not_found")) throw unknownVolume(name, volumes.list());
    throw error;
  }
}

/** Serves both under one list: names with `@` go to `past`, all others to `live`. */
export function combineExports(live: NbdExports, past: NbdExports): NbdExports {
  const room = (name: string): NbdExports => (name.includes("@") ? past : live);
  return {
    list: async (peer) => [...(await live.list(peer)), ...(await past.list(peer))],
    describe: (name, peer) => room(name).describe(name, peer),
    open: (name, peer) => room(name).open(name, peer),
  };
}
