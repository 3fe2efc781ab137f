/** Holds one moment of all disks of a machine. Each disk has a hold of its own, so what was begun can be finished: holds that are there already are left. */
import { SternwayError } from "../../../base/errors.ts";
import type { Client } from "../../../contract/client.ts";

/** The part of the API that it needs. */
export type HoldApi = Pick<Client, "holds" | "createHold">;

/**
 * @param moments - the LSN of each disk
 * @throws conflict: a disk has a hold of this name at another moment, nothing was held; or what a disk said, after which the message tells which are held
 */
export async function holdAll(
  api: HoldApi,
  moments: readonly { volume: string; lsn: number }[],
  what: { name: string; note?: string },
): Promise<void> {
  const missing: { volume: string; lsn: number }[] = [];
  for (const { volume, lsn } of moments) {
    const same = (await api.holds(volume)).find((hold) => hold.name === what.name);
    if (same && same.lsn !== lsn) {
      throw new SternwayError("conflict", `${volume} has a hold ${what.name} at another moment: take another name`);
    }
    if (!same) missing.push({ volume, lsn });
  }
  for (const [done, { volume, lsn }] of missing.entries()) {
    try {
      await api.createHold(volume, { ...what, at: `lsn:${lsn}` });
    } catch (cause) {
      const left = missing.slice(done).map((each) => each.volume);
      throw new SternwayError(
        cause instanceof SternwayError ? cause.kind : "internal",
        `not held: ${left.join(", ")}. The others are; try again with the same name. ${cause instanceof Error ? cause.message : ""}`.trim(),
        {},
        { cause },
      );
    }
  }
}
