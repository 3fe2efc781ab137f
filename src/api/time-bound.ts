/** A bound of a time that is asked about: times and ages count even where nothing was written. */
import { micros, type Micros } from "../base/units.ts";
import { parseMoment } from "../volume/moment.ts";
import type { ApiContext } from "./appliance.ts";

/** @param text - a moment @throws invalid: it is none; not_found: an LSN or bookmark that the volume does not have */
export async function timeOfBound(
  { volumes, now }: Pick<ApiContext, "volumes" | "now">,
  volume: string,
  text: string,
): Promise<Micros> {
  const moment = parseMoment(text);
  switch (moment.kind) {
    case "now":
      return micros(now());
    case "time":
      return moment.time;
    case "age":
      return micros(Math.max(0, now() - moment.ageMicros));
    case "lsn":
    case "bookmark":
      return (await volumes.resolve(volume, moment)).time;
  }
}
