/**
 * Routes of where people are signed in. One's own sessions are one's own to see and to end; an administrator sees and ends everybody's. A program sees its
 * account's by its token, but ends none unless it may do everything: a token that may only read must not sign its owner out.
 */
import type { OpenAPIHono } from "@hono/zod-openapi";
import type { RunningSession } from "../access/access.ts";
import { SternwayError } from "../base/errors.ts";
import { formatTime } from "../base/units.ts";
import { routes, type WireOpenSession } from "../contract/contract.ts";
import { ownAccount, principalOf, requestOf, type Asked } from "./access-routes.ts";
import type { ApiContext, ApiEnv } from "./appliance.ts";
import { recordEvent } from "./record.ts";

export function registerSessionRoutes(app: OpenAPIHono<ApiEnv>, context: ApiContext): void {
  const { sessions } = context.access;
  const tell = (account: string, message: string): void =>
    recordEvent(context, { level: "info", kind: "session-ended", subject: account, message });

  app.openapi(routes.listSessions, (c) => {
    const asking = askingSession(c, context);
    const wire = (session: RunningSession): WireOpenSession => wireOf(session, session.id === asking?.id);
    return c.json({ sessions: sessions.running(whose(c, context, c.req.valid("query").account)).map(wire) }, 200);
  });

  app.openapi(routes.endSessions, (c) => {
    const account = whose(c, context, c.req.valid("query").account);
    checkMayEnd(c, context);
    c.set("account", account);
    const asking = askingSession(c, context);
    const ended = sessions.running(account).filter(({ id }) => id !== asking?.id).length;
    sessions.closeAllOf(account, asking);
    if (ended > 0) tell(account, `${principalOf(c).name} ended ${countOf(ended)} of ${account}`);
    return c.json({ ended }, 200);
  });

  app.openapi(routes.endSession, (c) => {
    const { id } = c.req.valid("param");
    const { name, role } = principalOf(c);
    checkMayEnd(c, context);
    const session = sessions.named(id);
    if (!session || (session.account !== name && role !== "administrator")) {
      throw new SternwayError("not_found", `there is no session ${id}: it may be over already`, { session: id });
    }
    c.set("account", session.account);
    const asking = askingSession(c, context);
    if (asking?.id === id) c.header("set-cookie", sessions.close(asking, c.env.secure));
    else sessions.end(id);
    tell(session.account, `${name} ended a session of ${session.account}${whereOf(session)}`);
    return c.body(null, 204);
  });
}

/** @param wanted - the account that the query names @returns it, as far as whoever asks may see it. @throws denied; not_found; invalid: over the control socket without a name */
function whose(c: Asked, context: ApiContext, wanted: string | undefined): string {
  const { name, role, by } = principalOf(c);
  if (wanted === undefined && by === "control") {
    throw new SternwayError("invalid", "over the control socket nobody has sessions of his own: name an `account`");
  }
  if (wanted === undefined || wanted === name) return name;
  if (role !== "administrator") throw new SternwayError("denied", "only administrators see where others are signed in");
  return context.access.accounts.get(wanted).name;
}

/** @throws denied: by a token that may not do everything */
function checkMayEnd(c: Asked, context: ApiContext): void {
  if (principalOf(c).role !== "administrator") ownAccount(c, context);
}

function askingSession(c: Asked, { access }: ApiContext): ReturnType<typeof access.sessions.find> {
  const { headers, secure } = requestOf(c);
  return principalOf(c).by === "session" ? access.sessions.find(headers, secure) : undefined;
}

const countOf = (count: number): string => (count === 1 ? "a session" : `${count} sessions`);

/** Which one, in words: people know it by that. */
function whereOf({ from, browser }: RunningSession): string {
  const words = [browser, from === "" ? "" : `from ${from}`].filter((each) => each !== "");
  return words.length === 0 ? "" : ` (${words.join(", ")})`;
}

function wireOf({ createdAt, seenAt, endsAt, ...session }: RunningSession, current: boolean): WireOpenSession {
  return {
    ...session,
    createdAt: formatTime(createdAt),
    lastSeenAt: formatTime(seenAt),
    endsAt: formatTime(endsAt),
    current,
  };
}
