import { describe, expect, test } from "bun:test";
import { Secret, TOTP } from "otpauth";
import type { WireSession } from "../../../src/contract/contract.ts";
import { openApiFixture, type ApiFixture } from "../../support/api-fixture.ts";
import { askAsBrowser as ask, type BrowserReply } from "../../support/browser-request.ts";

const PASSWORD = "correct horse battery";

/** Sets the appliance up. @returns the administrator's browser */
async function setUp(fixture: ApiFixture): Promise<{ cookie: string; csrf: string }> {
  const body = { code: fixture.context.access.setupCode, name: "anna", password: PASSWORD };
  const { cookie, body: session } = await ask(fixture, "POST", "/v1/setup", { body });
  return { cookie: cookie!, csrf: String(session["csrf"]) };
}

const signIn = (fixture: ApiFixture, name: string, more: object = {}): Promise<BrowserReply> =>
  ask(fixture, "POST", "/v1/session", { body: { name, password: PASSWORD, ...more } });

describe("set-up over HTTP", () => {
  test("shows the code over the control socket alone, and signs the first administrator in", async () => {
    using fixture = await openApiFixture();
    const seen = await ask(fixture, "GET", "/v1/setup");
    expect(seen.body).toEqual({ isSetUp: false, oidc: false });
    const shown = (await (await fixture.ask("/v1/setup")).json()) as { code: string };
    expect(shown.code).toBe(fixture.context.access.setupCode!);
    const body = { name: "anna", password: PASSWORD };
    expect((await ask(fixture, "POST", "/v1/setup", { body })).status).toBe(403);
    const browser = await setUp(fixture);
    const { status, body: listed } = await ask(fixture, "GET", "/v1/accounts", browser);
    expect(status).toBe(200);
    // Who is signed in has signed in.
    expect(listed).toMatchObject({ accounts: [{ name: "anna", signedInAt: expect.any(String) }] });
    expect((await ask(fixture, "GET", "/v1/setup")).body).toEqual({ isSetUp: true, oidc: false });
    expect((await ask(fixture, "POST", "/v1/setup", { body: { ...body, code: shown.code } })).status).toBe(409);
    expect(fixture.logged.join("") + JSON.stringify(fixture.context.catalog.events({ limit: 99 }))).not.toContain(
      shown.code,
    );
  });
});

describe("sessions over HTTP", () => {
  test("sign in, change something, sign out", async () => {
    using fixture = await openApiFixture();
    await setUp(fixture);
    const { status, cookie, body } = await signIn(fixture, "anna");
    expect(status).toBe(201);
    const { csrf } = body as WireSession;
    const who = await ask(fixture, "GET", "/v1/session", { cookie });
    expect(who.body).toMatchObject({ name: "anna", role: "administrator", by: "session", secondFactor: "off", csrf });
    expect(who.headers.get("cache-control")).toBe("no-store");
    const volume = { name: "web1", sizeBytes: 2 ** 20 };
    expect((await ask(fixture, "POST", "/v1/volumes", { body: volume, cookie })).status).toBe(403);
    expect((await ask(fixture, "POST", "/v1/volumes", { body: volume, cookie, csrf })).status).toBe(201);
    expect((await ask(fixture, "DELETE", "/v1/session", { cookie })).status).toBe(403);
    const out = await ask(fixture, "DELETE", "/v1/session", { cookie, csrf });
    expect([out.status, out.cookie]).toEqual([204, "sternway="]);
    expect((await ask(fixture, "GET", "/v1/session", { cookie })).status).toBe(401);
    // A cookie that is over does not keep anybody from signing in.
    const body2 = { name: "anna", password: PASSWORD };
    expect((await ask(fixture, "POST", "/v1/session", { body: body2, cookie })).status).toBe(201);
  });

  test("401 says how to sign in, 429 when", async () => {
    using fixture = await openApiFixture();
    await setUp(fixture);
    const wrong = await signIn(fixture, "anna", { password: "wrong" });
    expect([wrong.status, wrong.body["kind"]]).toEqual([401, "denied"]);
    expect(wrong.body["todo"]).toContain("/v1/session");
    for (let i = 0; i < 4; i++) await signIn(fixture, "anna", { password: "wrong" });
    const later = await signIn(fixture, "anna");
    expect(later.status).toBe(429);
    // Of five seconds, what is left of them here.
    expect(Number(later.headers.get("retry-after"))).toBeWithin(1, 6);
    const unlocked = await fixture.ask("/v1/accounts/anna/unlock", { method: "POST" });
    expect(unlocked.status).toBe(200);
    expect((await signIn(fixture, "anna")).status).toBe(201);
  });

  test("changing the password gives the page a new session at once", async () => {
    using fixture = await openApiFixture();
    const browser = await setUp(fixture);
    const body = { password: PASSWORD, newPassword: "another sentence" };
    const changed = await ask(fixture, "PUT", "/v1/account/password", { body, ...browser });
    expect(changed.status).toBe(200);
    expect((await ask(fixture, "GET", "/v1/session", browser)).status).toBe(401);
    expect((await ask(fixture, "GET", "/v1/session", { cookie: changed.cookie })).status).toBe(200);
  });

  test("the second factor: begun, confirmed, asked for, turned off", async () => {
    using fixture = await openApiFixture();
    const browser = await setUp(fixture);
    const begun = await ask(fixture, "POST", "/v1/account/totp", { body: { password: PASSWORD }, ...browser });
    const { secret, uri } = begun.body as { secret: string; uri: string };
    expect(uri).toStartWith("otpauth://totp/Sternway:anna?");
    expect(uri).toContain(secret);
    const code = new TOTP({ secret: Secret.fromBase32(secret) }).generate();
    const on = await ask(fixture, "PUT", "/v1/account/totp", { body: { code }, ...browser });
    const { recoveryCodes } = on.body as { recoveryCodes: string[] };
    expect(recoveryCodes).toHaveLength(10);
    const missing = await signIn(fixture, "anna");
    expect([missing.status, missing.body["facts"]]).toEqual([401, { status: 401, needsCode: true }]);
    const inside = await signIn(fixture, "anna", { code: recoveryCodes[0] });
    expect(inside.body).toMatchObject({ secondFactor: "on" });
    const accounts = await ask(fixture, "GET", "/v1/accounts", browser);
    expect(JSON.stringify(accounts.body)).not.toContain(secret);
    const body = { password: PASSWORD, code: recoveryCodes[1] };
    expect((await ask(fixture, "POST", "/v1/account/totp/off", { body, ...browser })).status).toBe(204);
    expect((await signIn(fixture, "anna")).status).toBe(201);
  });
});

describe("tokens over HTTP", () => {
  test("are made by their owner, listed without what they are, and removed", async () => {
    using fixture = await openApiFixture();
    const browser = await setUp(fixture);
    const made = await ask(fixture, "POST", "/v1/tokens", { body: { name: "nightly", role: "operator" }, ...browser });
    const { id, token } = made.body as { id: string; token: string };
    const who = await ask(fixture, "GET", "/v1/session", { token });
    expect(who.body).toMatchObject({ name: "anna", role: "operator", by: "token" });
    expect(JSON.stringify((await ask(fixture, "GET", "/v1/tokens", browser)).body)).not.toContain(token);
    // A program cannot make itself another token, nor take over the account.
    expect((await ask(fixture, "POST", "/v1/tokens", { body: { name: "more" }, token })).status).toBe(403);
    const change = { password: PASSWORD, newPassword: "another sentence" };
    expect((await ask(fixture, "PUT", "/v1/account/password", { body: change, token })).status).toBe(403);
    expect((await ask(fixture, "DELETE", `/v1/tokens/${id}`, browser)).status).toBe(204);
    expect((await ask(fixture, "GET", "/v1/session", { token })).status).toBe(401);
  });

  test("of others are neither seen nor removed but by an administrator", async () => {
    using fixture = await openApiFixture();
    const browser = await setUp(fixture);
    const body = { name: "olga", role: "operator", password: PASSWORD };
    await ask(fixture, "POST", "/v1/accounts", { body, ...browser });
    const { id } = (await ask(fixture, "POST", "/v1/tokens", { body: { name: "t" }, ...browser })).body;
    const { cookie, body: session } = await signIn(fixture, "olga");
    const olga = { cookie, csrf: String(session["csrf"]) };
    expect((await ask(fixture, "GET", "/v1/tokens", olga)).body).toEqual({ tokens: [] });
    expect((await ask(fixture, "DELETE", `/v1/tokens/${String(id)}`, olga)).status).toBe(404);
    const theirs = await ask(fixture, "POST", "/v1/tokens", { body: { name: "u" }, ...olga });
    const foreign = { name: "v", account: "anna" };
    expect((await ask(fixture, "POST", "/v1/tokens", { body: foreign, ...olga })).status).toBe(403);
    expect((await ask(fixture, "GET", "/v1/accounts", olga)).status).toBe(403);
    expect((await ask(fixture, "GET", "/v1/tokens", browser)).body["tokens"]).toHaveLength(2);
    expect((await ask(fixture, "DELETE", `/v1/tokens/${String(theirs.body["id"])}`, browser)).status).toBe(204);
  });
});

test("without a provider nobody is sent to one", async () => {
  using fixture = await openApiFixture();
  expect((await ask(fixture, "GET", "/v1/oidc/start")).status).toBe(404);
  expect((await ask(fixture, "GET", "/v1/oidc/callback?code=x&state=y")).status).toBe(404);
});
