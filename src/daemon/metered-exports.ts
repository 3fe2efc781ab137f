/** Counts what clients do, at the door they come through. Plain numbers: a write pays a few additions. */
import type { ReadableDevice, WritableDevice } from "../base/device.ts";
import type { NbdExport, NbdExports } from "../nbd/server.ts";
import type { Metrics, VolumeTotals } from "../observe/metrics.ts";
import { parseExportName } from "../volume/export-name.ts";

export interface Meter {
  exports: NbdExports;
  /** Totals since the start, of volumes that are still there. */
  totals(): VolumeTotals[];
}

/** @param exists - tells whether a volume is still there; the others' totals are let go */
export function meterExports(exports: NbdExports, metrics: Metrics, exists: (volume: string) => boolean): Meter {
  const byVolume = new Map<string, VolumeTotals>();

  function totalsOf(volume: string): VolumeTotals {
    let totals = byVolume.get(volume);
    if (!totals) {
      totals = { volume, writes: 0, writtenBytes: 0, clearedBytes: 0, readBytes: 0, flushes: 0 };
      byVolume.set(volume, totals);
    }
    return totals;
  }

  return {
    exports: {
      list: (peer) => exports.list(peer),
      describe: (name, peer) => exports.describe(name, peer),
      async open(name, peer): Promise<NbdExport> {
        const opened = await exports.open(name, peer);
        const totals = totalsOf(parseExportName(name).volume);
        if (opened.readOnly) return { ...opened, device: meteredReads(opened.device, totals) };
        return { ...opened, device: meteredWrites(opened.device, totals, metrics) };
      },
    },
    totals() {
      for (const volume of byVolume.keys()) if (!exists(volume)) byVolume.delete(volume);
      return [...byVolume.values()];
    },
  };
}

function meteredReads(device: ReadableDevice, totals: VolumeTotals): ReadableDevice {
  return {
    get sizeBytes() {
      return device.sizeBytes;
    },
    read(offset, length, into) {
      totals.readBytes += length;
      return device.read(offset, length, into);
    },
    extents: (offset, length) => device.extents(offset, length),
    close: () => device.close(),
  };
}

function meteredWrites(device: WritableDevice, totals: VolumeTotals, metrics: Metrics): WritableDevice {
  /** Counts what is done, or what is refused; a write that is done at once stays free of promises. */
  function counted(done: Promise<void> | undefined, count: () => void): Promise<void> | undefined {
    if (done) {
      return done.then(count, (error: unknown) => {
        metrics.refusedWrites.inc();
        throw error;
      });
    }
    count();
    return undefined;
  }
  const cleared = (length: number) => (): void => {
    totals.clearedBytes += length;
  };
  return {
    ...meteredReads(device, totals),
    get sizeBytes() {
      return device.sizeBytes;
    },
    write: (offset, data, fua) => {
      const { length } = data;
      return counted(device.write(offset, data, fua), () => {
        totals.writes++;
        totals.writtenBytes += length;
      });
    },
    trim: (offset, length, fua) => counted(device.trim(offset, length, fua), cleared(length)),
    writeZeroes: (offset, length, mayHole, fua) =>
      counted(device.writeZeroes(offset, length, mayHole, fua), cleared(length)),
    async flush() {
      const from = performance.now();
      const at = await device.flush();
      totals.flushes++;
      metrics.flushSeconds.observe((performance.now() - from) / 1000);
      return at;
    },
  };
}
