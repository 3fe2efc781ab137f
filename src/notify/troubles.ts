/**
 * What a channel was told already. A trouble (see `contract/event-kinds.ts`) is told when it begins, when its kind or level changes, when it ends, and now
 * and then while it goes on; what is no trouble and worse than information is told again only with other words, or after a day. It lies in the catalog,
 * so that a restart does not tell everything anew.
 */
import { z } from "zod";
import { micros, type Micros } from "../base/units.ts";
import type { CatalogEvent, NotifyTable } from "../catalog/catalog.ts";
import { EVENT_LEVELS, eventKind } from "../contract/event-kinds.ts";
import type { Notice } from "./message.ts";

const HOUR = 3_600e6;
/** How long the same words are not told again. */
const SAME_WORDS = 24 * HOUR;
/** A trouble of which nothing was heard for so long is forgotten: what had it may not exist any more. */
const FORGOTTEN = 90 * 24 * HOUR;
/** Told later than now by more than this: the clock was set back, and what was to come by it would come too late. */
const SET_BACK = HOUR;
/** Of each channel; more are told without being remembered. */
const REMEMBERED_MAX = 1_000;

const keptEventSchema = z.object({
  id: z.number(),
  time: z.number(),
  level: z.enum(EVENT_LEVELS),
  kind: z.string(),
  subject: z.string(),
  message: z.string(),
});
type KeptEvent = z.output<typeof keptEventSchema>;

interface Trouble {
  key: string;
  channel: string;
  /** False: only the words are remembered. */
  lasts: boolean;
  since: Micros;
  toldAt: Micros;
  remindAt: Micros | undefined;
  event: KeptEvent;
  repeats: number;
}

export class Troubles {
  private readonly store: NotifyTable;
  private readonly byKey = new Map<string, Trouble>();

  constructor(store: NotifyTable) {
    this.store = store;
    for (const row of store.troubles()) {
      const event = keptEventSchema.safeParse(parsed(row.event));
      if (!event.success) continue;
      const lasts = eventKind(event.data.kind, event.data.level).trouble !== undefined;
      const { key, channel, since, toldAt } = row;
      this.byKey.set(key, {
        key,
        channel,
        lasts,
        since,
        toldAt,
        remindAt: row.remindAt ?? undefined,
        event: event.data,
        repeats: 0,
      });
    }
  }

  /** Whether this event ends something that the channel was told of. */
  ends(channel: string, event: CatalogEvent): boolean {
    const { ends } = eventKind(event.kind, event.level);
    return ends !== undefined && this.byKey.has(keyOf(channel, ends, event.subject));
  }

  /** What is to be told of an event; undefined: nothing new. @param remindHours - 0: never */
  admit(channel: string, event: CatalogEvent, remindHours: number): Notice | undefined {
    const { trouble, ends } = eventKind(event.kind, event.level);
    const { time } = event;
    if (ends !== undefined) return this.end(keyOf(channel, ends, event.subject), event);
    if (trouble === undefined && event.level === "info") return noticeOf(event, "new");
    const key = keyOf(channel, trouble ?? `=${event.kind}`, event.subject);
    const before = this.byKey.get(key);
    if (before && isSame(before, event)) {
      before.repeats++;
      return undefined;
    }
    const lasts = trouble !== undefined;
    const isChange = before !== undefined && lasts;
    this.put({
      key,
      channel,
      lasts,
      since: isChange ? before.since : time,
      toldAt: time,
      remindAt: lasts && remindHours > 0 ? micros(time + remindHours * HOUR) : undefined,
      event: keptOf(event),
      repeats: 0,
    });
    return isChange ? noticeOf(event, "changed", before) : noticeOf(event, "new");
  }

  private end(key: string, event: CatalogEvent): Notice {
    const before = this.byKey.get(key);
    if (!before) return noticeOf(event, "new");
    this.drop(key);
    return noticeOf(event, "ended", before);
  }

  /** Reminders that are due, each once. @param remindHours - of a channel's rules for an event; 0: no longer */
  reminders(
    now: Micros,
    remindHours: (channel: string, event: CatalogEvent) => number,
  ): { channel: string; notice: Notice }[] {
    const due: { channel: string; notice: Notice }[] = [];
    for (const trouble of this.byKey.values()) {
      const age = now - trouble.toldAt;
      if (age < -SET_BACK && trouble.lasts) {
        const remindAt = trouble.remindAt === undefined ? undefined : micros(now + trouble.remindAt - trouble.toldAt);
        this.put({ ...trouble, toldAt: now, remindAt });
        continue;
      }
      if (age > FORGOTTEN || (!trouble.lasts && Math.abs(age) > SAME_WORDS)) this.drop(trouble.key);
      else if (trouble.remindAt !== undefined && trouble.remindAt <= now) {
        const event: CatalogEvent = { ...trouble.event, time: micros(trouble.event.time) };
        const hours = remindHours(trouble.channel, event);
        if (hours > 0) due.push({ channel: trouble.channel, notice: noticeOf(event, "reminder", trouble) });
        const remindAt = hours > 0 ? micros(now + hours * HOUR) : undefined;
        this.put({ ...trouble, toldAt: now, remindAt, repeats: 0 });
      }
    }
    return due;
  }

  /** When the next reminder is due. */
  nextAt(): Micros | undefined {
    let next: Micros | undefined;
    for (const { remindAt } of this.byKey.values()) {
      if (remindAt !== undefined && (next === undefined || remindAt < next)) next = remindAt;
    }
    return next;
  }

  /** Forgets what a channel was told. */
  forget(channel: string): void {
    for (const [key, trouble] of this.byKey) if (trouble.channel === channel) this.byKey.delete(key);
  }

  private put(trouble: Trouble): void {
    const ofChannel = [...this.byKey.values()].filter(({ channel }) => channel === trouble.channel).length;
    if (!this.byKey.has(trouble.key) && ofChannel >= REMEMBERED_MAX) return;
    this.byKey.set(trouble.key, trouble);
    const { key, channel, since, toldAt, remindAt, event } = trouble;
    this.store.putTrouble({ key, channel, since, toldAt, remindAt: remindAt ?? null, event: JSON.stringify(event) });
  }

  private drop(key: string): void {
    this.byKey.delete(key);
    this.store.deleteTrouble(key);
  }
}

/** Of a trouble its kind and level count, since its words hold numbers that change; of anything else its words too. */
function isSame({ event, lasts, toldAt }: Trouble, now: CatalogEvent): boolean {
  if (event.kind !== now.kind || event.level !== now.level) return false;
  return lasts || (event.message === now.message && Math.abs(now.time - toldAt) < SAME_WORDS);
}

function noticeOf(event: CatalogEvent, why: Notice["why"], before?: Trouble): Notice {
  const { id, time, level, kind, subject, message } = event;
  return {
    eventId: id,
    time,
    level,
    kind,
    subject,
    message,
    why,
    ...(before === undefined ? {} : { since: before.since, repeats: before.repeats }),
  };
}

function keptOf({ id, time, level, kind, subject, message }: CatalogEvent): KeptEvent {
  return { id, time, level, kind, subject, message };
}

const keyOf = (channel: string, trouble: string, subject: string): string => `${channel}\n${trouble}\n${subject}`;

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    // Losable: what cannot be read is told anew.
    return undefined;
  }
}
