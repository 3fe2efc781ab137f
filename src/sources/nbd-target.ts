/**
 * Live volumes as NBD exports: where protected machines write to. Every write that arrives here is journaled by the volume.
 */
import { SternwayError } from "../base/errors.ts";
import { formatSize } from "../base/units.ts";
import type { NbdExports } from "../nbd/server.ts";
import { findVolume, parseExportName } from "../volume/export-name.ts";
import type { VolumeInfo, Volumes } from "../volume/volumes.ts";

/** Exports `NAME`, writable. The session counts as attached until it closes the device. */
export function liveExports(volumes: Volumes): NbdExports {
  const find = (name: string): VolumeInfo => {
    const parsed = parseExportName(name);
    if (parsed.moment !== undefined) {
      throw new SternwayError("invalid", `${name} is a past moment of ${parsed.volume}: it cannot be written to`);
    }
    return findVolume(volumes, parsed.volume);
  };
  const describe = (info: VolumeInfo): string => `live volume, ${formatSize(info.sizeBytes)}, every write is kept`;

  return {
    list: async () => volumes.list().map((info) => ({ name: info.name, description: describe(info) })),
    describe: async (name) => {
      const info = find(name);
      return { sizeBytes: info.sizeBytes, readOnly: false, description: describe(info) };
    },
    open: async (name) => {
      const info = find(name);
      return { readOnly: false, device: await volumes.openLive(info.name), description: describe(info) };
    },
  };
}
