/**
 * What comes by the thousand, such as refused attempts, which cost whoever makes them nothing: the first one is entered at once, those like it within a minute are
 * counted, and told when something comes after that minute; past {@link KINDS_MAX} kinds in a minute they are counted as one.
 */
import type { AuditFacts } from "./line.ts";

const WINDOW_MICROS = 60_000_000;
const KINDS_MAX = 256;

interface Repeated {
  since: number;
  facts: AuditFacts;
  count: number;
}

/** Entries like one that was made a short time ago. */
export class Repeats {
  /** The oldest first. */
  readonly #seen = new Map<string, Repeated>();

  /** Whether an entry is to be made now; else it is counted. */
  isNew(facts: AuditFacts, now: number): boolean {
    const { who, by, from, action, subject, result, detail } = facts;
    const kind = JSON.stringify([who, by, from, action, subject, result, detail?.["status"]]);
    const seen = this.#seen.get(kind) ?? (this.#seen.size >= KINDS_MAX ? this.#seen.get("others") : undefined);
    if (seen) {
      seen.count++;
      return false;
    }
    if (this.#seen.size >= KINDS_MAX) {
      const others = { ...facts, who: "-", role: "-", by: "-", from: "", action: "many", subject: "many", detail: {} };
      this.#seen.set("others", { since: now, facts: others, count: 1 });
      return false;
    }
    this.#seen.set(kind, { since: now, facts, count: 0 });
    return true;
  }

  /** What is to be told of minutes that are over. */
  *over(now: number): Generator<AuditFacts> {
    for (const [kind, { since, facts, count }] of this.#seen) {
      // A clock that was set back must not keep a minute open for long.
      if (now - since < WINDOW_MICROS && now >= since) return;
      this.#seen.delete(kind);
      if (count > 0) yield { ...facts, detail: { ...facts.detail, again: count } };
    }
  }
}
