/**
 * How old things are, by what no wall clock can say: the fold of the marks `time-noted`.
 *
 * A wall clock can be set, by mistake or on purpose, and an appliance that is off cannot tell how long it was. So a vault counts the
 * monotonic time during which it was open, *elapsed* time, and now and then notes how much that is. Whatever lies at or before such a note
 * is at least as old as what has elapsed since. It may be older: time that the appliance was off, and what elapsed between the last
 * note and a crash, does not count. Locks are measured by this alone, so they last longer than asked and never shorter.
 *
 * Beside it stands *trusted* wall time, for policies: it follows the wall clock, but never faster than twice the elapsed time. A clock set
 * forward by years thus expires nothing at once, and people have time to put it right; after a time off, the same rule makes up leeway.
 *
 * Notes are thinned as they age: two neighbours are never further apart than a 32nd of their age (or one interval of noting). That keeps some
 * hundreds of them for decades, and makes a lock at most a 32nd longer than asked.
 */

export interface TimeNote {
  /** Everything up to here was there when it was noted. */
  lsn: number;
  elapsedMicros: number;
}

export interface TimeLedger {
  /** As of the newest note. */
  elapsedMicros: number;
  /** Wall time, microseconds, as of the newest note. */
  trustedMicros: number;
  /** Oldest first; both fields ascending. */
  notes: TimeNote[];
}

/** Trusted time may run so many times as fast as elapsed time. */
export const TRUSTED_RATE = 2;
/** How much longer than asked a lock may last, as a share of it. */
const SLACK_SHARE = 1 / 32;

/** The ledger with one note more. Time never runs backwards in it. */
export function withNote(ledger: TimeLedger | undefined, note: TimeNote, trustedMicros: number): TimeLedger {
  const elapsedMicros = Math.max(note.elapsedMicros, ledger?.elapsedMicros ?? 0);
  const notes = [...(ledger?.notes ?? []), { lsn: note.lsn, elapsedMicros }];
  return {
    elapsedMicros,
    trustedMicros: Math.max(trustedMicros, ledger?.trustedMicros ?? 0),
    notes: thinned(notes, elapsedMicros),
  };
}

/** Drops a note where its neighbours are close enough for their age without it. The first and the last stay. */
function thinned(notes: readonly TimeNote[], now: number): TimeNote[] {
  const left: TimeNote[] = [];
  for (const [i, note] of notes.entries()) {
    const before = left.at(-1);
    const after = notes[i + 1];
    const isSpare =
      before !== undefined &&
      after !== undefined &&
      after.elapsedMicros - before.elapsedMicros <= (now - after.elapsedMicros) * SLACK_SHARE;
    if (!isSpare) left.push(note);
  }
  return left;
}

/** The newest LSN known to be of at least this age; 0: nothing is. @param elapsedMicros - by now */
export function newestOfAge(ledger: TimeLedger | undefined, elapsedMicros: number, ageMicros: number): number {
  return ledger?.notes.findLast((note) => elapsedMicros - note.elapsedMicros >= ageMicros)?.lsn ?? 0;
}

/** How long, in elapsed time, until an LSN is known to be of this age; 0: it is. Without a note of it, as if it were new. */
export function untilOfAge(
  ledger: TimeLedger | undefined,
  elapsedMicros: number,
  lsn: number,
  ageMicros: number,
): number {
  const noted = ledger?.notes.find((note) => note.lsn >= lsn)?.elapsedMicros ?? elapsedMicros;
  return Math.max(0, ageMicros - (elapsedMicros - noted));
}
