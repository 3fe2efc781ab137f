import { describe, expect, test } from "bun:test";
import { micros } from "../../../src/base/units.ts";
import type { WireOpenSession } from "../../../src/contract/contract.ts";
import { openApiFixture, type ApiFixture } from "../../support/api-fixture.ts";
import { askAsBrowser as ask } from "../../support/browser-request.ts";

const PASSWORD = "correct horse battery";
const FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0";
const PHONE =
  "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.0 Mobile/15E148 Safari/604.1";

interface Browser {
  cookie: string;
  csrf: string;
}

async function signIn(fixture: ApiFixture, name: string, userAgent?: string, from?: string): Promise<Browser> {
  const reply = await ask(fixture, "POST", "/v1/session", { body: { name, password: PASSWORD }, userAgent, from });
  expect(reply.status).toBe(201);
  return { cookie: reply.cookie!, csrf: String(reply.body["csrf"]) };
}

/** With the administrator anna and the operator olga. */
async function openWithPeople(): Promise<ApiFixture> {
  const fixture = await openApiFixture();
  const { access } = fixture.context;
  await access.accounts.add({ name: "anna", role: "administrator", machines: [], password: PASSWORD });
  await access.accounts.add({ name: "olga", role: "operator", machines: [], password: PASSWORD });
  return fixture;
}

async function sessionsOf(fixture: ApiFixture, who: Browser, query = ""): Promise<WireOpenSession[]> {
  const { status, body } = await ask(fixture, "GET", `/v1/sessions${query}`, who);
  expect(status).toBe(200);
  return body["sessions"] as WireOpenSession[];
}

const isIn = async (fixture: ApiFixture, who: Browser): Promise<boolean> =>
  (await ask(fixture, "GET", "/v1/session", who)).status === 200;

describe("GET /v1/sessions", () => {
  test("says from where and by which browser one is signed in, and which of them asks", async () => {
    using fixture = await openWithPeople();
    const desk = await signIn(fixture, "olga", FIREFOX, "192.0.2.1");
    await signIn(fixture, "olga", PHONE, "198.51.100.2");
    await signIn(fixture, "anna");
    const seen = await sessionsOf(fixture, desk);
    expect(seen.map(({ account, from, browser, current }) => [account, from, browser, current])).toEqual([
      ["olga", "192.0.2.1", "Firefox on Linux", true],
      ["olga", "198.51.100.2", "Safari on iPhone", false],
    ]);
    for (const { createdAt, endsAt } of seen) {
      expect(Date.parse(endsAt) - Date.parse(createdAt)).toBe(12 * 3_600_000);
    }
  });

  test("tells nothing that lets anybody in", async () => {
    using fixture = await openWithPeople();
    const { cookie, csrf } = await signIn(fixture, "olga");
    const text = JSON.stringify(await sessionsOf(fixture, { cookie, csrf }));
    const secret = cookie.split("=")[1]!;
    const kept = new Bun.CryptoHasher("sha256").update(secret).digest("hex");
    const [{ id } = { id: "" }] = await sessionsOf(fixture, { cookie, csrf });
    expect(id).toMatch(/^[0-9a-f]{16}$/);
    for (const each of [secret, csrf, kept]) expect(text).not.toContain(each);
    // Nor is it part of what is kept, or of anything that is made of it.
    expect(kept).not.toContain(id);
    expect(new Bun.CryptoHasher("sha256").update(kept).digest("hex")).not.toContain(id);
  });

  test("shows another account's to administrators alone", async () => {
    using fixture = await openWithPeople();
    const anna = await signIn(fixture, "anna");
    const olga = await signIn(fixture, "olga");
    expect(await sessionsOf(fixture, anna, "?account=olga")).toMatchObject([{ account: "olga", current: false }]);
    expect((await ask(fixture, "GET", "/v1/sessions?account=anna", olga)).status).toBe(403);
    expect((await ask(fixture, "GET", "/v1/sessions?account=nobody", anna)).status).toBe(404);
    expect((await fixture.ask("/v1/sessions")).status).toBe(400);
    expect((await (await fixture.ask("/v1/sessions?account=olga")).json()) as object).toMatchObject({
      sessions: [{ account: "olga" }],
    });
  });

  test("leaves out what ran out though its row is still there", async () => {
    using fixture = await openWithPeople();
    const olga = await signIn(fixture, "olga");
    await signIn(fixture, "olga");
    const { sessions } = fixture.context.catalog;
    const [, second] = sessions.ofAccount("olga");
    sessions.seen(second!.idHash, micros(second!.seenAt - 31 * 60e6));
    expect(await sessionsOf(fixture, olga)).toHaveLength(1);
    expect((await ask(fixture, "DELETE", `/v1/sessions/${second!.id}`, olga)).status).toBe(404);
  });
});

describe("ending sessions", () => {
  test("ends the one that is named and no other", async () => {
    using fixture = await openWithPeople();
    const desk = await signIn(fixture, "olga", FIREFOX);
    const phone = await signIn(fixture, "olga", PHONE);
    const [, { id }] = (await sessionsOf(fixture, desk)) as [WireOpenSession, WireOpenSession];
    expect((await ask(fixture, "DELETE", `/v1/sessions/${id}`, { cookie: desk.cookie })).status).toBe(403);
    expect((await ask(fixture, "DELETE", `/v1/sessions/${id}`, desk)).status).toBe(204);
    expect([await isIn(fixture, desk), await isIn(fixture, phone)]).toEqual([true, false]);
    expect((await ask(fixture, "DELETE", `/v1/sessions/${id}`, desk)).status).toBe(404);
    expect(fixture.context.catalog.events({ limit: 1 })).toMatchObject([
      { kind: "session-ended", subject: "olga", message: expect.stringContaining("Safari on iPhone") },
    ]);
  });

  test("ends all but the one that asks, and the one that asks when it is named", async () => {
    using fixture = await openWithPeople();
    const desk = await signIn(fixture, "olga");
    const others = [await signIn(fixture, "olga"), await signIn(fixture, "olga")];
    const anna = await signIn(fixture, "anna");
    expect((await ask(fixture, "DELETE", "/v1/sessions", desk)).body).toEqual({ ended: 2 });
    for (const other of others) expect(await isIn(fixture, other)).toBe(false);
    expect([await isIn(fixture, desk), await isIn(fixture, anna)]).toEqual([true, true]);
    const [{ id }] = (await sessionsOf(fixture, desk)) as [WireOpenSession];
    const out = await ask(fixture, "DELETE", `/v1/sessions/${id}`, desk);
    expect([out.status, out.headers.get("set-cookie")]).toEqual([204, expect.stringContaining("Max-Age=0")]);
    expect(await isIn(fixture, desk)).toBe(false);
  });

  test("of others is for administrators, and a program may do it when it may do everything", async () => {
    using fixture = await openWithPeople();
    const { access } = fixture.context;
    const anna = await signIn(fixture, "anna");
    const olga = await signIn(fixture, "olga");
    const [{ id }] = (await sessionsOf(fixture, anna)) as [WireOpenSession];
    expect((await ask(fixture, "DELETE", `/v1/sessions/${id}`, olga)).status).toBe(404);
    expect((await ask(fixture, "DELETE", "/v1/sessions?account=anna", olga)).status).toBe(403);
    const tokenOf = (role: "auditor" | "administrator"): string =>
      access.addToken(access.accounts.get("anna"), { name: role, role }).token;
    const reader = { token: tokenOf("auditor") };
    expect((await ask(fixture, "GET", "/v1/sessions", reader)).body).toMatchObject({ sessions: [{ id }] });
    expect((await ask(fixture, "DELETE", `/v1/sessions/${id}`, reader)).status).toBe(403);
    expect((await ask(fixture, "DELETE", "/v1/sessions", reader)).status).toBe(403);
    expect(await isIn(fixture, anna)).toBe(true);
    const program = { token: tokenOf("administrator") };
    expect((await ask(fixture, "DELETE", "/v1/sessions?account=olga", program)).body).toEqual({ ended: 1 });
    expect(await isIn(fixture, olga)).toBe(false);
    expect((await ask(fixture, "DELETE", `/v1/sessions/${id}`, program)).status).toBe(204);
    expect(await isIn(fixture, anna)).toBe(false);
  });

  test("is in the audit, with whose they were", async () => {
    using fixture = await openWithPeople();
    const anna = await signIn(fixture, "anna");
    await signIn(fixture, "olga");
    await signIn(fixture, "olga");
    const [{ id }] = (await sessionsOf(fixture, anna, "?account=olga")) as [WireOpenSession];
    await ask(fixture, "DELETE", `/v1/sessions/${id}`, anna);
    await ask(fixture, "DELETE", "/v1/sessions?account=olga", anna);
    const { entries } = await fixture.context.audit.list({ limit: 2 });
    expect(entries).toMatchObject([
      { who: "anna", action: "endSessions", subject: "olga", result: "done", detail: { account: "olga" } },
      { who: "anna", action: "endSession", subject: id, result: "done", detail: { account: "olga" } },
    ]);
  });
});
