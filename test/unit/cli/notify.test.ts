/** Channels and rules that are changed in place: what is not named stays, above all what is secret. */
import { expect, test } from "bun:test";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import type { WireChannel, WireRule } from "../../../src/contract/notify.ts";
import { openCliFixture, type CliFixture } from "./cli-fixture.ts";

async function ok(fixture: CliFixture, ...words: string[]): Promise<string> {
  const { code, out, err } = await fixture.run("notify", ...words);
  expect([words.join(" "), code, err]).toEqual([words.join(" "), 0, ""]);
  return out;
}

async function refused(fixture: CliFixture, ...words: string[]): Promise<string> {
  const { code, err } = await fixture.run("notify", ...words);
  expect([words.join(" "), code === 0]).toEqual([words.join(" "), false]);
  return err;
}

/** With an e-mail channel `ops` that signs in, and a webhook `chat`. */
async function openWithChannels(): Promise<CliFixture> {
  const fixture = await openCliFixture();
  const password = join(fixture.dataDir, "smtp.password");
  writeFileSync(password, "first secret\n");
  const host = ["--host", "mail.example.org", "--from", "box@example.org", "--to", "ops@example.org"];
  await ok(fixture, "channel", "email", "ops", ...host, "--user", "box", "--password-file", password, "--brief");
  await ok(fixture, "channel", "webhook", "chat", "--url", "https://hooks.example.org/a");
  return fixture;
}

const secretOf = ({ context }: CliFixture, name: string): string | null | undefined =>
  context.catalog.notify.channels().find((each) => each.name === name)?.secret;

async function channelOf(fixture: CliFixture, name: string): Promise<WireChannel | undefined> {
  const { channels } = JSON.parse(await ok(fixture, "channel", "list", "--json")) as { channels: WireChannel[] };
  return channels.find((each) => each.name === name);
}

async function ruleOf(fixture: CliFixture, name: string): Promise<WireRule | undefined> {
  const { rules } = JSON.parse(await ok(fixture, "rule", "list", "--json")) as { rules: WireRule[] };
  return rules.find((each) => each.name === name);
}

test("sternway notify channel set changes what is named and keeps the rest, the password with it", async () => {
  await using fixture = await openWithChannels();
  const before = await channelOf(fixture, "ops");
  const out = await ok(
    fixture,
    "channel",
    "set",
    "ops",
    "--to",
    "a@example.org",
    "--to",
    "b@example.org",
    "--no-brief",
  );
  expect(out).toStartWith("changed channel ops\n");
  const after = await channelOf(fixture, "ops");
  expect(after).toEqual({ ...before, to: ["a@example.org", "b@example.org"], details: "full" } as WireChannel);
  expect(secretOf(fixture, "ops")).toBe("first secret");
  expect(await ok(fixture, "channel", "set", "ops", "--off")).toContain("switched off");
  expect(await channelOf(fixture, "ops")).toMatchObject({ enabled: false, state: "disabled" });
  await ok(fixture, "channel", "set", "ops", "--on");
  expect(await channelOf(fixture, "ops")).toEqual(after);
});

test("sternway notify channel set gives a password to another server only when it is given again", async () => {
  await using fixture = await openWithChannels();
  expect(await refused(fixture, "channel", "set", "ops", "--host", "evil.example.org")).toContain("give it again");
  expect(secretOf(fixture, "ops")).toBe("first secret");
  const password = join(fixture.dataDir, "other.password");
  writeFileSync(password, "second secret\n");
  await ok(fixture, "channel", "set", "ops", "--host", "other.example.org", "--password-file", password);
  expect(secretOf(fixture, "ops")).toBe("second secret");
  await ok(fixture, "channel", "set", "ops", "--no-user");
  const { user, hasSecret } = (await channelOf(fixture, "ops")) as WireChannel & { user?: string };
  expect([user, hasSecret, secretOf(fixture, "ops")]).toEqual([undefined, false, null]);
});

test("sternway notify channel set keeps a webhook's secret, and shows another one once where that is asked", async () => {
  await using fixture = await openWithChannels();
  const secret = secretOf(fixture, "chat");
  const moved = await ok(fixture, "channel", "set", "chat", "--url", "https://hooks.example.org/b");
  expect([secretOf(fixture, "chat"), moved.includes("whsec_")]).toEqual([secret!, false]);
  const renewed = await ok(fixture, "channel", "set", "chat", "--renew-secret");
  expect(secretOf(fixture, "chat")).not.toBe(secret!);
  expect(renewed).toContain(secretOf(fixture, "chat")!);
});

test("sternway notify channel set refuses nothing, what is another kind's, and who is not there", async () => {
  await using fixture = await openWithChannels();
  expect(await refused(fixture, "channel", "set", "ops")).toContain("say what is to be changed");
  expect(await refused(fixture, "channel", "set", "ops", "--renew-secret")).toContain("--renew-secret is not for it");
  expect(await refused(fixture, "channel", "set", "chat", "--no-server-name")).toContain("--server-name is not for it");
  expect(await refused(fixture, "channel", "set", "chat", "--on", "--off")).toContain("cannot be used with");
  expect(await refused(fixture, "channel", "set", "nobody", "--on")).toContain("nobody");
});

test("sternway notify rule set changes what is named, takes away what is named with no, and keeps the rest", async () => {
  await using fixture = await openWithChannels();
  const quiet = ["--quiet", "22:00-06:00", "--zone", "Europe/Berlin"];
  await ok(fixture, "rule", "add", "web", "--channel", "ops", "--about", "web1", "--topic", "space", ...quiet);
  const before = await ruleOf(fixture, "web");
  await ok(fixture, "rule", "set", "web", "--level", "alert", "--alerts-too");
  expect(await ruleOf(fixture, "web")).toEqual({
    ...before!,
    level: "alert",
    quiet: { from: "22:00", to: "06:00", zone: "Europe/Berlin", alsoAlerts: true },
  });
  await ok(fixture, "rule", "set", "web", "--quiet", "21:00-07:00", "--no-about", "--channel", "chat", "--off");
  const { about, topics, enabled, channels, quiet: hours } = (await ruleOf(fixture, "web"))!;
  expect([about, topics, enabled, channels]).toEqual([undefined, ["space"], false, ["chat"]]);
  expect(hours).toEqual({ from: "21:00", to: "07:00", zone: "Europe/Berlin", alsoAlerts: true });
  await ok(fixture, "rule", "set", "web", "--no-quiet", "--on");
  expect(await ruleOf(fixture, "web")).not.toHaveProperty("quiet");
  expect(await refused(fixture, "rule", "set", "web", "--zone", "UTC")).toContain("--quiet FROM-TO");
  expect(await refused(fixture, "rule", "set", "web")).toContain("say what is to be changed");
  expect(await refused(fixture, "rule", "set", "web", "--channel", "nowhere")).toContain("nowhere");
});
