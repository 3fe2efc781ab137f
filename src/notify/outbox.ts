/**
 * The queue of notifications. What is told is gathered (the first at once, what follows within the channel's seconds in one more), waits for the end of quiet
 * hours or of an hour that had its messages, and is then sent and tried again, with growing pauses, for a day. Each row of the catalog's table `deliveries`
 * is one message; it is changed before anything is done for which it stands, so that a restart goes on where it was. A message may therefore
 * come twice (it carries the same id), and none is lost but by being given up.
 *
 * Bounds: one gathering message per channel and slot, of {@link NOTICES_MAX} notices; {@link WAITING_MAX} waiting ones per channel; one try per channel
 * at a time.
 */
import type { Clock } from "../base/clock.ts";
import { errorText } from "../base/errors.ts";
import { oneLine } from "../base/html.ts";
import type { Random } from "../base/random.ts";
import { micros, type Micros } from "../base/units.ts";
import type { DeliveryRow, NotifyTable } from "../catalog/catalog.ts";
import { eventKind } from "../contract/event-kinds.ts";
import type { Channel } from "./directory.ts";
import { contentSchema, type Content, type EventsContent, type Notice, type ReportContent } from "./message.ts";

const SECOND = 1e6;
const HOUR = 3_600 * SECOND;
/** Someone who mends a mail server over the weekend has Monday's to look at; what is older is in the console. */
const GIVE_UP_AFTER = 24 * HOUR;
const PAUSE_MIN = 15 * SECOND;
const PAUSE_MAX = HOUR;
/** A server that restarts is no news. */
const FAILING_AFTER = 15 * 60 * SECOND;
/** A message lists so many; more are counted. */
const NOTICES_MAX = 100;
/** Above that the newest is left gathering: after an outage nobody reads hundreds of messages. */
const WAITING_MAX = 50;
const ERROR_LENGTH_MAX = 300;
/** The wall clock may be set back: what would then wait for longer than anything may is due. */
const FAR = 25 * HOUR;

type Delivery = DeliveryRow & { content_: Content };

export interface OutboxOptions {
  store: NotifyTable;
  clock: Clock;
  random: Random;
  channel: (name: string) => Channel | undefined;
  /** @param id - the same at each try @returns what the other side answered @throws why it did not take it */
  deliver: (channel: Channel, content: Content, id: string) => Promise<string>;
  tell: (event: { level: "info" | "warning"; kind: string; subject: string; message: string }) => void;
  /** A try has come to its end: there may be another one to begin. @param error - the catalog could not keep how it ended */
  onRest: (error?: unknown) => void;
}

export class Outbox {
  private readonly options: OutboxOptions;
  private readonly open = new Map<number, Delivery>();
  private readonly inFlight = new Map<string, Promise<void>>();
  /** Of channels that failed last: until when nothing is tried, and since when they fail. */
  private readonly pauses = new Map<string, { until: Micros; since: Micros; isTold: boolean; error: string }>();
  private failureCount = 0;

  constructor(options: OutboxOptions) {
    this.options = options;
    for (const row of options.store.openDeliveries()) {
      const content = readContent(row.content);
      if (content) this.open.set(row.id, { ...row, content_: content });
      else this.change(row.id, { state: "given-up", endedAt: options.clock.wall(), lastError: "it could not be read" });
    }
  }

  /** Tries that failed, since the start. */
  get failures(): number {
    return this.failureCount;
  }

  /** Messages that are not delivered yet, of one channel or of all. */
  waiting(channel?: string): number {
    return [...this.open.values()].filter((each) => channel === undefined || each.channel === channel).length;
  }

  /** Why a channel does not work at present. */
  trouble(channel: string): string | undefined {
    return this.pauses.get(channel)?.error;
  }

  /** @param notBefore - the end of quiet hours */
  add(channel: Channel, notice: Notice, notBefore?: Micros): void {
    const { clock, store } = this.options;
    const now = clock.wall();
    const slot = notBefore === undefined ? "soon" : "quiet";
    for (const delivery of this.open.values()) {
      const { content_ } = delivery;
      if (delivery.channel !== channel.name || delivery.state !== "gathering") continue;
      if (content_.type !== "events" || content_.slot !== slot) continue;
      // Rewritten for what is listed; what is only counted is kept when it is released.
      if (content_.notices.length >= NOTICES_MAX) content_.more++;
      else {
        content_.notices.push(notice);
        this.change(delivery.id, { content: JSON.stringify(content_) });
      }
      return;
    }
    const [last] = store.released(channel.name, micros(now - HOUR), 1);
    const pauseEnd = last === undefined ? now : Math.min(last, now) + channel.settings.gatherSeconds * SECOND;
    const content: EventsContent = { type: "events", slot, notices: [notice], more: 0, held: false };
    this.put(channel.name, content, "gathering", notBefore ?? micros(Math.max(now, pauseEnd)), now);
  }

  /** Queues a report. */
  addReport(channel: Channel, content: ReportContent): number {
    const now = this.options.clock.wall();
    return this.put(channel.name, content, "waiting", now, now);
  }

  private put(channel: string, content: Content, state: "gathering" | "waiting", nextAt: Micros, now: Micros): number {
    const row: Omit<DeliveryRow, "id"> = {
      channel,
      state,
      content: JSON.stringify(content),
      createdAt: now,
      releasedAt: state === "waiting" ? now : null,
      nextAt,
      endedAt: null,
      attempts: 0,
      lastError: null,
    };
    const id = this.options.store.addDelivery(row);
    this.open.set(id, { ...row, id, content_: content });
    return id;
  }

  /** Lets go of what waits for a channel; the catalog did so already. */
  forget(channel: string): void {
    for (const [id, delivery] of this.open) if (delivery.channel === channel) this.open.delete(id);
    this.pauses.delete(channel);
  }

  /** A channel was changed: what waits is tried at once. */
  retry(channel: string): void {
    const pause = this.pauses.get(channel);
    if (pause) pause.until = micros(0);
    const now = this.options.clock.wall();
    for (const { id, channel: name, state } of this.open.values()) {
      if (name === channel && state === "waiting") this.change(id, { nextAt: now });
    }
  }

  /** Releases what is due and begins a try for each channel that has something and rests. */
  work(): void {
    const now = this.options.clock.wall();
    for (const delivery of this.open.values()) {
      if (delivery.state === "gathering" && isDue(delivery.nextAt, now)) this.release(delivery, now);
    }
    const heads = new Map<string, Delivery>();
    for (const delivery of this.open.values()) {
      if (delivery.state !== "waiting") continue;
      if (now - delivery.createdAt > GIVE_UP_AFTER && delivery.attempts === 0 && !this.isUsable(delivery.channel)) {
        this.end(delivery, "given-up", "the channel was switched off");
        continue;
      }
      if (!isDue(delivery.nextAt, now)) continue;
      const head = heads.get(delivery.channel);
      // What failed least goes first, so that one message that is never taken does not hold up the others.
      if (!head || delivery.attempts < head.attempts) heads.set(delivery.channel, delivery);
    }
    for (const [name, delivery] of heads) {
      const channel = this.options.channel(name);
      if (!channel?.settings.enabled || this.inFlight.has(name)) continue;
      const pause = this.pauses.get(name);
      if (pause && !isDue(pause.until, now)) continue;
      this.inFlight.set(name, this.attempt(channel, delivery));
    }
  }

  /** When {@link work} has something to do next; undefined: nothing waits but for what is under way. */
  nextAt(): Micros | undefined {
    let next: number | undefined;
    for (const { state, nextAt, channel } of this.open.values()) {
      if (state === "waiting" && (this.inFlight.has(channel) || !this.isUsable(channel))) continue;
      const at = state === "waiting" ? Math.max(nextAt, this.pauses.get(channel)?.until ?? 0) : nextAt;
      if (next === undefined || at < next) next = at;
    }
    return next === undefined ? undefined : micros(next);
  }

  /** Resolves when no try is under way. */
  async idle(): Promise<void> {
    while (this.inFlight.size > 0) await Promise.allSettled(this.inFlight.values());
  }

  private isUsable(channel: string): boolean {
    return this.options.channel(channel)?.settings.enabled === true;
  }

  /** Stops gathering, unless the channel has had its hour's messages. */
  private release(delivery: Delivery, now: Micros): void {
    const { id, channel: name, content_ } = delivery;
    const channel = this.options.channel(name);
    if (!channel || content_.type !== "events") {
      this.end(delivery, "given-up", "its channel is gone");
      return;
    }
    const { hourlyMax } = channel.settings;
    const released = this.options.store.released(name, micros(now - HOUR), hourlyMax);
    const isFull =
      [...this.open.values()].filter((each) => each.channel === name && each.state === "waiting").length >= WAITING_MAX;
    if (released.length >= hourlyMax || isFull) {
      content_.held = true;
      const nextAt = isFull ? now + PAUSE_MAX / 60 : Math.min(released.at(-1)!, now) + HOUR;
      this.change(id, { nextAt: micros(nextAt), content: JSON.stringify(content_) });
      return;
    }
    if (released.length === hourlyMax - 1) content_.limitUntil = Math.min(released.at(-1) ?? now, now) + HOUR;
    this.change(id, { state: "waiting", releasedAt: now, nextAt: now, content: JSON.stringify(content_) });
  }

  /** Never rejects. */
  private async attempt(channel: Channel, delivery: Delivery): Promise<void> {
    const { deliver, clock, onRest } = this.options;
    const id = `sternway-${delivery.createdAt}-${delivery.id}`;
    const error = await deliver(channel, delivery.content_, id).then(
      () => undefined,
      (cause: unknown) => oneLine(errorText(cause), ERROR_LENGTH_MAX),
    );
    this.inFlight.delete(channel.name);
    try {
      if (error === undefined) this.succeeded(delivery);
      else this.failed(delivery, error, clock.wall());
      onRest();
    } catch (cause) {
      onRest(cause);
    }
  }

  private succeeded(delivery: Delivery): void {
    const { channel } = delivery;
    const pause = this.pauses.get(channel);
    this.pauses.delete(channel);
    delivery.attempts++;
    this.end(delivery, "sent", null);
    if (pause?.isTold)
      this.options.tell({
        level: "info",
        kind: "channel-works",
        subject: channel,
        message: `channel ${channel} works again`,
      });
  }

  private failed(delivery: Delivery, error: string, now: Micros): void {
    // Removed meanwhile.
    if (!this.open.has(delivery.id)) return;
    this.failureCount++;
    const { channel, id } = delivery;
    const attempts = delivery.attempts + 1;
    const pause =
      Math.min(PAUSE_MAX, PAUSE_MIN * 2 ** Math.min(attempts - 1, 20)) * (0.75 + this.options.random.unit() / 2);
    const nextAt = micros(Math.round(now + pause));
    const before = this.pauses.get(channel);
    const state = { until: nextAt, since: before?.since ?? now, isTold: before?.isTold ?? false, error };
    this.pauses.set(channel, state);
    this.change(id, { attempts, nextAt, lastError: error });
    if (now - (delivery.releasedAt ?? delivery.createdAt) >= GIVE_UP_AFTER) this.giveUp(delivery, error);
    if (!state.isTold && now - state.since >= FAILING_AFTER) {
      state.isTold = true;
      const message = `channel ${channel} has not worked since ${new Date(state.since / 1000).toISOString()}: ${error}`;
      this.options.tell({ level: "warning", kind: "channel-failing", subject: channel, message });
    }
  }

  private giveUp(delivery: Delivery, error: string): void {
    const { channel, content_ } = delivery;
    this.end(delivery, "given-up", error);
    // What only tells that notifying fails must not go round between two channels that fail.
    const isAboutNotifying =
      content_.type === "events" &&
      content_.notices.every(({ kind, level }) => eventKind(kind, level).topic === "notify");
    if (isAboutNotifying) return;
    const message = `a message for channel ${channel} was given up after a day of tries: ${error}`;
    this.options.tell({ level: "warning", kind: "delivery-given-up", subject: channel, message });
  }

  private end(delivery: Delivery, state: "sent" | "given-up", lastError: string | null): void {
    const { id, attempts } = delivery;
    try {
      this.change(id, { state, attempts, endedAt: this.options.clock.wall(), lastError });
    } finally {
      // A catalog that cannot keep it, such as on a full disk, must not have the same message sent every minute.
      this.open.delete(id);
    }
  }

  private change(id: number, change: Partial<Omit<DeliveryRow, "id" | "channel">>): void {
    const delivery = this.open.get(id);
    if (delivery) Object.assign(delivery, change);
    this.options.store.updateDelivery(id, change);
  }
}

const isDue = (at: Micros, now: Micros): boolean => at <= now || at - now > FAR;

/** What a row of the queue holds; undefined: it cannot be read. */
export function readContent(text: string): Content | undefined {
  try {
    const read = contentSchema.safeParse(JSON.parse(text));
    return read.success ? read.data : undefined;
  } catch {
    // Not JSON: as unreadable as JSON of another shape.
    return undefined;
  }
}
