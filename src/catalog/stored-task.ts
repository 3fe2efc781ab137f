/** What a schedule does and when, as the catalog keeps it: a volume is referred to without its name (`machines.ts`). */
import type { Micros } from "../base/units.ts";
import type { WireTask, WireTiming } from "../contract/schedules.ts";

/** Which volume is meant: where and when it was made, which belongs to one volume alone, for ever. */
export interface VolumeReference {
  vault: string;
  createdLsn: number;
  createdAt: Micros;
}

type WireBookmarkTask = Extract<WireTask, { kind: "bookmark" }>;
export type StoredBookmarkTask = Omit<WireBookmarkTask, "volume"> & { volume?: VolumeReference | undefined };
export type StoredTask = Exclude<WireTask, WireBookmarkTask> | StoredBookmarkTask;

/** The time zone is kept as it was meant, whatever the appliance is set to later. */
export type StoredTiming = (
  (Extract<WireTiming, { kind: "calendar" }> & { timeZone: string }) | Extract<WireTiming, { kind: "interval" }>
) & { jitterSeconds: number };
