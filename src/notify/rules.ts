/** Which rules an event concerns, and whether it is a time at which nobody wants to hear of it. Pure. */
import { micros, type Micros } from "../base/units.ts";
import { inZone } from "../base/zone.ts";
import type { CatalogEvent } from "../catalog/catalog.ts";
import { EVENT_LEVELS, eventKind } from "../contract/event-kinds.ts";
import type { RuleSettings } from "../contract/notify.ts";

/** As names of volumes, vaults, tiers and machines are made of. */
const WORDS = /[A-Za-z0-9][A-Za-z0-9._-]*/g;
const SENTENCE_END = /[._-]+$/;

/**
 * Whether a rule asks for an event.
 * @param membersOf - of a machine: its volumes, so that a rule about it gets what is told of them
 */
export function concerns(
  rule: RuleSettings,
  event: Pick<CatalogEvent, "level" | "kind" | "subject" | "message">,
  membersOf: (name: string) => readonly string[] = () => [],
): boolean {
  if (!rule.enabled) return false;
  if (EVENT_LEVELS.indexOf(event.level) < EVENT_LEVELS.indexOf(rule.level)) return false;
  if (rule.topics && !rule.topics.includes(eventKind(event.kind, event.level).topic)) return false;
  if (rule.kinds && !rule.kinds.includes(event.kind)) return false;
  if (!rule.about) return true;
  const named = wordsOf(event.subject, event.message);
  return rule.about.some((name) => named.has(name) || membersOf(name).some((member) => named.has(member)));
}

/** Every word of texts that may be a name; also without what ends a sentence, which names may hold too. */
function wordsOf(...texts: readonly string[]): Set<string> {
  const words = new Set<string>();
  for (const text of texts) {
    for (const [word] of text.matchAll(WORDS)) {
      words.add(word);
      words.add(word.replace(SENTENCE_END, ""));
    }
  }
  return words;
}

/** When the quiet hours end in which a time lies; undefined outside of them. @param zone - IANA name, for a rule without one */
export function quietUntil(quiet: RuleSettings["quiet"], now: Micros, zone: string): Micros | undefined {
  if (!quiet || quiet.from === quiet.to) return undefined;
  const local = inZone(now, quiet.zone ?? zone);
  const clock = `${twoDigits(local.hour)}:${twoDigits(local.minute)}`;
  const { from, to } = quiet;
  const isInside = from < to ? clock >= from && clock < to : clock >= from || clock < to;
  if (!isInside) return undefined;
  const day = clock < to ? local.toPlainDate() : local.toPlainDate().add({ days: 1 });
  const end = day.toZonedDateTime({ timeZone: local.timeZoneId, plainTime: Temporal.PlainTime.from(to) });
  // Where a change of the clock leaves the end out, it is over at once.
  return end.epochMilliseconds * 1000 > now ? micros(end.epochMilliseconds * 1000) : undefined;
}

const twoDigits = (value: number): string => String(value).padStart(2, "0");
