import { describe, expect, test } from "bun:test";
import type { WireVault } from "../../../src/contract/contract.ts";
import { openApiFixture, type ApiFixture } from "../../support/api-fixture.ts";

const EMAIL = { kind: "email", host: "mail.example.org", from: "box@example.org", to: ["ops@example.org"] };
const HOOK = { kind: "webhook", url: "https://hooks.example.org/token123" };

async function send(
  api: ApiFixture,
  method: string,
  path: string,
  body?: unknown,
): Promise<{ status: number; text: string; json: { channel?: unknown; rules?: unknown; secret?: string } }> {
  const response = await api.ask(path, {
    method,
    ...(body === undefined ? {} : { body: JSON.stringify(body), headers: { "content-type": "application/json" } }),
  });
  const text = await response.text();
  return { status: response.status, text, json: text.startsWith("{") ? JSON.parse(text) : undefined };
}

describe("channels", () => {
  test("keep a password, and no answer holds it", async () => {
    using api = await openApiFixture();
    const texts: string[] = [];
    const ask = async (method: string, path: string, body?: unknown) => {
      const answer = await send(api, method, path, body);
      texts.push(answer.text);
      return answer;
    };
    const made = await ask("POST", "/v1/channels", { name: "ops", ...EMAIL, user: "box", password: "s3cret-word" });
    expect(made.status).toBe(201);
    expect(made.json.channel).toMatchObject({
      name: "ops",
      hasSecret: true,
      state: "ok",
      security: "starttls",
      port: 587,
    });
    expect((await ask("GET", "/v1/channels/ops")).json).toMatchObject({ hasSecret: true });
    await ask("GET", "/v1/channels");
    // Left out: it stays as it is.
    const kept = await ask("PUT", "/v1/channels/ops", { ...EMAIL, user: "box", to: ["new@example.org"] });
    expect(kept.json.channel).toMatchObject({ hasSecret: true, to: ["new@example.org"] });
    expect(api.context.notifier.directory.channel("ops").secret).toBe("s3cret-word");
    await ask("GET", "/v1/events");
    await ask("GET", "/v1/deliveries");
    expect([...texts, ...api.logged].join("\n")).not.toContain("s3cret-word");
  });

  test("do not send a kept password to another server or user", async () => {
    using api = await openApiFixture();
    await send(api, "POST", "/v1/channels", { name: "ops", ...EMAIL, user: "box", password: "s3cret-word" });
    for (const change of [{ host: "thief.example.org" }, { user: "other" }, { port: 2525 }, { security: "tls" }]) {
      const answer = await send(api, "PUT", "/v1/channels/ops", { ...EMAIL, user: "box", ...change });
      expect([change, answer.status]).toEqual([change, 400]);
    }
    expect(api.context.notifier.directory.channel("ops").settings).toMatchObject({ host: "mail.example.org" });
    const given = { ...EMAIL, user: "box", host: "other.example.org", password: "again" };
    expect((await send(api, "PUT", "/v1/channels/ops", given)).status).toBe(200);
  });

  test("of webhooks show their secret when it is made, and never again", async () => {
    using api = await openApiFixture();
    const made = await send(api, "POST", "/v1/channels", { name: "chat", ...HOOK });
    const { secret } = made.json;
    expect(secret).toMatch(/^whsec_[A-Za-z0-9_-]{43}$/);
    for (const path of ["/v1/channels", "/v1/channels/chat", "/v1/events", "/v1/deliveries"])
      expect((await send(api, "GET", path)).text).not.toContain(secret);
    expect((await send(api, "PUT", "/v1/channels/chat", HOOK)).json.secret).toBeUndefined();
    const renewed = await send(api, "PUT", "/v1/channels/chat", { ...HOOK, renewSecret: true });
    expect(renewed.json.secret).toMatch(/^whsec_/);
    expect(renewed.json.secret).not.toBe(secret);
  });

  const refused: [what: string, body: object][] = [
    ["a password in the clear", { ...EMAIL, security: "none", user: "box", password: "x" }],
    ["a user without a password", { ...EMAIL, user: "box" }],
    ["a password without a user", { ...EMAIL, password: "x" }],
    ["a header in an address", { ...EMAIL, to: ["a@example.org\r\nBcc: b@example.org"] }],
    ["a header in the sender", { ...EMAIL, from: "a@example.org>\r\nX: y" }],
    ["a second recipient in one", { ...EMAIL, to: ["a@example.org, b@example.org"] }],
    ["http without being asked for", { ...HOOK, url: "http://hooks.example.org/" }],
    ["another scheme", { ...HOOK, url: "file:///etc/passwd" }],
    ["credentials in the address", { ...HOOK, url: "https://user:pass@hooks.example.org/" }],
    ["no certificate", { ...HOOK, ca: "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n" }],
    ["an unknown field", { ...HOOK, redirect: true }],
    ["a host with a blank", { ...EMAIL, host: "mail example" }],
  ];
  test.each(refused)("refuse %s", async (_what, body) => {
    using api = await openApiFixture();
    const answer = await send(api, "POST", "/v1/channels", { name: "bad", ...body });
    expect(answer.status).toBe(400);
    expect(api.context.notifier.directory.channels()).toEqual([]);
  });

  test("are told apart by name, tested, and removed with their rules", async () => {
    using api = await openApiFixture();
    await send(api, "POST", "/v1/channels", { name: "chat", ...HOOK });
    expect((await send(api, "POST", "/v1/channels", { name: "chat", ...HOOK })).status).toBe(409);
    expect((await send(api, "PUT", "/v1/channels/chat", EMAIL)).status).toBe(400);
    expect((await send(api, "POST", "/v1/channels/chat/test")).json).toMatchObject({ message: "taken" });
    expect((await send(api, "POST", "/v1/channels/none/test")).status).toBe(404);
    await send(api, "POST", "/v1/rules", { name: "all", channels: ["chat"] });
    expect((await send(api, "DELETE", "/v1/channels/chat")).status).toBe(204);
    expect((await send(api, "GET", "/v1/rules")).json).toEqual({ rules: [] });
  });
});

describe("rules", () => {
  test("are made with defaults, changed and removed", async () => {
    using api = await openApiFixture();
    await send(api, "POST", "/v1/channels", { name: "chat", ...HOOK });
    const made = await send(api, "POST", "/v1/rules", { name: "all", channels: ["chat"] });
    expect(made).toMatchObject({
      status: 201,
      json: { name: "all", level: "warning", enabled: true, remindHours: 24 },
    });
    const quiet = { from: "22:00", to: "06:00", zone: "Europe/Berlin" };
    const set = await send(api, "PUT", "/v1/rules/all", { channels: ["chat"], level: "alert", quiet });
    expect(set.json).toMatchObject({ level: "alert", quiet: { ...quiet, alsoAlerts: false } });
    expect((await send(api, "GET", "/v1/rules/all")).json).toEqual(set.json);
    expect((await send(api, "DELETE", "/v1/rules/all")).status).toBe(204);
    expect((await send(api, "GET", "/v1/rules/all")).status).toBe(404);
  });

  test("name channels and zones that there are", async () => {
    using api = await openApiFixture();
    await send(api, "POST", "/v1/channels", { name: "chat", ...HOOK });
    expect((await send(api, "POST", "/v1/rules", { name: "a", channels: ["none"] })).status).toBe(404);
    const quiet = { from: "22:00", to: "06:00", zone: "Mars/Olympus" };
    expect((await send(api, "POST", "/v1/rules", { name: "a", channels: ["chat"], quiet })).status).toBe(400);
    expect(
      (await send(api, "POST", "/v1/rules", { name: "a", channels: ["chat"], quiet: { from: "25:00", to: "1" } }))
        .status,
    ).toBe(400);
    expect((await send(api, "POST", "/v1/rules", { name: "a", channels: [] })).status).toBe(400);
  });
});

describe("reports and growth", () => {
  test("come as JSON, CSV and HTML, each with its type", async () => {
    using api = await openApiFixture();
    for (const kind of ["protection", "restores", "verification", "growth", "compliance"]) {
      const json = await api.ask(`/v1/reports/${kind}?from=-7d`);
      expect([kind, json.status]).toEqual([kind, 200]);
      const csv = await api.ask(`/v1/reports/${kind}?format=csv`);
      expect(csv.headers.get("content-type")).toBe("text/csv; charset=utf-8");
      const html = await api.ask(`/v1/reports/${kind}?format=html`);
      expect(html.headers.get("content-security-policy")).toContain("default-src 'none'");
    }
    expect((await api.ask("/v1/reports/nonsense")).status).toBe(400);
    expect((await api.ask("/v1/reports/growth?from=tomorrow")).status).toBe(400);
    expect((await api.ask("/v1/reports/growth?from=now")).status).toBe(400);
    expect((await send(api, "GET", "/v1/growth")).json).toMatchObject({ rhythm: "hour", vaults: [] });
  });

  test("are sent through a channel, without names of encrypted vaults", async () => {
    using api = await openApiFixture();
    await api.volumes.create("payroll", 2 ** 20);
    await send(api, "POST", "/v1/channels", { name: "chat", ...HOOK });
    const sent = async (): Promise<string> => {
      expect((await send(api, "POST", "/v1/reports/protection/send", { channel: "chat" })).status).toBe(202);
      return api.context.catalog.notify.deliveries({ limit: 1 })[0]!.content;
    };
    const { vault } = api.volumes.get("payroll");
    const plain: WireVault = { name: vault, state: "writable", encrypted: false, volumes: [], volumeCount: 1 };
    api.context.appliance.vaults.list = async () => [plain];
    expect(await sent()).toContain("payroll");
    api.context.appliance.vaults.list = async () => [{ ...plain, encrypted: true }];
    const discreet = await sent();
    expect(discreet).not.toContain("payroll");
    expect(discreet).toContain("encrypted vaults are left out");
    expect((await send(api, "GET", "/v1/reports/protection")).text).toContain("payroll");
    expect((await send(api, "POST", "/v1/reports/protection/send", { channel: "none" })).status).toBe(404);
  });
});
