/**
 * What a notification says, and how it looks: as a mail's subject, text and HTML, and as a webhook's JSON. The contents lie in the queue as JSON until they
 * are delivered. Everything in them was written by others (names, errors of remote services), so it is escaped, cut to size, and kept out of headers
 * but for one line.
 */
import { z } from "zod";
import { html, oneLine, type Html } from "../base/html.ts";
import { formatTime, micros, type Micros } from "../base/units.ts";
import { EVENT_LEVELS, eventKind, type EventLevel } from "../contract/event-kinds.ts";

/** One thing to tell, as it is kept. */
const noticeSchema = z.object({
  eventId: z.number(),
  time: z.number(),
  level: z.enum(EVENT_LEVELS),
  kind: z.string(),
  subject: z.string(),
  message: z.string(),
  /** `new`, the trouble `changed`, it `ended`, or it goes on and this is a `reminder`. */
  why: z.enum(["new", "changed", "ended", "reminder"]),
  /** Of a trouble that goes on or ended: since when. */
  since: z.number().optional(),
  /** How often it was told to us since it was told to them. */
  repeats: z.number().optional(),
});
export type Notice = z.output<typeof noticeSchema>;

const attachmentSchema = z.object({ name: z.string(), type: z.string(), content: z.string() });

export const contentSchema = z.discriminatedUnion("type", [
  z.object({
    type: z.literal("events"),
    /** Apart: what waits for the end of quiet hours. */
    slot: z.enum(["soon", "quiet"]),
    notices: z.array(noticeSchema),
    /** That are not among the notices, because they were too many. */
    more: z.number(),
    /** They waited because the channel had its hour's messages. */
    held: z.boolean(),
    /** This is the last message of the hour; more come at this time. */
    limitUntil: z.number().optional(),
  }),
  z.object({
    type: z.literal("report"),
    subject: z.string(),
    text: z.string(),
    html: z.string(),
    attachments: z.array(attachmentSchema),
    data: z.unknown(),
  }),
  z.object({ type: z.literal("test") }),
]);
export type Content = z.output<typeof contentSchema>;
export type EventsContent = Extract<Content, { type: "events" }>;
export type ReportContent = Extract<Content, { type: "report" }>;

export interface Message {
  /** One line. */
  subject: string;
  text: string;
  html: string;
  /** For a webhook. */
  json: Record<string, unknown>;
  attachments: z.output<typeof attachmentSchema>[];
}

/** Longer ones are cut: 998 octets are the most that a line of a mail may have, and screens show fewer. */
const SUBJECT_LENGTH_MAX = 160;
const MESSAGE_LENGTH_MAX = 1_000;
const NAME_LENGTH_MAX = 120;

const WHY: Record<Notice["why"], string> = { new: "", changed: "changed: ", ended: "over: ", reminder: "still: " };

/** The words of one notice, without names where the channel is to have none. */
interface Told {
  title: string;
  todo: string;
  subject: string;
  message: string;
  notice: Notice;
}

function told(notice: Notice, isBrief: boolean): Told {
  const { title, todo } = eventKind(notice.kind, notice.level);
  return {
    title: `${WHY[notice.why]}${oneLine(title, NAME_LENGTH_MAX)}`,
    todo: notice.why === "ended" ? "" : todo,
    subject: isBrief ? "" : oneLine(notice.subject, NAME_LENGTH_MAX),
    message: isBrief ? "" : oneLine(notice.message, MESSAGE_LENGTH_MAX),
    notice,
  };
}

/** @param appliance - by what people know it: its host name @param details - `brief`: without names and messages */
export function renderMessage(
  content: Content,
  about: { appliance: string; details: "full" | "brief"; now: Micros },
): Message {
  switch (content.type) {
    case "events":
      return eventsMessage(content, about.appliance, about.details === "brief", about.now);
    case "report":
      return reportMessage(content, about.appliance, about.now);
    case "test":
      return testMessage(about.appliance, about.now);
  }
}

function eventsMessage(content: EventsContent, appliance: string, isBrief: boolean, now: Micros): Message {
  const tolds = content.notices.map((notice) => told(notice, isBrief));
  const notes = notesOf(content);
  return {
    subject: oneLine(`[${oneLine(appliance, 60)}] ${headline(content, tolds)}`, SUBJECT_LENGTH_MAX),
    text: [...tolds.map(textOf), ...notes, footer(appliance)].join("\n\n"),
    html: page(appliance, html`${tolds.map(htmlOf)}${notes.map((note) => html`<p>${note}</p>`)}`),
    json: {
      type: "events",
      appliance,
      sentAt: formatTime(now),
      events: tolds.map(jsonOf),
      more: content.more,
      heldBack: content.held,
    },
    attachments: [],
  };
}

function headline({ notices, more }: EventsContent, tolds: readonly Told[]): string {
  const [only] = tolds;
  if (only && tolds.length === 1 && more === 0) {
    const subject = only.subject === "" ? "" : ` (${only.subject})`;
    return `${only.notice.level}: ${only.title}${subject}`;
  }
  const rank = (level: EventLevel): number => EVENT_LEVELS.indexOf(level);
  const worst = notices.reduce<EventLevel>((most, { level }) => (rank(level) > rank(most) ? level : most), "info");
  return `${worst}: ${notices.length + more} events, first: ${only?.title ?? "none"}`;
}

function notesOf({ more, held, limitUntil }: EventsContent): string[] {
  const notes: string[] = [];
  if (more > 0) notes.push(`${more} more are not listed here; the console and \`sternway events\` have them all.`);
  if (held) notes.push("These were held back, because this channel had as many messages in an hour as it may have.");
  if (limitUntil !== undefined) {
    const at = formatTime(micros(limitUntil)).slice(11, 16);
    notes.push(`This is the last message of this hour: what follows is held back and comes in one, at ${at} UTC.`);
  }
  return notes;
}

function timesOf({ time, since, repeats }: Notice): string {
  const parts = [formatTime(micros(time))];
  if (since !== undefined && since !== time) parts.push(`since ${formatTime(micros(since))}`);
  if (repeats !== undefined && repeats > 0) parts.push(`told ${repeats} times more meanwhile`);
  return parts.join(", ");
}

function textOf({ title, todo, subject, message, notice }: Told): string {
  const about = subject === "" ? "" : ` (${subject})`;
  return [`${notice.level.toUpperCase()}: ${title}${about}`, timesOf(notice), message, todo]
    .filter((line) => line !== "")
    .join("\n");
}

const COLORS: Record<EventLevel, string> = { info: "#4a6785", warning: "#8a5a00", alert: "#a4161a" };

function htmlOf({ title, todo, subject, message, notice }: Told): Html {
  const color = notice.why === "ended" ? "#2c6e49" : COLORS[notice.level];
  return html`<div style="border-left:4px solid ${color};padding:2px 0 2px 12px;margin:0 0 16px">
    <p style="margin:0">
      <strong style="color:${color}">${notice.level}: ${title}</strong
      >${subject === "" ? "" : html` &middot; ${subject}`}
    </p>
    <p style="margin:0;color:#555">${timesOf(notice)}</p>
    ${message === "" ? "" : html`<p style="margin:4px 0 0">${message}</p>`}
    ${todo === "" ? "" : html`<p style="margin:4px 0 0"><em>${todo}</em></p>`}
  </div>`;
}

function jsonOf({ title, todo, subject, message, notice }: Told): Record<string, unknown> {
  const { eventId, time, level, kind, why, since, repeats } = notice;
  return {
    id: eventId,
    time: formatTime(micros(time)),
    level,
    kind,
    topic: eventKind(kind, level).topic,
    why,
    title,
    ...(subject === "" ? {} : { subject }),
    ...(message === "" ? {} : { message }),
    ...(todo === "" ? {} : { todo }),
    ...(since === undefined ? {} : { since: formatTime(micros(since)) }),
    ...(repeats === undefined ? {} : { repeats }),
  };
}

function reportMessage(content: ReportContent, appliance: string, now: Micros): Message {
  const { subject, text, html: page_, attachments, data } = content;
  return {
    subject: oneLine(`[${oneLine(appliance, 60)}] ${subject}`, SUBJECT_LENGTH_MAX),
    text,
    html: page_,
    json: { type: "report", appliance, sentAt: formatTime(now), subject, report: data },
    attachments,
  };
}

function testMessage(appliance: string, now: Micros): Message {
  const line = `This is a test message of ${appliance}. Whoever gets it will get its notifications.`;
  return {
    subject: oneLine(`[${oneLine(appliance, 60)}] test message`, SUBJECT_LENGTH_MAX),
    text: `${line}\n\n${footer(appliance)}`,
    html: page(appliance, html`<p>${line}</p>`),
    json: { type: "test", appliance, sentAt: formatTime(now) },
    attachments: [],
  };
}

const footer = (appliance: string): string =>
  `-- \nSent by Sternway on ${appliance}. Who gets what is set under notifications, or with \`sternway notify rule\`.`;

function page(appliance: string, body: Html): string {
  return html`<!doctype html>
    <html lang="en">
      <head>
        <meta charset="utf-8" />
        <title>Sternway</title>
      </head>
      <body style="font:14px/1.5 sans-serif;color:#222;max-width:44em">
        ${body}
        <p style="color:#777;border-top:1px solid #ddd;padding-top:8px">
          Sent by Sternway on ${appliance}. Who gets what is set under notifications, or with
          <code>sternway notify rule</code>.
        </p>
      </body>
    </html>`.text;
}
