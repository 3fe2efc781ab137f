/**
 * The one error class of the project. The kind says what the caller can do about it;
 * the message carries the facts. HTTP maps kinds to status, NBD to errno, the CLI to exit codes.
 */

/**
 * - `invalid`: the request is wrong; changing it is the only cure
 * - `not_found`: the named thing does not exist
 * - `conflict`: the thing is in a state that forbids this now (exists already, attached, locked)
 * - `unavailable`: try again later (disk full, tier offline, shutting down)
 * - `corrupt`: stored bytes failed their checksum and no other copy gave them
 * - `fenced`: another writer has taken over
 * - `denied`: not allowed
 * - `internal`: a defect of ours
 */
export type ErrorKind =
  "invalid" | "not_found" | "conflict" | "unavailable" | "corrupt" | "fenced" | "denied" | "internal";

export class SternwayError extends Error {
  readonly kind: ErrorKind;
  /** Machine-readable facts: ids, offsets, expected and actual values. Never secrets. */
  readonly facts: Readonly<Record<string, string | number | boolean>>;

  constructor(
    kind: ErrorKind,
    message: string,
    facts: Record<string, string | number | boolean> = {},
    options: { cause?: unknown } = {},
  ) {
    super(message, options);
    this.name = "SternwayError";
    this.kind = kind;
    this.facts = facts;
  }
}

/** True for a {@link SternwayError}, of the given kind where one is named. */
export function isSternwayError(error: unknown, kind?: ErrorKind): error is SternwayError {
  return error instanceof SternwayError && (kind === undefined || error.kind === kind);
}

/** Causes of causes that are told. */
const CAUSES_MAX = 16;

/** The text of anything thrown, with its chain of causes; what a message says of its cause already is not said twice. */
export function errorText(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  let text = error.message;
  let { cause } = error;
  for (let told = 0; cause !== undefined && told < CAUSES_MAX; told++) {
    const said = cause instanceof Error ? cause.message : errorText(cause);
    if (!text.includes(said)) text += `: ${said}`;
    cause = cause instanceof Error ? cause.cause : undefined;
  }
  return text;
}
