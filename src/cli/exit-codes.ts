/** Exit codes of every command: one per kind of error, so that scripts can tell what to do. Part of the interface. */
import type { ErrorKind } from "../base/errors.ts";

export const EXIT_CODES = {
  internal: 1,
  invalid: 2,
  not_found: 3,
  conflict: 4,
  unavailable: 5,
  corrupt: 6,
  denied: 7,
  fenced: 8,
} as const satisfies Record<ErrorKind, number>;

/** Ended by SIGINT, as shells count it. */
export const EXIT_INTERRUPTED = 130;
/** Ended because the reader of its output did, as shells count SIGPIPE. */
export const EXIT_OUTPUT_CLOSED = 141;

/** For the end of the help page. */
export const EXIT_CODE_HELP = `
Exit codes:
  0  done
  1  a defect of Sternway
  2  wrong usage, or a request that makes no sense
  3  no such volume, bookmark, moment or file
  4  its state forbids it now: exists already, attached, in use
  5  not possible at this time: no daemon answers, no room, a failing disk
  6  stored bytes are damaged, or a check found damage
  7  not allowed
  8  another writer has taken the vault over
  130  interrupted
  141  the reader of the output went away`;
