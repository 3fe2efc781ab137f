/**
 * How much one client may ask for: token buckets by principal, and by address before anybody is known. Nobody is limited over the control socket.
 *
 * The table is bounded: a bucket that is full again is as good as none, and where all are in use the one longest unused is forgotten.
 */
import type { Context, MiddlewareHandler } from "hono";
import type { Clock } from "../base/clock.ts";
import { SternwayError } from "../base/errors.ts";
import { problemOf } from "../contract/contract.ts";
import type { ApiEnv } from "./appliance.ts";
import { isOwnRequest } from "./preconditions.ts";
import { respond } from "./problems.ts";

/** So many at once, and so many a second from then on. */
export interface Rate {
  burst: number;
  perSecond: number;
}

/** As `http.rates` in the configuration has them. */
export interface Rates {
  /** Of one principal, or of one address from which nobody has signed in. */
  requests: Rate;
  /** Of one address, whoever asks: several people may share one. */
  address: Rate;
  /** Of one address: each costs a hash of a password that is slow by intention. */
  signIn: Rate;
}

const BUCKETS_MAX = 10_000;

/** Operations that prove who somebody is, or make the first account. */
const SIGN_IN: ReadonlySet<string> = new Set(["signIn", "setUp", "startOidc", "finishOidc"]);

/** Limits by address. Comes before anything that costs more than this. */
export function addressRates(clock: Clock, rates: Rates): MiddlewareHandler<ApiEnv> {
  const all = new Buckets(clock, rates.address);
  const signIn = new Buckets(clock, rates.signIn);
  return async (c, next) => {
    if (isFree(c)) return await next();
    const place = placeOf(c.env.from);
    const waitSeconds = Math.max(all.take(place), SIGN_IN.has(c.get("operation")) ? signIn.take(place) : 0);
    return waitSeconds > 0 ? tooMany(waitSeconds) : await next();
  };
}

/** Limits by principal. Comes when it is known who asks. */
export function principalRates(clock: Clock, rates: Rates): MiddlewareHandler<ApiEnv> {
  const buckets = new Buckets(clock, rates.requests);
  return async (c, next) => {
    if (isFree(c)) return await next();
    const principal = c.get("principal");
    const waitSeconds = buckets.take(principal ? `name ${principal.name}` : `from ${placeOf(c.env.from)}`);
    return waitSeconds > 0 ? tooMany(waitSeconds) : await next();
  };
}

function isFree(c: Context<ApiEnv>): boolean {
  return c.env.via === "control" || isOwnRequest(c.req.raw);
}

function tooMany(waitSeconds: number): Response {
  const seconds = Math.ceil(waitSeconds);
  const error = new SternwayError("unavailable", `too many requests; the next is taken in ${seconds} s`, {
    retryAfterSeconds: seconds,
  });
  const todo = "Wait for as long as Retry-After says, then send it again.";
  return respond(problemOf(error, { status: 429, todo }), { "retry-after": String(seconds) });
}

/** Who has one IPv6 address has 2^64 of them. */
export function placeOf(address: string): string {
  const plain = address.replace(/^::ffff:(?=\d+\.)/i, "").replace(/%.*$/, "");
  if (!plain.includes(":")) return plain;
  const [head = "", tail] = plain.split("::");
  const before = head === "" ? [] : head.split(":");
  const after = tail === undefined || tail === "" ? [] : tail.split(":");
  const zeroes = Array.from({ length: Math.max(0, 8 - before.length - after.length) }, () => "0");
  const groups = tail === undefined ? before : [...before, ...zeroes, ...after];
  return groups
    .slice(0, 4)
    .map((group) => group.toLowerCase().replace(/^0+(?=.)/, ""))
    .join(":");
}

interface Bucket {
  tokens: number;
  /** Monotonic microseconds at which that was so. */
  at: number;
}

/** In the order of their last use. */
export class Buckets {
  private readonly clock: Clock;
  private readonly rate: Rate;
  private readonly buckets = new Map<string, Bucket>();

  constructor(clock: Clock, rate: Rate) {
    this.clock = clock;
    this.rate = rate;
  }

  get size(): number {
    return this.buckets.size;
  }

  /** Takes one. @returns 0, or the seconds until there is one */
  take(key: string): number {
    const { burst, perSecond } = this.rate;
    const now = this.clock.monotonic();
    const known = this.buckets.get(key);
    const tokens = known ? Math.min(burst, known.tokens + ((now - known.at) / 1e6) * perSecond) : burst;
    this.buckets.delete(key);
    const isTaken = tokens >= 1;
    this.buckets.set(key, { tokens: isTaken ? tokens - 1 : tokens, at: now });
    this.forget(now);
    return isTaken ? 0 : (1 - tokens) / perSecond;
  }

  /** Those at the front that are full again, and the longest unused of too many. */
  private forget(now: number): void {
    const { burst, perSecond } = this.rate;
    for (const [key, { tokens, at }] of this.buckets) {
      const isFull = tokens + ((now - at) / 1e6) * perSecond >= burst;
      if (!isFull && this.buckets.size <= BUCKETS_MAX) return;
      this.buckets.delete(key);
    }
  }
}
