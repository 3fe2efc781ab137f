/**
 * Pauses after wrong passwords and codes, growing with each: by the name that was tried, whether there is such an account or not, and by the address that
 * tried. An attempt counts from its beginning and is taken back when it succeeds; otherwise a hundred at once would be a hundred guesses for one.
 *
 * In memory and bounded; what failed longest ago is forgotten first. An account's own count is also kept in the catalog (see `sign-in.ts`), so that
 * neither a restart nor a flood of other names gives anybody a fresh start on it.
 */
import type { Clock } from "../base/clock.ts";
import { SternwayError } from "../base/errors.ts";

/** Typing errors are free. */
export const NAME_FREE = 4;
/** Many may share an address. */
const ADDRESS_FREE = 16;
const FIRST_PAUSE_SECONDS = 5;
const LAST_PAUSE_SECONDS = 900;
/** Whoever gave no cause for so long starts anew. */
const FORGET_MICROS = 24 * 3600e6;
const KEYS_MAX = 4096;

/** How long nothing is tried after `count` failures: 5 s, 10 s, 20 s, up to 15 minutes. In microseconds. */
export function pauseMicros(count: number, free: number = NAME_FREE): number {
  if (count <= free) return 0;
  return Math.min(LAST_PAUSE_SECONDS, FIRST_PAUSE_SECONDS * 2 ** Math.min(count - free - 1, 16)) * 1e6;
}

/** One attempt that has begun; it counts as a failure unless it is taken back. */
export interface Attempt {
  /** Failures of this name, with this one. */
  readonly nameCount: number;
  /** Failures from this address, with this one. */
  readonly addressCount: number;
  /** Neither right nor wrong: it never was. */
  takeBack(): void;
  /** The name starts anew. The address does not, or somebody with an account of his own could guess at others' for ever. */
  succeeded(): void;
}

interface Failures {
  count: number;
  at: number;
}

export class Lockout {
  private readonly clock: Clock;
  private readonly names = new Map<string, Failures>();
  private readonly addresses = new Map<string, Failures>();

  constructor(clock: Clock) {
    this.clock = clock;
  }

  /** @throws denied, with facts.status 429 and facts.retryAfterSeconds: not yet */
  begin(name: string, address: string): Attempt {
    const from = networkOf(address);
    const leftMicros = Math.max(
      this.leftMicros(this.names.get(name), NAME_FREE),
      this.leftMicros(this.addresses.get(from), ADDRESS_FREE),
    );
    if (leftMicros > 0) throw tooMany(leftMicros);
    const nameCount = this.count(this.names, name);
    const addressCount = this.count(this.addresses, from);
    return {
      nameCount,
      addressCount,
      takeBack: () => {
        uncount(this.names, name);
        uncount(this.addresses, from);
      },
      succeeded: () => {
        this.names.delete(name);
        uncount(this.addresses, from);
      },
    };
  }

  /** Forgets the failures of a name. */
  forgive(name: string): void {
    this.names.delete(name);
  }

  /** True when the attempt is the first after which a pause is due: worth telling once. */
  static isFirstPause({ nameCount, addressCount }: Attempt): "name" | "address" | undefined {
    if (addressCount === ADDRESS_FREE + 1) return "address";
    return nameCount === NAME_FREE + 1 ? "name" : undefined;
  }

  /** @returns microseconds until the name may be tried again; 0: now */
  pauseOfName(name: string): number {
    return this.leftMicros(this.names.get(name), NAME_FREE);
  }

  private leftMicros(failures: Failures | undefined, free: number): number {
    if (!failures) return 0;
    return Math.max(0, failures.at + pauseMicros(failures.count, free) - this.clock.monotonic());
  }

  private count(failures: Map<string, Failures>, key: string): number {
    const now = this.clock.monotonic();
    const before = failures.get(key);
    const count = before === undefined || now - before.at > FORGET_MICROS ? 1 : before.count + 1;
    failures.delete(key);
    failures.set(key, { count, at: now });
    const [oldest] = failures.keys();
    if (failures.size > KEYS_MAX && oldest !== undefined) failures.delete(oldest);
    return count;
  }
}

function uncount(failures: Map<string, Failures>, key: string): void {
  const before = failures.get(key);
  if (!before) return;
  if (before.count > 1) failures.set(key, { count: before.count - 1, at: before.at });
  else failures.delete(key);
}

function tooMany(leftMicros: number): SternwayError {
  const retryAfterSeconds = Math.ceil(leftMicros / 1e6);
  return new SternwayError("denied", `there were too many wrong attempts: try again in ${retryAfterSeconds} s`, {
    status: 429,
    retryAfterSeconds,
  });
}

/** What counts as one address: of IPv6 the first 64 bits, because whoever has one such network has all of it. */
export function networkOf(address: string): string {
  const mapped = /^::ffff:(\d{1,3}(?:\.\d{1,3}){3})$/i.exec(address)?.[1];
  if (mapped !== undefined) return mapped;
  if (!address.includes(":")) return address;
  const [head = "", tail] = address.toLowerCase().replace(/%.*$/, "").split("::");
  const left = head === "" ? [] : head.split(":");
  const right = tail === undefined || tail === "" ? [] : tail.split(":");
  const zeroes = tail === undefined ? [] : Array<string>(Math.max(0, 8 - left.length - right.length)).fill("0");
  return [...left, ...zeroes, ...right]
    .slice(0, 4)
    .map((part) => part.replace(/^0+(?=.)/, ""))
    .join(":");
}
