/** The time zones by whose clocks tiers are limited and due. */
import { SternwayError } from "../base/errors.ts";

/** The zone that this machine is set to. */
export const systemZone = (): string => Temporal.Now.timeZoneId();

/** @param zone - IANA name, such as `Europe/Berlin` @throws invalid: there is none */
export function checkZone(zone: string): void {
  try {
    Temporal.Instant.fromEpochMilliseconds(0).toZonedDateTimeISO(zone);
  } catch (cause) {
    const message = `"${zone}" is not a time zone: use a name such as Europe/Berlin or UTC`;
    throw new SternwayError("invalid", message, {}, { cause });
  }
}
