/**
 * Sessions of browsers: an id of 256 random bits in a cookie, of which the catalog keeps the SHA-256. One ends when it was not used for half an hour, half a day after it was opened,
 * with its account, when the account's password or role changes, and when somebody ends it. Every sign-in opens a new one, so an id that somebody planted before
 * never counts. People name a session by another id, which is random by itself: nothing about the cookie follows from it.
 *
 * What changes something must carry the session's CSRF token in a header: a page of somebody else's can make a browser send the cookie, at worst, but
 * neither read that token nor set that header.
 */
import type { Clock } from "../base/clock.ts";
import { errorText, SternwayError } from "../base/errors.ts";
import type { Random } from "../base/random.ts";
import { micros, type Micros } from "../base/units.ts";
import type { Account, Session, SessionTable } from "../catalog/catalog.ts";
import type { Log } from "../observe/log.ts";
import { browserName } from "./browser-name.ts";
import { readCookie, setCookie } from "./cookies.ts";
import { csrfTokenOf, hashOf, isSameSecret, isSessionId, newPublicId, newSessionId } from "./credentials.ts";

const IDLE_MICROS = 30 * 60e6;
const LIFE_MICROS = 12 * 3600e6;
/** A use is noted at most so often: a page that asks every second is not to write every second. */
const SEEN_MICROS = 60e6;
/** Of one account; the oldest goes first. */
const SESSIONS_MAX = 32;
export const CSRF_HEADER = "x-sternway-csrf";

const READING = new Set(["GET", "HEAD", "OPTIONS"]);

export interface OpenedSession {
  /** For `set-cookie`. */
  cookie: string;
  csrf: string;
  idHash: string;
  endsAt: Micros;
}

/** A session that a request belongs to. */
export interface FoundSession {
  idHash: string;
  /** As in {@link RunningSession}. */
  id: string;
  account: string;
  csrf: string;
  createdAt: Micros;
  /** The latest; earlier if it is not used. */
  endsAt: Micros;
}

/** What a person is shown of one that runs. */
export interface RunningSession {
  /** No secret. */
  id: string;
  account: string;
  createdAt: Micros;
  /** The last use that was noted: up to a minute older than the last one. */
  seenAt: Micros;
  /** The latest; earlier if it is not used. */
  endsAt: Micros;
  /** Address from which it was opened. */
  from: string;
  /** Such as `Firefox on Linux`; empty: not known. */
  browser: string;
}

export class Sessions {
  private readonly table: SessionTable;
  private readonly clock: Clock;
  private readonly random: Random;
  private readonly log: Log;

  constructor(options: { table: SessionTable; clock: Clock; random: Random; log: Log }) {
    this.table = options.table;
    this.clock = options.clock;
    this.random = options.random;
    this.log = options.log;
  }

  /** Opens one. @param request.headers - of the sign-in: a session that it carries ends */
  open(account: Account, request: { headers: Headers; secure: boolean; from: string }): OpenedSession {
    const { headers, secure, from } = request;
    const now = this.clock.wall();
    const before = this.find(headers, secure);
    if (before) this.table.delete(before.idHash);
    this.table.deleteOld(micros(now - LIFE_MICROS), micros(now - IDLE_MICROS));
    const others = this.table.ofAccount(account.name);
    for (const oldest of others.slice(0, Math.max(0, others.length - SESSIONS_MAX + 1))) {
      this.table.delete(oldest.idHash);
    }
    const id = newSessionId(this.random);
    const idHash = hashOf(id);
    const browser = browserName(headers.get("user-agent"));
    const named = { id: newPublicId(this.random), account: account.name, from, browser };
    this.table.insert({ idHash, ...named, createdAt: now, seenAt: now });
    const endsAt = micros(now + LIFE_MICROS);
    return { cookie: setCookie("session", secure, id, LIFE_MICROS / 1e6), csrf: csrfTokenOf(id), idHash, endsAt };
  }

  /** The session whose cookie a request carries, if it still runs. */
  find(headers: Headers, secure: boolean): FoundSession | undefined {
    const id = readCookie(headers, "session", secure);
    if (id === undefined || !isSessionId(id)) return undefined;
    const session = this.table.find(hashOf(id));
    if (!session) return undefined;
    const { idHash, id: name, account, createdAt } = session;
    if (!this.runs(session)) {
      this.quietly(() => this.table.delete(idHash));
      return undefined;
    }
    return { idHash, id: name, account, createdAt, csrf: csrfTokenOf(id), endsAt: micros(createdAt + LIFE_MICROS) };
  }

  /** Notes that it was used. */
  used({ idHash }: FoundSession): void {
    const session = this.table.find(idHash);
    const now = this.clock.wall();
    if (!session || now - session.seenAt < SEEN_MICROS) return;
    this.quietly(() => this.table.seen(idHash, now));
  }

  /** @returns why a request of this session is not to be believed to be its page's */
  refusal({ csrf }: FoundSession, method: string, headers: Headers): SternwayError | undefined {
    if (READING.has(method)) return undefined;
    const given = headers.get(CSRF_HEADER);
    if (given !== null && isSameSecret(given, csrf)) return undefined;
    return new SternwayError(
      "denied",
      `the header ${CSRF_HEADER} ${given === null ? "is missing" : "is not this session's"}: GET /v1/session tells it`,
      { header: CSRF_HEADER },
    );
  }

  /** Ends one. @returns the header `set-cookie` that takes the cookie away */
  close(session: FoundSession | undefined, secure: boolean): string {
    if (session) this.table.delete(session.idHash);
    return setCookie("session", secure, "", 0);
  }

  /** @param but - the one that stays */
  closeAllOf(account: string, but?: FoundSession): void {
    this.table.deleteOfAccount(account, but?.idHash);
  }

  /** Those of an account that run, oldest first. */
  running(account: string): RunningSession[] {
    return this.table.ofAccount(account).flatMap((session) => (this.runs(session) ? [shown(session)] : []));
  }

  /** The one with this name, if it runs. @param id - as {@link RunningSession.id} */
  named(id: string): RunningSession | undefined {
    const session = this.table.findById(id);
    return session && this.runs(session) ? shown(session) : undefined;
  }

  /** Ends the one with this name, if it is there. */
  end(id: string): void {
    const session = this.table.findById(id);
    if (session) this.table.delete(session.idHash);
  }

  private runs({ createdAt, seenAt }: Session): boolean {
    const now = this.clock.wall();
    // A clock that was set back must not make a session last longer: what is in the future counts as over.
    const isWithin = (since: number, most: number): boolean => now - since < most && since - now < SEEN_MICROS;
    return isWithin(createdAt, LIFE_MICROS) && isWithin(seenAt, IDLE_MICROS);
  }

  /** What is only noted must not fail whoever asks for something else. */
  private quietly(work: () => void): void {
    try {
      work();
    } catch (error) {
      this.log.warn({ reason: errorText(error) }, "the catalog did not take the use of a session");
    }
  }
}

function shown({ id, account, createdAt, seenAt, from, browser }: Session): RunningSession {
  return { id, account, createdAt, seenAt, endsAt: micros(createdAt + LIFE_MICROS), from, browser };
}
