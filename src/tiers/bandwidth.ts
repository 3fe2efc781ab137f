/**
 * How fast a tier may be written to and read from: so many bytes a second, by the time of day.
 *
 *     20MiB/s                             always
 *     08:00-18:00=5MiB/s,*=unlimited      slowly by day; the first window that fits counts, `*` is any time
 *     22:00-06:00=unlimited,*=1MiB/s      windows may cross midnight
 *
 * Times of day are those of a zone's clock at the moment, so windows move with its switches, and a window that a switch leaves out does not come
 * that day. Outside all windows there is no limit. Rates are measured in running time: a wall clock that is set moves windows alone.
 */
import type { Clock } from "../base/clock.ts";
import { SternwayError } from "../base/errors.ts";
import { parseSize } from "../base/units.ts";
import { givenUp, pause, unlessAborted } from "./waiting.ts";
import { checkZone, inZone, systemZone } from "../base/zone.ts";

interface Window {
  /** Minutes of the day, [from, to); `to` may be before `from`. */
  from: number;
  to: number;
  bytesPerSecond: number;
}

const DAY_MINUTES = 1440;
/** What may go at once after a pause, in seconds' worth. */
const BURST_SECONDS = 1;
/** A wait is looked at again after this, for another window may have begun. */
const WAIT_MS_MAX = 1000;
/** Slower than this, one piece of 1 MiB would take more than a quarter of an hour. */
const RATE_MIN = 1024;
/** A quarter of an hour each is as fine as people think; a text of thousands is a mistake. */
const WINDOWS_MAX = 100;

export class Bandwidth {
  private readonly windows: readonly Window[];
  private readonly clock: Clock;
  private readonly zone: string;
  /** Bytes that may go now; below 0: what went already and is to be waited for. */
  private tokens = 0;
  private filledAt: number;
  /** Resolves when everyone who asked before is done. */
  private queue: Promise<void> = Promise.resolve();

  /** @param zone - IANA name, whose hours the text means; default: the system's @throws invalid: the text, or the zone */
  constructor(text: string, clock: Clock, zone: string = systemZone()) {
    this.windows = parseWindows(text);
    checkZone(zone);
    this.clock = clock;
    this.zone = zone;
    this.filledAt = clock.monotonic();
  }

  /** Now; Infinity: no limit. */
  get bytesPerSecond(): number {
    const { hour, minute } = inZone(this.clock.wall(), this.zone);
    const window = this.windows.find((each) => holds(each, hour * 60 + minute));
    return window?.bytesPerSecond ?? Number.POSITIVE_INFINITY;
  }

  /**
   * Resolves when so many bytes may go. Who asks first goes first; what is larger than a second's worth goes as a whole and is waited for by those after it.
   * @throws unavailable with facts.aborted, as soon as the signal is aborted; nothing is taken then
   */
  async take(bytes: number, signal?: AbortSignal): Promise<void> {
    const before = this.queue;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.queue = promise;
    try {
      await unlessAborted(before, signal, undefined);
      await this.wait(bytes, signal);
    } finally {
      // One that was given up in the line does not let those behind it past those before it.
      void before.then(resolve);
    }
  }

  private async wait(bytes: number, signal: AbortSignal | undefined): Promise<void> {
    for (;;) {
      if (signal?.aborted === true) throw givenUp("waiting for bandwidth");
      const rate = this.bytesPerSecond;
      const now = this.clock.monotonic();
      if (rate === Number.POSITIVE_INFINITY) this.tokens = 0;
      else this.tokens = Math.min(rate * BURST_SECONDS, this.tokens + ((now - this.filledAt) * rate) / 1e6);
      this.filledAt = now;
      if (rate === Number.POSITIVE_INFINITY) return;
      if (this.tokens > 0) {
        this.tokens -= bytes;
        return;
      }
      await pause(this.clock, Math.min(WAIT_MS_MAX, Math.ceil((-this.tokens / rate) * 1000) + 1), signal);
    }
  }
}

/** @throws invalid, with what is allowed */
export function checkBandwidth(text: string): void {
  parseWindows(text);
}

function parseWindows(text: string): Window[] {
  const parts = text.split(",");
  // A rate alone is for any time; what comes after any time would never count.
  const anyAt = parts.findIndex((part) => !part.includes("=") || part.trim().startsWith("*"));
  if (parts.length > WINDOWS_MAX || (anyAt >= 0 && anyAt < parts.length - 1)) throw unreadable(text);
  return parts.map((part) => parseWindow(text, part.includes("=") ? part : `*=${part}`));
}

function parseWindow(text: string, part: string): Window {
  const [times = "", rateText = "", ...more] = part.split("=").map((each) => each.trim());
  const rate = /^(.+?)(?:\/s)?$/.exec(rateText)?.[1] ?? "";
  const bytesPerSecond = rateText === "unlimited" ? Number.POSITIVE_INFINITY : parseSize(rate);
  const [from, to] = times === "*" ? [0, DAY_MINUTES] : times.split("-", 2).map(minuteOf);
  const isPlain = more.length === 0 && times.split("-").length <= 2;
  if (from === undefined || to === undefined || from === to || from === DAY_MINUTES || !isPlain) throw unreadable(text);
  if (bytesPerSecond === undefined || bytesPerSecond < RATE_MIN) throw unreadable(text);
  return { from, to, bytesPerSecond };
}

/** Of "08:30"; "24:00" is the day's end. */
function minuteOf(time: string): number | undefined {
  const [, hour, minute] = /^(\d{1,2}):([0-5]\d)$/.exec(time.trim()) ?? [];
  const minutes = Number(hour) * 60 + Number(minute);
  return minutes <= DAY_MINUTES ? minutes : undefined;
}

const holds = ({ from, to }: Window, minute: number): boolean =>
  from < to ? minute >= from && minute < to : minute >= from || minute < to;

const unreadable = (text: string): SternwayError =>
  new SternwayError(
    "invalid",
    `"${text}" is no bandwidth: use 20MiB/s, or by time of day 08:00-18:00=5MiB/s,*=unlimited ("*" last); 1KiB/s at the least`,
  );
