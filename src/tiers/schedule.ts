/**
 * When scheduled tiers are due: cron expressions of five fields (minute, hour, day, month, weekday), or the words hourly, daily, weekly and monthly.
 * Croner knows the fields, the zones and their switches: what is due at a time of day that a switch leaves out is due right after the switch, what is
 * due at one that comes twice is due once, and what is due every so many hours or minutes (`*`) goes by time that passes.
 */
import { Cron } from "croner";
import { SternwayError } from "../base/errors.ts";
import { micros, type Micros } from "../base/units.ts";
import { checkZone } from "../base/zone.ts";

/** At two in the night: when people are away, and the day before is over. */
const WORDS: ReadonlyMap<string, string> = new Map([
  ["hourly", "0 * * * *"],
  ["daily", "0 2 * * *"],
  ["weekly", "0 2 * * 0"],
  ["monthly", "0 2 1 * *"],
]);

/** Croner also takes dates, seconds and years, which could end or never rest, and "?", which means the time when it is read. */
const FIVE_FIELDS = /^[\w*,/#-]+(?: +[\w*,/#-]+){4}$/;

/** From here a schedule is tried out; any time does. */
const ANY_TIME = micros(1_767_225_600_000_000);

/** @throws invalid: it cannot be read, or its time never comes */
export function checkSchedule(text: string): void {
  nextRun(text, ANY_TIME, "UTC");
}

/**
 * The first time that lies after `after`; always a whole minute of the zone's clock.
 * @param zone - IANA name; whose hours the text means
 * @throws invalid: the text or the zone cannot be read, or the time never comes
 */
export function nextRun(text: string, after: Micros, zone: string): Micros {
  checkZone(zone);
  const expression = WORDS.get(text) ?? text.trim();
  if (!FIVE_FIELDS.test(expression)) throw unreadable(text);
  let next: Date | null;
  try {
    const cron = new Cron(expression, { timezone: zone, mode: "5-part", fixedTimeRule: "no-wildcard", paused: true });
    next = cron.nextRun(new Date(Math.floor(after / 1000)));
  } catch (cause) {
    throw unreadable(text, cause);
  }
  if (!next) throw unreadable(text);
  return micros(next.getTime() * 1000);
}

function unreadable(text: string, cause?: unknown): SternwayError {
  const message =
    `"${text}" is no schedule that comes: use hourly, daily, weekly, monthly, ` +
    'or a cron expression such as "30 1 * * *" (minute, hour, day, month, weekday)';
  return new SternwayError("invalid", message, {}, { cause });
}
