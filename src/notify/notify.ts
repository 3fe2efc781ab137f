/**
 * The door of the room: notifications by mail and webhook. Every event of the catalog comes here; rules say which channels hear of it, `troubles.ts`
 * whether there is anything new to say, and `outbox.ts` carries it out. An event is never held up: what is done while one is told is a few look-ups
 * and at most one row.
 *
 * It hears what the catalog's file holds, so of encrypted vaults no volume's name leaves the house.
 */
import type { Clock, Timer } from "../base/clock.ts";
import { errorText } from "../base/errors.ts";
import type { Random } from "../base/random.ts";
import { micros, type Micros } from "../base/units.ts";
import type { CatalogEvent, DeliveryRow, NotifyTable } from "../catalog/catalog.ts";
import { eventKind } from "../contract/event-kinds.ts";
import type { RuleSettings } from "../contract/notify.ts";
import type { Log } from "../observe/log.ts";
import { Directory, type Channel } from "./directory.ts";
import { sendEmail } from "./email.ts";
import { renderMessage, type Content, type ReportContent } from "./message.ts";
import { Outbox, readContent } from "./outbox.ts";
import { concerns, quietUntil } from "./rules.ts";
import { Troubles } from "./troubles.ts";
import { callWebhook } from "./webhook.ts";

export type { Channel, Rule } from "./directory.ts";
export type { ReportContent } from "./message.ts";

/** The longest rest: the wall clock may be set meanwhile. */
const REST_MS_MAX = 60_000;

export interface NotifierOptions {
  store: NotifyTable;
  clock: Clock;
  random: Random;
  log: Log;
  /** Keeps an event for people; never throws. */
  tell: (event: Omit<CatalogEvent, "id" | "time">) => void;
  /** By what people know this appliance: its host name. */
  appliance: string;
  /** IANA name; whose hours quiet hours mean where a rule names no zone. */
  zone: string;
  /** Of a machine: its volumes. */
  membersOf?: (name: string) => readonly string[];
  /** Sends; left out: by SMTP and HTTP. For tests. */
  deliver?: (channel: Channel, content: Content, id: string) => Promise<string>;
}

/** What is asked of it for metrics. */
export interface NotifierCounts {
  waiting: number;
  failures: number;
  sent: number;
  givenUp: number;
}

export class Notifier {
  readonly directory: Directory;
  private readonly options: NotifierOptions;
  private readonly troubles: Troubles;
  private readonly outbox: Outbox;
  private timer: Timer | undefined;
  private state: "new" | "running" | "stopped" = "new";

  constructor(options: NotifierOptions) {
    this.options = options;
    const { store, clock, random } = options;
    this.directory = new Directory({ store, clock, random });
    this.troubles = new Troubles(store);
    this.outbox = new Outbox({
      store,
      clock,
      random,
      channel: (name) => this.directory.find(name),
      deliver: options.deliver ?? ((channel, content, id) => this.send(channel, content, id)),
      tell: (event) => options.tell(event),
      onRest: (error) => {
        if (error === undefined) this.wake();
        else this.hiccup(error);
      },
    });
  }

  /** Goes on with what the queue holds. */
  start(): void {
    if (this.state !== "new") return;
    this.state = "running";
    this.wake();
  }

  /** Waits for tries that are under way; what waits stays in the queue, and a try that takes longer may come twice. Idempotent. */
  async stop(graceMs: number): Promise<void> {
    this.state = "stopped";
    this.timer?.cancel();
    const late = Promise.withResolvers<void>();
    const timer = this.options.clock.timer(graceMs, late.resolve);
    await Promise.race([this.outbox.idle(), late.promise]);
    timer.cancel();
  }

  /** Takes an event. Never throws. */
  onEvent(event: CatalogEvent): void {
    try {
      if (this.take(event)) this.wake();
    } catch (error) {
      this.options.log.warn({ err: error, kind: event.kind }, "an event could not be queued for notification");
    }
  }

  private take(event: CatalogEvent): boolean {
    let isNew = false;
    for (const channel of this.directory.channels()) {
      // A channel is not told of its own failures: that would go round for ever.
      const isAboutItself = eventKind(event.kind, event.level).topic === "notify" && event.subject === channel.name;
      if (!channel.settings.enabled || isAboutItself) continue;
      const wanted = this.rulesOf(channel.name, event);
      if (wanted.length === 0) continue;
      const notice = this.troubles.admit(channel.name, event, remindHoursOf(wanted));
      if (!notice) continue;
      this.outbox.add(channel, notice, this.quietEnd(wanted, event));
      isNew = true;
    }
    return isNew;
  }

  /** The rules by which a channel hears of an event. The end of what it was told of it hears by any. */
  private rulesOf(channel: string, event: CatalogEvent): RuleSettings[] {
    const ends = this.troubles.ends(channel, event);
    return this.directory
      .rules()
      .map(({ settings }) => settings)
      .filter((rule) => rule.channels.includes(channel))
      .filter((rule) => (ends && rule.enabled) || concerns(rule, event, this.options.membersOf));
  }

  /** Until when all of them keep quiet; undefined: one does not. */
  private quietEnd(rules: readonly RuleSettings[], event: CatalogEvent): Micros | undefined {
    let end = Number.POSITIVE_INFINITY;
    for (const { quiet } of rules) {
      if (event.level === "alert" && quiet?.alsoAlerts !== true) return undefined;
      const until = quietUntil(quiet, this.options.clock.wall(), this.options.zone);
      if (until === undefined) return undefined;
      end = Math.min(end, until);
    }
    return micros(end);
  }

  private remind(now: Micros): void {
    const due = this.troubles.reminders(now, (name, event) => remindHoursOf(this.rulesOf(name, event)));
    for (const { channel: name, notice } of due) {
      const channel = this.directory.find(name);
      if (!channel?.settings.enabled) continue;
      const event = { ...notice, id: notice.eventId, time: micros(notice.time) };
      this.outbox.add(channel, notice, this.quietEnd(this.rulesOf(name, event), event));
    }
  }

  /** Something may be due: looks soon, and never within a call, so that whoever tells an event waits for nothing. */
  private wake(): void {
    this.rest(0);
  }

  private rest(delayMs: number): void {
    if (this.state !== "running") return;
    this.timer?.cancel();
    this.timer = this.options.clock.timer(delayMs, () => this.turn());
  }

  private turn(): void {
    if (this.state !== "running") return;
    try {
      this.remind(this.options.clock.wall());
      this.outbox.work();
      this.rest(this.restMs());
    } catch (error) {
      this.hiccup(error);
    }
  }

  /** The catalog cannot be used at present. */
  private hiccup(error: unknown): void {
    this.options.log.warn({ err: error }, "notifications could not be worked on; they are tried again");
    this.rest(REST_MS_MAX);
  }

  private restMs(): number {
    const now = this.options.clock.wall();
    const due = [this.outbox.nextAt(), this.troubles.nextAt()].filter((at) => at !== undefined);
    return Math.min(REST_MS_MAX, Math.max(10, (Math.min(...due, Number.MAX_SAFE_INTEGER) - now) / 1000));
  }

  /** Sends a test message now, past the queue. @returns what the other side answered @throws not_found; unavailable: why it was not taken */
  async test(name: string): Promise<{ tookMs: number; message: string }> {
    const { clock } = this.options;
    const from = clock.monotonic();
    const channel = this.directory.channel(name);
    const deliver = this.options.deliver ?? ((...args) => this.send(...args));
    const message = await deliver(channel, { type: "test" }, `sternway-test-${clock.wall()}`);
    this.outbox.retry(name);
    this.wake();
    return { tookMs: (clock.monotonic() - from) / 1000, message };
  }

  /** Queues a report for a channel. @throws not_found */
  sendReport(name: string, report: Omit<ReportContent, "type">): void {
    this.outbox.addReport(this.directory.channel(name), { type: "report", ...report });
    this.wake();
  }

  /** Call after a channel was changed. */
  channelChanged(name: string): void {
    this.outbox.retry(name);
    this.wake();
  }

  /** Removes a channel with what waits for it. @throws not_found */
  deleteChannel(name: string): void {
    this.directory.deleteChannel(name);
    this.outbox.forget(name);
    this.troubles.forget(name);
  }

  /** How a channel fares. */
  channelState(name: string): { waiting: number; lastError: string | undefined } {
    return { waiting: this.outbox.waiting(name), lastError: this.outbox.trouble(name) };
  }

  /** What a delivery says, in a line, and how many events it tells. */
  summary({ content, createdAt }: Pick<DeliveryRow, "content" | "createdAt">): { subject: string; events: number } {
    const read = readContent(content);
    if (!read) return { subject: "(it cannot be read)", events: 0 };
    const { subject } = renderMessage(read, { appliance: this.options.appliance, details: "full", now: createdAt });
    return { subject, events: read.type === "events" ? read.notices.length + read.more : 0 };
  }

  counts(): NotifierCounts {
    const { store, log } = this.options;
    try {
      const sent = store.endedCount("sent");
      return {
        waiting: this.outbox.waiting(),
        failures: this.outbox.failures,
        sent,
        givenUp: store.endedCount("given-up"),
      };
    } catch (error) {
      log.warn({ reason: errorText(error) }, "the queue of notifications could not be counted");
      return { waiting: this.outbox.waiting(), failures: this.outbox.failures, sent: 0, givenUp: 0 };
    }
  }

  private async send(channel: Channel, content: Content, id: string): Promise<string> {
    const { appliance, clock, log } = this.options;
    const { settings, secret } = channel;
    const message = renderMessage(content, { appliance, details: settings.details, now: clock.wall() });
    const answer =
      settings.kind === "email"
        ? await sendEmail(settings, secret, message, id)
        : await callWebhook(settings, secret ?? "", message, id, clock.wall());
    log.info({ channel: channel.name, id, answer }, "a notification was delivered");
    return answer;
  }
}

/** The shortest of rules that remind at all; 0: none does. */
function remindHoursOf(rules: readonly RuleSettings[]): number {
  const hours = rules.map(({ remindHours }) => remindHours).filter((each) => each > 0);
  return hours.length === 0 ? 0 : Math.min(...hours);
}
