/** What the appliance noticed about a volume: how well its writes compressed over time, and alarms. Whoever asks gets nothing where there is none. */
import type { WireAlarm, WireVolume, WireVolumeSignals } from "../../../contract/contract.ts";
import { formatSize } from "../../../base/units.ts";
import { api } from "../api.ts";
import { useResource } from "../resource.ts";
import type { Mark } from "./facts.ts";
import { microsOf } from "./time.ts";

/** One measured value at a time. */
export interface Measured {
  /** Microseconds: where it begins to hold. */
  time: number;
  /** Until here. */
  end: number;
  /** 0 to 1. */
  share: number;
}

export interface Signals {
  marks: readonly Mark[];
  /** How much smaller new blocks became; in order, only where there were any. */
  compressibility: readonly Measured[];
  alarms: readonly WireAlarm[];
}

const NONE: Signals = { marks: [], compressibility: [], alarms: [] };
/** As many as a chart shows. */
const BUCKETS = 600;

/** @param volumes - more than one: marks and alarms are those of all of them; how well writes compressed is told of a single one alone */
export function useSignals(volumes: readonly Pick<WireVolume, "name" | "createdAt">[]): Signals {
  const found = useResource(
    async () => {
      const all = await Promise.all(
        volumes.map(async ({ name, createdAt }) =>
          signalsOf(await api.signals(name, { from: createdAt, buckets: BUCKETS })),
        ),
      );
      return {
        alarms: all.flatMap((each) => each.alarms).sort((a, b) => microsOf(b.raisedAt) - microsOf(a.raisedAt)),
        marks: all.flatMap((each) => each.marks),
        compressibility: all.length === 1 ? all[0]!.compressibility : [],
      };
    },
    [volumes.map(({ name, createdAt }) => `${name} ${createdAt}`).join()],
    { everyMs: 30_000 },
  );
  // The timeline is worth having without them: what fails here is told on the pages of alarms.
  return found.value ?? NONE;
}

export function signalsOf({ volume, buckets, alarms }: WireVolumeSignals): Signals {
  return {
    alarms,
    marks: alarms.map((alarm) => ({
      kind: "alarm",
      time: microsOf(alarm.first.time),
      lsn: alarm.first.lsn,
      volume,
      detail: `${formatSize(alarm.turnedBytes)} turned into what looks random`,
    })),
    compressibility: buckets.flatMap(({ from, to, compressibility }) =>
      compressibility === undefined ? [] : [{ time: microsOf(from), end: microsOf(to), share: compressibility }],
    ),
  };
}
