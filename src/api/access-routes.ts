/** Routes of set-up, signing in, accounts, one's own password and second factor, tokens, and OpenID Connect. */
import type { OpenAPIHono } from "@hono/zod-openapi";
import type { Context } from "hono";
import { SternwayError } from "../base/errors.ts";
import { formatTime } from "../base/units.ts";
import type { Account, ApiToken } from "../catalog/catalog.ts";
import { routes, type WireAccount, type WireSession, type WireToken } from "../contract/contract.ts";
import type { OpenedSession } from "../access/access.ts";
import type { Principal } from "../contract/rights.ts";
import type { ApiContext, ApiEnv } from "./appliance.ts";
import { takeBackCredentials } from "./credential-routes.ts";
import { recordEvent } from "./record.ts";

export function registerAccessRoutes(app: OpenAPIHono<ApiEnv>, context: ApiContext): void {
  registerSignInRoutes(app, context);
  registerAccountRoutes(app, context);
  registerOwnRoutes(app, context);
  registerTokenRoutes(app, context);
  registerOidcRoutes(app, context);
}

function registerSignInRoutes(app: OpenAPIHono<ApiEnv>, context: ApiContext): void {
  const { access } = context;

  app.openapi(routes.getSetup, (c) => {
    const code = c.env.via === "control" ? access.setupCode : undefined;
    const state = { isSetUp: access.isSetUp, oidc: access.oidc !== undefined };
    return c.json(code === undefined ? state : { ...state, code }, 200);
  });

  app.openapi(routes.setUp, async (c) => {
    const { code, name, password } = c.req.valid("json");
    const isAtTheMachine = c.env.via === "control";
    const account = await access.setUp({
      code: isAtTheMachine ? undefined : (code ?? ""),
      name,
      password,
      from: c.env.from,
    });
    recordEvent(context, {
      level: "info",
      kind: "set-up",
      subject: account.name,
      message: `the appliance was set up${isAtTheMachine ? "" : ` from ${c.env.from}`}; ${account.name} is its first administrator`,
    });
    if (isAtTheMachine)
      return c.json(
        wireSession(context, { name: account.name, role: account.role, machines: [], by: "control" }, account),
        201,
      );
    return c.json(signedIn(c, context, account, access.sessions.open(account, requestOf(c))), 201);
  });

  app.openapi(routes.getSession, (c) => {
    const principal = principalOf(c);
    const account = principal.by === "control" ? undefined : access.accounts.get(principal.name);
    const session = principal.by === "session" ? access.sessions.find(c.req.raw.headers, c.env.secure) : undefined;
    return c.json(wireSession(context, principal, account, session), 200);
  });

  app.openapi(routes.signIn, async (c) => {
    if (c.env.via === "control") {
      throw new SternwayError("invalid", "nobody signs in over the control socket: who reaches it may do everything");
    }
    const { account, session } = await access.signIn({ ...c.req.valid("json"), ...requestOf(c) });
    return c.json(signedIn(c, context, account, session), 201);
  });

  app.openapi(routes.signOut, (c) => {
    const { headers, secure } = requestOf(c);
    c.header("set-cookie", access.sessions.close(access.sessions.find(headers, secure), secure));
    return c.body(null, 204);
  });
}

function registerAccountRoutes(app: OpenAPIHono<ApiEnv>, context: ApiContext): void {
  const { access } = context;
  const tell = (level: "info" | "warning", kind: string, subject: string, message: string): void =>
    recordEvent(context, { level, kind, subject, message });

  app.openapi(routes.listAccounts, (c) =>
    c.json({ accounts: access.accounts.list().map((account) => wireAccount(context, account)) }, 200),
  );

  app.openapi(routes.addAccount, async (c) => {
    const { name, role, machines = [], password } = c.req.valid("json");
    const account = await access.accounts.add({ name, role, machines, password });
    tell("info", "account-added", name, `account ${name} was added with the role ${role}`);
    return c.json(wireAccount(context, account), 201, { location: `/v1/accounts/${name}` });
  });

  app.openapi(routes.getAccount, (c) =>
    c.json(wireAccount(context, access.accounts.get(c.req.valid("param").name)), 200),
  );

  app.openapi(routes.changeAccount, (c) => {
    const { name } = c.req.valid("param");
    const { account, tokensRemoved } = access.accounts.change(name, c.req.valid("json"));
    takeBackCredentials(context, name, account);
    const machines = account.machines.length === 0 ? "" : ` and the machines ${account.machines.join(", ")}`;
    tell("warning", "account-changed", name, `account ${name} has the role ${account.role}${machines} now`);
    return c.json({ ...wireAccount(context, account), tokensRemoved }, 200);
  });

  app.openapi(routes.removeAccount, (c) => {
    const { name } = c.req.valid("param");
    const { role } = access.accounts.get(name);
    access.accounts.remove(name);
    if (role === "self-service") takeBackCredentials(context, name, undefined);
    tell("warning", "account-removed", name, `account ${name} was removed with its sessions and tokens`);
    return c.body(null, 204);
  });

  app.openapi(routes.setAccountPassword, async (c) => {
    const { name } = c.req.valid("param");
    await access.accounts.setPassword(name, c.req.valid("json").password);
    tell("warning", "password-set", name, `the password of ${name} was set by ${principalOf(c).name}`);
    return c.body(null, 204);
  });

  app.openapi(routes.unlockAccount, (c) => {
    const { name } = c.req.valid("param");
    access.accounts.get(name);
    access.signing.unlock(name);
    return c.json(wireAccount(context, access.accounts.get(name)), 200);
  });

  app.openapi(routes.turnAccountTotpOff, (c) => {
    const { name } = c.req.valid("param");
    access.accounts.get(name);
    access.secondFactor.turnOff(name);
    tell("warning", "second-factor-off", name, `the second factor of ${name} was turned off by ${principalOf(c).name}`);
    return c.json(wireAccount(context, access.accounts.get(name)), 200);
  });
}

function registerOwnRoutes(app: OpenAPIHono<ApiEnv>, context: ApiContext): void {
  const { access } = context;
  const tell = (level: "info" | "warning", kind: string, subject: string, message: string): void =>
    recordEvent(context, { level, kind, subject, message });

  app.openapi(routes.changePassword, async (c) => {
    const { name } = ownAccount(c, context);
    const { account, session } = await access.changePassword(name, c.req.valid("json"), requestOf(c));
    tell("info", "password-changed", name, `${name} changed the own password`);
    return c.json(signedIn(c, context, account, session), 200);
  });

  app.openapi(routes.beginTotp, async (c) => {
    const { name } = ownAccount(c, context);
    const account = await access.signing.confirm(name, c.req.valid("json").password, c.env.from);
    return c.json(access.beginSecondFactor(account), 200);
  });

  app.openapi(routes.confirmTotp, (c) => {
    const account = ownAccount(c, context);
    const recoveryCodes = access.secondFactor.confirm(account, c.req.valid("json").code);
    tell("info", "second-factor-on", account.name, `${account.name} has a second factor now`);
    return c.json({ recoveryCodes }, 200);
  });

  app.openapi(routes.turnTotpOff, async (c) => {
    const { name } = ownAccount(c, context);
    await access.turnSecondFactorOff(name, c.req.valid("json"), c.env.from);
    tell("warning", "second-factor-off", name, `${name} turned the own second factor off`);
    return c.body(null, 204);
  });
}

function registerTokenRoutes(app: OpenAPIHono<ApiEnv>, context: ApiContext): void {
  const { access } = context;

  app.openapi(routes.listTokens, (c) => {
    const { name, role } = principalOf(c);
    const tokens = access.tokens.list(role === "administrator" ? undefined : name);
    return c.json({ tokens: tokens.map(wireToken) }, 200);
  });

  app.openapi(routes.addToken, (c) => {
    const { account: whose, expiresInDays, ...wish } = c.req.valid("json");
    const account = principalOf(c).by === "control" ? accountNamed(context, whose) : ownAccount(c, context);
    if (whose !== undefined && whose !== account.name) {
      throw new SternwayError("denied", "only over the control socket are tokens made for somebody else");
    }
    const { token, kept } = access.addToken(account, { ...wish, days: expiresInDays });
    recordEvent(context, {
      level: "info",
      kind: "token-added",
      subject: account.name,
      message: `token ${kept.name} of ${account.name} was made with the role ${kept.role}, until ${formatTime(kept.expiresAt)}`,
    });
    return c.json({ ...wireToken({ ...kept, usedAt: null }), token }, 201);
  });

  app.openapi(routes.removeToken, (c) => {
    const { id } = c.req.valid("param");
    const { name, role } = principalOf(c);
    const token = access.tokens.find(id);
    if (!token || (token.account !== name && role !== "administrator")) {
      throw new SternwayError("not_found", `there is no token ${id}`, { token: id });
    }
    access.tokens.remove(id);
    recordEvent(context, {
      level: "info",
      kind: "token-removed",
      subject: token.account,
      message: `token ${token.name} of ${token.account} was removed`,
    });
    return c.body(null, 204);
  });
}

function registerOidcRoutes(app: OpenAPIHono<ApiEnv>, context: ApiContext): void {
  const { access } = context;
  const provider = (): NonNullable<typeof access.oidc> => {
    if (access.oidc) return access.oidc;
    throw new SternwayError("not_found", "nobody signs in here through a provider: config.json has no `oidc`");
  };

  app.openapi(routes.startOidc, async (c) => {
    const oidc = provider();
    try {
      const { location, cookie } = await oidc.start(c.env.secure);
      c.header("set-cookie", cookie);
      return c.redirect(location, 302);
    } catch (error) {
      return c.redirect(backToConsole(error), 302);
    }
  });

  app.openapi(routes.finishOidc, async (c) => {
    const oidc = provider();
    const { headers, secure } = requestOf(c);
    c.header("set-cookie", oidc.forgotten(secure));
    try {
      const account = await access.signInThroughProvider({ ...requestOf(c), search: new URL(c.req.url).search });
      // The provider may have given another role or other machines.
      takeBackCredentials(context, account.name, account);
      // For the audit, which could not say otherwise who came in.
      c.set("principal", { name: account.name, role: account.role, machines: account.machines, by: "session" });
      c.header("set-cookie", access.sessions.open(account, { headers, secure, from: c.env.from }).cookie, {
        append: true,
      });
      return c.redirect("/", 302);
    } catch (error) {
      const reason = error instanceof SternwayError ? error.facts["reason"] : undefined;
      if (typeof reason !== "string") throw error;
      c.set("isRefused", true);
      // A person in a browser is here: the console says it better than a problem document.
      return c.redirect(`/?sign-in=${encodeURIComponent(reason)}`, 302);
    }
  });
}

/** A person in a browser is here: the console says it better than a problem document. @throws what it has no words for */
function backToConsole(error: unknown): string {
  const reason = error instanceof SternwayError ? error.facts["reason"] : undefined;
  if (typeof reason !== "string") throw error;
  return `/?sign-in=${encodeURIComponent(reason)}`;
}

export type Asked = Context<ApiEnv>;

export function requestOf(c: Asked): { headers: Headers; secure: boolean; from: string } {
  return { headers: c.req.raw.headers, secure: c.env.secure, from: c.env.from };
}

/** @throws denied: nobody has signed in */
export function principalOf(c: Asked): Principal {
  const principal = c.get("principal");
  if (principal) return principal;
  throw new SternwayError("denied", "nobody has signed in", { status: 401 });
}

/** Who asks, as an account. @throws denied: by a token, which could make itself outlast its end; invalid: over the control socket, which has no account */
export function ownAccount(c: Asked, { access }: ApiContext): Account {
  const { by, name } = principalOf(c);
  if (by === "session") return access.accounts.get(name);
  if (by === "control") throw new SternwayError("invalid", "over the control socket nobody has an account of his own");
  throw new SternwayError("denied", "an API token may not do this: sign in");
}

function accountNamed({ access }: ApiContext, name: string | undefined): Account {
  if (name !== undefined) return access.accounts.get(name);
  throw new SternwayError("invalid", "over the control socket a token needs `account`: whose it is");
}

/** Gives the cookie along. */
function signedIn(c: Asked, context: ApiContext, account: Account, opened: OpenedSession): WireSession {
  c.header("set-cookie", opened.cookie);
  const { name, role, machines } = account;
  const principal: Principal = { name, role, machines, by: "session" };
  // For the audit, which could not say otherwise who came in.
  c.set("principal", principal);
  return wireSession(context, principal, account, opened);
}

function wireSession(
  { access }: ApiContext,
  principal: Principal,
  account: Account | undefined,
  session?: Pick<OpenedSession, "csrf" | "endsAt">,
): WireSession {
  const { name, machines, by } = principal;
  // What somebody is who has to get a second factor first, and not what he may meanwhile.
  const role = by === "session" && account ? account.role : principal.role;
  return {
    name,
    role,
    machines: [...machines],
    by,
    ...(account && by !== "control" ? { signsInBy: account.passwordHash === null ? "provider" : "password" } : {}),
    secondFactor: account?.totpSecret ? "on" : account && access.mustEnrol(account) ? "required" : "off",
    ...(session ? { csrf: session.csrf, endsAt: formatTime(session.endsAt) } : {}),
  };
}

function wireAccount({ access }: ApiContext, account: Account): WireAccount {
  const { name, role, machines, passwordHash, totpSecret, createdAt, signedInAt } = account;
  const pausedUntil = access.pausedUntil(account);
  return {
    name,
    role,
    machines,
    signsInBy: passwordHash === null ? "provider" : "password",
    secondFactor: totpSecret !== null,
    createdAt: formatTime(createdAt),
    ...(signedInAt === null ? {} : { signedInAt: formatTime(signedInAt) }),
    ...(pausedUntil === undefined ? {} : { pausedUntil: formatTime(pausedUntil) }),
  };
}

function wireToken({ id, name, account, role, machines, createdAt, expiresAt, usedAt }: ApiToken): WireToken {
  return {
    id,
    name,
    account,
    role,
    ...(machines === null ? {} : { machines }),
    createdAt: formatTime(createdAt),
    expiresAt: formatTime(expiresAt),
    ...(usedAt === null ? {} : { lastUsedAt: formatTime(usedAt) }),
  };
}
