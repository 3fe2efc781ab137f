/** Time zones by name, such as `Europe/Berlin`. */
import { SternwayError } from "./errors.ts";
import type { Micros } from "./units.ts";

/** The zone that this machine is set to. */
export const systemZone = (): string => Temporal.Now.timeZoneId();

/** @param zone - IANA name @returns it @throws invalid: there is none */
export function checkZone(zone: string): string {
  try {
    Temporal.Instant.fromEpochMilliseconds(0).toZonedDateTimeISO(zone);
    return zone;
  } catch (cause) {
    const message = `"${zone}" is not a time zone: use a name such as Europe/Berlin or UTC`;
    throw new SternwayError("invalid", message, {}, { cause });
  }
}

/** A time by a zone's clock, to the millisecond. */
export function inZone(time: Micros, zone: string): Temporal.ZonedDateTime {
  return Temporal.Instant.fromEpochMilliseconds(Math.floor(time / 1000)).toZonedDateTimeISO(zone);
}
