/**
 * How errors cross the wire: an NBD errno in transmission, an option error in negotiation, and back into
 * {@link SternwayError} on the client. Only these few errnos may be sent (proto.md, "Error values").
 */
import { SternwayError, isSternwayError, type ErrorKind } from "../base/errors.ts";
import {
  NBD_EINVAL,
  NBD_EIO,
  NBD_ENOSPC,
  NBD_EPERM,
  NBD_ESHUTDOWN,
  NBD_REP_ERR_INVALID,
  NBD_REP_ERR_POLICY,
  NBD_REP_ERR_SHUTDOWN,
  NBD_REP_ERR_TLS_REQD,
  NBD_REP_ERR_TOO_BIG,
  NBD_REP_ERR_UNKNOWN,
  NBD_REP_ERR_UNSUP,
} from "./protocol.ts";

/** What a client sees of an error that a device threw. Anything that is not ours is EIO. */
export function errnoOf(error: unknown): number {
  if (!isSternwayError(error)) return NBD_EIO;
  switch (error.kind) {
    case "invalid":
    case "not_found":
      // proto.md's list has no ENOENT: the request names something that cannot be.
      return NBD_EINVAL;
    case "unavailable":
      return error.facts["code"] === "ENOSPC" ? NBD_ENOSPC : NBD_EIO;
    case "fenced":
      // Another writer has taken over: this server will never accept a write again, and the client should go elsewhere.
      return NBD_ESHUTDOWN;
    case "denied":
      return NBD_EPERM;
    case "conflict":
    case "corrupt":
    case "internal":
      return NBD_EIO;
  }
}

/** The option error for what `NbdExports` threw. */
export function optionErrorOf(error: unknown): number {
  if (!isSternwayError(error)) return NBD_REP_ERR_UNKNOWN;
  switch (error.kind) {
    case "denied":
    case "conflict":
      return NBD_REP_ERR_POLICY;
    case "unavailable":
    case "fenced":
      return NBD_REP_ERR_SHUTDOWN;
    case "invalid":
    case "not_found":
    case "corrupt":
    case "internal":
      // A name that cannot be opened is unknown to the client; the message says why.
      return NBD_REP_ERR_UNKNOWN;
  }
}

/** The message that may leave the machine: ours is written for people, a stranger's may hold anything. */
export function messageOf(error: unknown): string {
  return isSternwayError(error) ? error.message : "internal error";
}

const ERRNO_KINDS: Record<number, { kind: ErrorKind; code: string }> = {
  [NBD_EPERM]: { kind: "denied", code: "EPERM" },
  [NBD_EIO]: { kind: "unavailable", code: "EIO" },
  12: { kind: "unavailable", code: "ENOMEM" },
  [NBD_EINVAL]: { kind: "invalid", code: "EINVAL" },
  [NBD_ENOSPC]: { kind: "unavailable", code: "ENOSPC" },
  75: { kind: "invalid", code: "EOVERFLOW" },
  95: { kind: "invalid", code: "ENOTSUP" },
  [NBD_ESHUTDOWN]: { kind: "unavailable", code: "ESHUTDOWN" },
};

/** A server's errno as our error; `facts.code` is the errno's name, `facts.said` the server's own words, if it had any. */
export function errorOfErrno(errno: number, message: string, doing: string): SternwayError {
  const known = ERRNO_KINDS[errno] ?? { kind: "unavailable" as const, code: `errno ${errno}` };
  const text = message === "" ? known.code : `${message} (${known.code})`;
  return new SternwayError(known.kind, `the NBD server refused ${doing}: ${text}`, {
    code: known.code,
    errno,
    ...(message === "" ? {} : { said: message }),
  });
}

const OPTION_ERROR_KINDS: Record<number, { kind: ErrorKind; text: string }> = {
  [NBD_REP_ERR_UNSUP]: { kind: "invalid", text: "not supported" },
  [NBD_REP_ERR_POLICY]: { kind: "denied", text: "forbidden by the server's policy" },
  [NBD_REP_ERR_INVALID]: { kind: "invalid", text: "invalid" },
  [NBD_REP_ERR_TLS_REQD]: { kind: "denied", text: "the server requires TLS" },
  [NBD_REP_ERR_UNKNOWN]: { kind: "not_found", text: "no such export" },
  [NBD_REP_ERR_SHUTDOWN]: { kind: "unavailable", text: "the server is shutting down" },
  [NBD_REP_ERR_TOO_BIG]: { kind: "invalid", text: "too big" },
};

/** A server's option error as our error. */
export function errorOfOption(replyType: number, message: string, doing: string): SternwayError {
  const known = OPTION_ERROR_KINDS[replyType] ?? { kind: "unavailable" as const, text: "refused" };
  return new SternwayError(known.kind, `${doing}: ${message === "" ? known.text : message}`, { replyType });
}
