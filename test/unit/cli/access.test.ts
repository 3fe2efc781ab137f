import { expect, test } from "bun:test";
import { readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { openCliFixture, type CliFixture } from "./cli-fixture.ts";

const PASSWORD = "correct horse battery";

function passwordFile({ dataDir }: CliFixture, text = `${PASSWORD}\nignored\n`): string {
  const path = join(dataDir, "password");
  writeFileSync(path, text);
  return path;
}

test("sternway setup shows the code, makes the first administrator, and is over then", async () => {
  await using fixture = await openCliFixture();
  const shown = await fixture.run("setup", "--show-code");
  expect(shown.out).toMatch(/^[0-9A-Z]{4}-[0-9A-Z]{4}-[0-9A-Z]{4}\n$/);
  expect((await fixture.run("account", "list")).out).toContain("sternway setup");
  const path = passwordFile(fixture);
  expect((await fixture.run("setup", "--password-file", path)).err).toContain("which name");
  expect((await fixture.run("setup", "Anna", "--password-file", path)).err).toContain("a-z 0-9");
  expect((await fixture.run("setup", "anna", "--password-file", passwordFile(fixture, "short\n"))).err).toContain(
    "at least 10 characters",
  );
  expect((await fixture.run("setup", "anna", "--password-file", passwordFile(fixture, "\n"))).err).toContain(
    "no password",
  );
  const done = await fixture.run("setup", "anna", "--password-file", passwordFile(fixture));
  expect(done).toMatchObject({ code: 0, out: expect.stringContaining("anna is the first administrator") });
  const again = await fixture.run("setup", "--show-code");
  expect(again.code).not.toBe(0);
  expect(again.err).toContain("set up already");
});

test("sternway account adds, lists, changes, helps and removes", async () => {
  await using fixture = await openCliFixture();
  const path = passwordFile(fixture);
  await fixture.run("setup", "anna", "--password-file", path);
  expect((await fixture.run("account", "add", "boris", "king", "--password-file", path)).err).toContain("operator");
  expect((await fixture.run("account", "add", "boris", "operator", "--password-file", path)).out).toBe(
    "added boris as operator\n",
  );
  await fixture.run("account", "add", "sam", "self-service", "--machine", "web", "--password-file", path);
  const changed = await fixture.run("account", "change", "sam", "--machine", "web", "--machine", "db", "--json");
  expect(JSON.parse(changed.out)).toMatchObject({ machines: ["db", "web"], tokensRemoved: 0 });
  const { out } = await fixture.run("account", "list");
  expect(out).toMatch(/^anna +administrator +password +never/m);
  expect(out).toMatch(/^sam +self-service +db web/m);
  expect((await fixture.run("account", "change", "anna", "--role", "operator")).err).toContain("last administrator");
  expect((await fixture.run("account", "password", "boris", "--password-file", path)).code).toBe(0);
  expect((await fixture.run("account", "unlock", "boris")).code).toBe(0);
  expect((await fixture.run("account", "totp-off", "boris")).code).toBe(0);
  expect((await fixture.run("account", "unlock", "nobody")).err).toContain("no account nobody");
  expect((await fixture.run("account", "remove", "boris")).out).toContain("removed boris");
  expect((await fixture.run("account", "remove", "anna")).err).toContain("last administrator");
});

test("sternway token shows a token once, or puts it into a new file that others cannot read", async () => {
  await using fixture = await openCliFixture();
  await fixture.run("setup", "anna", "--password-file", passwordFile(fixture));
  const shown = await fixture.run("token", "add", "anna", "nightly", "--role", "auditor", "--days", "30");
  expect(shown.out).toMatch(/\nswt_[\w-]{43}\n$/);
  const tokenFile = join(fixture.dataDir, "web.token");
  const kept = await fixture.run("token", "add", "anna", "agent", "--token-file", tokenFile);
  expect(kept.out).not.toContain("swt_");
  expect(readFileSync(tokenFile, "utf8")).toMatch(/^swt_[\w-]{43}\n$/);
  expect(statSync(tokenFile).mode & 0o777).toBe(0o600);
  expect((await fixture.run("token", "add", "anna", "agent", "--token-file", tokenFile)).code).not.toBe(0);
  expect((await fixture.run("token", "add", "nobody", "x", "--token-file", `${tokenFile}2`)).err).toContain("nobody");
  const { tokens } = JSON.parse((await fixture.run("token", "list", "--json")).out) as { tokens: { id: string }[] };
  expect(tokens).toHaveLength(2);
  expect((await fixture.run("token", "remove", tokens[0]!.id)).code).toBe(0);
  expect((await fixture.run("token", "remove", tokens[0]!.id)).err).toContain("no token");
  expect((await fixture.run("token", "list")).out).toContain("agent");
});

test("sternway account sessions lists where somebody is signed in, and sign-out ends one or all", async () => {
  await using fixture = await openCliFixture();
  await fixture.run("setup", "anna", "--password-file", passwordFile(fixture));
  expect((await fixture.run("account", "sessions", "anna")).out).toBe("anna is signed in nowhere\n");
  const { access } = fixture.context;
  const headers = new Headers({
    "user-agent": "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
  });
  const open = (): unknown =>
    access.sessions.open(access.accounts.get("anna"), { headers, secure: false, from: "192.0.2.9" });
  for (let i = 0; i < 3; i++) open();
  const { out } = await fixture.run("account", "sessions", "anna");
  expect(out).toMatch(/^[0-9a-f]{16} .*192\.0\.2\.9 +Firefox on Linux$/m);
  const { sessions } = JSON.parse((await fixture.run("account", "sessions", "anna", "--json")).out) as {
    sessions: { id: string }[];
  };
  expect((await fixture.run("account", "sign-out", "anna")).err).toContain("say which");
  const one = ["account", "sign-out", "anna", "--session", sessions[1]!.id] as const;
  expect((await fixture.run(...one, "--all")).err).toContain("say which");
  expect((await fixture.run(...one)).out).toBe(`ended session ${sessions[1]!.id} of anna\n`);
  expect((await fixture.run(...one)).err).toContain("may be over already");
  await fixture.run("account", "add", "olga", "operator", "--password-file", passwordFile(fixture));
  const others = await fixture.run("account", "sign-out", "olga", "--session", sessions[0]!.id);
  expect(others.err).toContain("olga has no session");
  expect((await fixture.run("account", "sign-out", "anna", "--all")).out).toBe("ended sessions of anna: 2\n");
  expect((await fixture.run("account", "sessions", "nobody")).err).toContain("no account nobody");
});
