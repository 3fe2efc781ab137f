/** Mails to a real SMTP server and calls to a real HTTP server, on loopback. */
import { afterEach, describe, expect, test } from "bun:test";
import { createHmac } from "node:crypto";
import { systemClock } from "../../../src/base/clock.ts";
import { systemRandom } from "../../../src/base/random.ts";
import { micros } from "../../../src/base/units.ts";
import { sendEmail, withoutSecret, type EmailSettings } from "../../../src/notify/email.ts";
import { renderMessage, type EventsContent, type Notice } from "../../../src/notify/message.ts";
import { callWebhook, signature, type WebhookSettings } from "../../../src/notify/webhook.ts";
import { makeCertificate } from "../../../src/security/certificate.ts";
import { startSmtpServer, type SmtpServer } from "../../support/smtp-server.ts";

const NOW = micros(1_795_000_000_123_456);
const certificate = makeCertificate(systemClock.wall(), systemRandom);
const tls = { key: certificate.keyPem, cert: certificate.certificatePem };
const PASSWORD = "s3cret+word/=";

const running: { stop(): Promise<void> | void }[] = [];
afterEach(async () => {
  for (const each of running.splice(0)) await each.stop();
});

async function smtp(options: Parameters<typeof startSmtpServer>[0] = {}): Promise<SmtpServer> {
  const server = await startSmtpServer(options);
  running.push(server);
  return server;
}

function notice(change: Partial<Notice> = {}): Notice {
  const message = "tier offsite is offline: no route";
  return {
    eventId: 7,
    time: NOW,
    level: "warning",
    kind: "tier-offline",
    subject: "default/offsite",
    message,
    why: "new",
    ...change,
  };
}

function message(...notices: Notice[]) {
  const content: EventsContent = { type: "events", slot: "soon", notices, more: 0, held: false };
  return renderMessage(content, { appliance: "box", details: "full", now: NOW });
}

const COMMON = { enabled: true, details: "full", hourlyMax: 20, gatherSeconds: 60 } as const;

function email(server: SmtpServer, change: Partial<EmailSettings> = {}): EmailSettings {
  const { port } = server;
  const to = ["a@example.org", "b@example.org"];
  return {
    ...COMMON,
    kind: "email",
    host: "127.0.0.1",
    port,
    security: "none",
    from: "box@example.org",
    to,
    ...change,
  };
}

const overTls = { security: "starttls", serverName: "sternway", ca: certificate.certificatePem } as const;

describe("sendEmail()", () => {
  test("goes over STARTTLS to all recipients, signed in, with text and HTML", async () => {
    const server = await smtp({ tls, login: { user: "box", password: PASSWORD } });
    await sendEmail(email(server, { ...overTls, user: "box" }), PASSWORD, message(notice()), "id-1");
    const [mail] = server.mails;
    expect(mail).toMatchObject({
      from: "box@example.org",
      to: ["a@example.org", "b@example.org"],
      overTls: true,
      user: "box",
    });
    expect(mail!.headers).toContain("Subject: [box] warning: A tier is out of reach (default/offsite)");
    expect(mail!.headers).toContain("Message-ID: <id-1@example.org>");
    expect(mail!.headers).toContain("Auto-Submitted: auto-generated");
    expect(mail!.raw).toContain("text/plain");
    expect(mail!.raw).toContain("text/html");
    expect(server.clear.join("\n")).not.toContain("AUTH");
  });

  test("refuses a certificate that nobody vouches for, or of another name", async () => {
    const server = await smtp({ tls });
    const untrusted = email(server, { security: "starttls", serverName: "sternway" });
    await expect(sendEmail(untrusted, undefined, message(notice()), "x")).rejects.toMatchObject({
      kind: "unavailable",
    });
    const misnamed = email(server, { ...overTls, serverName: "mail.example.org" });
    await expect(sendEmail(misnamed, undefined, message(notice()), "x")).rejects.toMatchObject({ kind: "unavailable" });
    expect(server.mails).toEqual([]);
  });

  test("does not go on in the clear when the server offers no STARTTLS", async () => {
    const server = await smtp({ login: { user: "box", password: PASSWORD } });
    const settings = email(server, { ...overTls, user: "box" });
    await expect(sendEmail(settings, PASSWORD, message(notice()), "x")).rejects.toMatchObject({ kind: "unavailable" });
    expect(server.clear.join("\n")).not.toContain("AUTH");
    expect(server.mails).toEqual([]);
  });

  test("names what the server said, and never the password that it repeats", async () => {
    const server = await smtp({ tls, login: { user: "box", password: "another" } });
    const settings = email(server, { ...overTls, user: "box" });
    const failure = await sendEmail(settings, PASSWORD, message(notice()), "x").catch((error: Error) => error.message);
    expect(failure).toContain("535 wrong: (secret)");
    expect(failure).not.toContain(PASSWORD);
    expect(withoutSecret(`x ${Buffer.from("geheim").toString("base64")}`, "geheim")).toBe("x (secret)");
  });

  test("a recipient that is refused is named, and does not make the others get it again", async () => {
    const server = await smtp();
    const one = email(server, { to: ["a@example.org", "gone@example.org"] });
    expect(await sendEmail(one, undefined, message(notice()), "x")).toContain("not taken for gone@example.org");
    expect(server.mails[0]!.to).toEqual(["a@example.org"]);
  });

  test("says when everybody is refused, and when the server hangs up", async () => {
    const server = await smtp();
    server.refuse.set("RCPT", "550 nobody here");
    await expect(sendEmail(email(server), undefined, message(notice()), "x")).rejects.toThrow("550 nobody here");
    server.refuse.set("RCPT", "");
    await expect(sendEmail(email(server), undefined, message(notice()), "x")).rejects.toMatchObject({
      kind: "unavailable",
    });
  });

  test("a subject cannot begin another header, whatever an event is about", async () => {
    const server = await smtp();
    const evil = "web1\r\nBcc: thief@example.org\r\n\r\n<script>alert(1)</script>\u2028\u202e";
    await sendEmail(email(server), undefined, message(notice({ subject: evil, kind: "x\r\nTo: y@example.org" })), "x");
    const [mail] = server.mails;
    expect(mail!.to).toEqual(["a@example.org", "b@example.org"]);
    expect(mail!.headers.filter((line) => /^(bcc|to):/i.test(line))).toEqual(["To: a@example.org, b@example.org"]);
    expect(message(notice({ subject: evil })).subject).not.toMatch(/[\r\n\u2028\u202e]/);
    expect(message(notice({ message: evil })).html).not.toContain("<script>");
    expect(message(notice({ message: evil })).html).toContain("&lt;script&gt;");
  });
});

describe("renderMessage()", () => {
  test("in brief leaves out names and messages", () => {
    const content: EventsContent = { type: "events", slot: "soon", notices: [notice()], more: 0, held: false };
    const brief = renderMessage(content, { appliance: "box", details: "brief", now: NOW });
    for (const part of [brief.subject, brief.text, brief.html, JSON.stringify(brief.json)]) {
      expect(part).not.toContain("offsite");
      expect(part).toContain("A tier is out of reach");
    }
  });

  test("of several names the worst level and how many, and what was held back", () => {
    const content: EventsContent = {
      type: "events",
      slot: "soon",
      notices: [notice(), notice({ level: "alert", kind: "damage", subject: "pack 3" })],
      more: 5,
      held: true,
    };
    const { subject, text } = renderMessage(content, { appliance: "box", details: "full", now: NOW });
    expect(subject).toBe("[box] alert: 7 events, first: A tier is out of reach");
    expect(text).toContain("5 more are not listed here");
    expect(text).toContain("held back");
  });
});

describe("webhooks", () => {
  const SECRET = "whsec_test";
  /** @param status - the answer */
  function receiver(status: number, headers: Record<string, string> = {}) {
    const calls: { headers: Headers; body: string; path: string }[] = [];
    const server = Bun.serve({
      port: 0,
      hostname: "127.0.0.1",
      async fetch(request) {
        calls.push({ headers: request.headers, body: await request.text(), path: new URL(request.url).pathname });
        return new Response("a long story", { status, headers });
      },
    });
    running.push({ stop: () => server.stop(true) });
    return { calls, url: `http://127.0.0.1:${server.port}/hook/token123` };
  }
  const hook = (url: string, change: Partial<WebhookSettings> = {}): WebhookSettings => ({
    ...COMMON,
    kind: "webhook",
    url,
    plaintext: true,
    ...change,
  });

  test("signature() signs the time and the body: a vector made with openssl", () => {
    // printf '1795000000.{"a":1}' | openssl dgst -sha256 -hmac whsec_test
    expect(signature(SECRET, 1_795_000_000, '{"a":1}')).toBe(
      "t=1795000000,v1=14cdf372534acd098c83cbb3a5b7081138ef9e1e2ce9f43221f2a73884581201",
    );
    expect(signature(SECRET, 1_795_000_001, '{"a":1}')).not.toContain(
      "14cdf372534acd098c83cbb3a5b7081138ef9e1e2ce9f43221f2a73884581201",
    );
  });

  test("a call carries its events as JSON, signed over the bytes as they came", async () => {
    const { calls, url } = receiver(204);
    expect(await callWebhook(hook(url), SECRET, message(notice()), "id-2", NOW)).toBe("it answered 204");
    const [call] = calls;
    const given = call!.headers.get("sternway-signature")!;
    const [, seconds, hex] = /^t=(\d+),v1=([0-9a-f]{64})$/.exec(given)!;
    expect(hex).toBe(createHmac("sha256", SECRET).update(`${seconds}.${call!.body}`).digest("hex"));
    expect(Number(seconds)).toBe(1_795_000_000);
    expect(call!.headers.get("sternway-delivery")).toBe("id-2");
    const body = JSON.parse(call!.body);
    expect(body).toMatchObject({ type: "events", appliance: "box", delivery: "id-2", more: 0 });
    expect(body.events).toMatchObject([{ kind: "tier-offline", level: "warning", topic: "tier", why: "new" }]);
  });

  test("redirects are not followed", async () => {
    const second = receiver(200);
    const first = receiver(307, { location: second.url });
    await expect(callWebhook(hook(first.url), SECRET, message(notice()), "x", NOW)).rejects.toThrow("redirects (307)");
    expect(second.calls).toEqual([]);
  });

  test("a refusal names the status, and neither the path nor what was answered", async () => {
    const { url } = receiver(500);
    const failure = await callWebhook(hook(url), SECRET, message(notice()), "x", NOW).catch(
      (error: Error) => error.message,
    );
    expect(failure).toContain("it answered 500");
    expect(failure).not.toContain("token123");
    expect(failure).not.toContain("long story");
    const nobody = await callWebhook(hook("http://127.0.0.1:1/token123"), SECRET, message(notice()), "x", NOW).catch(
      (error: Error) => error.message,
    );
    expect(nobody).not.toContain("token123");
  });

  test("certificates are verified: its own authority must be given", async () => {
    const server = Bun.serve({ port: 0, hostname: "127.0.0.1", tls, fetch: () => new Response("ok") });
    running.push({ stop: () => server.stop(true) });
    const url = `https://127.0.0.1:${server.port}/`;
    await expect(callWebhook(hook(url), SECRET, message(notice()), "x", NOW)).rejects.toMatchObject({
      kind: "unavailable",
    });
    // Known, but of another name than the address.
    const known = hook(url, { ca: certificate.certificatePem });
    await expect(callWebhook(known, SECRET, message(notice()), "x", NOW)).rejects.toMatchObject({
      kind: "unavailable",
    });
    const ours = makeCertificate(systemClock.wall(), systemRandom, {
      name: "box",
      use: "server",
      hosts: ["127.0.0.1"],
      days: 2,
    });
    const right = Bun.serve({
      port: 0,
      hostname: "127.0.0.1",
      tls: { key: ours.keyPem, cert: ours.certificatePem },
      fetch: () => new Response("ok"),
    });
    running.push({ stop: () => right.stop(true) });
    const settings = hook(`https://127.0.0.1:${right.port}/`, { ca: ours.certificatePem });
    expect(await callWebhook(settings, SECRET, message(notice()), "x", NOW)).toBe("it answered 200");
  });
});
