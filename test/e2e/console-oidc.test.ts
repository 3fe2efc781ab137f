/**
 * Signing in through a provider of OpenID Connect as a person does it: from the sign-in page to the provider's page, which is another site for the browser, and back. With a real
 * daemon and Chromium, whose rules on cookies decide whether that works.
 */
import { afterAll, beforeAll, beforeEach, expect } from "bun:test";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { launchBrowser, type TestBrowser, type TestWindow } from "../support/browser.ts";
import { DaemonProcess, removeScratch, scratchFolder } from "../support/daemon-process.ts";
import { OIDC_CLIENT, startOidcProvider, type OidcProvider } from "../support/oidc-provider.ts";
import { missing, testWith } from "../support/require-tool.ts";

const TIMEOUT_MS = 120_000;
const USUAL = { sub: "1234", preferred_username: "Carl", groups: ["readers"] };
const folder = scratchFolder();
let provider: OidcProvider;
let daemon: DaemonProcess;
let browser: TestBrowser;
let origin = "";

beforeAll(async () => {
  if (missing("chromium") !== undefined) return;
  provider = await startOidcProvider();
  provider.asks = true;
  writeFileSync(join(folder, "secret"), `${OIDC_CLIENT.secret}\n`, { mode: 0o600 });
  const port = freePort();
  // The provider goes by 127.0.0.1, the appliance by localhost: two sites, as they are in life.
  origin = `http://localhost:${port}`;
  daemon = await DaemonProcess.start(join(folder, "data"), {
    words: ["--http", `127.0.0.1:${port}`],
    config: {
      oidc: {
        issuer: provider.issuer,
        clientId: OIDC_CLIENT.id,
        clientSecretFile: join(folder, "secret"),
        redirectUrl: `${origin}/v1/oidc/callback`,
        roleClaim: "groups",
        roles: { "storage-admins": "administrator", readers: "auditor", owners: "self-service" },
        machinesClaim: "machines",
      },
    },
  });
  const { client } = daemon;
  await client.setUp({ name: "ada", password: "a sentence for the test" });
  await client.createVolume("web1", 2 ** 20);
  await client.createVolume("mail", 2 ** 20);
  await client.createMachine({ name: "shop", volumes: ["web1"] });
  browser = await launchBrowser();
}, TIMEOUT_MS);

afterAll(async () => {
  if (missing("chromium") !== undefined) return;
  await browser?.[Symbol.asyncDispose]();
  const { complaints } = daemon;
  await daemon.stop();
  provider[Symbol.dispose]();
  removeScratch(folder);
  expect(complaints).toEqual([]);
}, TIMEOUT_MS);

beforeEach(() => {
  if (missing("chromium") === undefined) Object.assign(provider, { claims: USUAL, refuses: false, forges: false });
});

/** A port that was free a moment ago: the provider must know the address before the appliance listens on it. */
function freePort(): number {
  const server = Bun.serve({ hostname: "127.0.0.1", port: 0, fetch: () => new Response() });
  const { port } = server;
  void server.stop(true);
  return port!;
}

/** A window that has been at the provider and is back. */
async function returned(path = "/"): Promise<TestWindow> {
  const window = await browser.window(origin, { expected: new RegExp(`401|${RegExp.escape(provider.issuer)}`) });
  await window.watched("the provider's page", async () => {
    await window.open(path);
    expect(await window.accessibility()).toEqual([]);
    await window.page.getByRole("link", { name: "Sign in through your organisation" }).click();
    await window.page.getByRole("link", { name: "Let me in" }).click();
    await window.page.waitForURL(`${origin}/**`);
  });
  return window;
}

const run = (name: string, work: () => Promise<void>): void => testWith(["chromium"], name, work, TIMEOUT_MS);

run("a provider that is away is told on the sign-in page, and works once it is back", async () => {
  provider.isDown = true;
  await using window = await browser.window(origin, { expected: /401/ });
  const { page } = window;
  await window.watched("without the provider", async () => {
    await window.open("/");
    await page.getByRole("link", { name: "Sign in through your organisation" }).click();
    await page.getByText("The provider is out of reach").waitFor();
    expect(window.complaints).toEqual([]);
  });
  provider.isDown = false;
  await using _later = await returned();
});

run(
  "the provider's page leads back into the console, with the role of the claim and nothing in the address",
  async () => {
    await using window = await returned();
    const { page } = window;
    await window.watched("back from the provider", async () => {
      await page.getByRole("heading", { level: 1, name: "Overview" }).waitFor();
      expect(new URL(page.url()).search).toBe("");
      const links = await page.getByRole("navigation", { name: "Main" }).getByRole("link").allInnerTexts();
      expect(links).toContain("Audit");
      expect(links).not.toContain("Accounts");
      expect(links).not.toContain("Restore");
      // The session is a usual one: it holds over a reload and ends by signing out.
      await page.reload();
      await page.getByRole("heading", { level: 1, name: "Overview" }).waitFor();
      await page.getByRole("button", { name: "Sign out" }).click();
      await page.getByRole("heading", { level: 1, name: "Sign in" }).waitFor();
      expect(window.complaints).toEqual([]);
    });
    const { accounts } = (await daemon.command("account", "list")) as { accounts: { name: string; role: string }[] };
    expect(accounts).toContainEqual(expect.objectContaining({ name: "carl", role: "auditor" }));
  },
);

run("somebody with the role self-service sees the machines of his claim and no others", async () => {
  provider.claims = { sub: "77", preferred_username: "sam", groups: "owners", machines: ["shop"] };
  await using window = await returned();
  const { page } = window;
  await window.watched("self-service by claim", async () => {
    await page.getByRole("link", { name: "Volumes", exact: true }).first().click();
    await page.getByRole("link", { name: "web1" }).first().waitFor();
    expect(await page.getByText("mail", { exact: true }).count()).toBe(0);
    expect(window.complaints).toEqual([]);
  });
});

const REFUSALS: readonly (readonly [string, () => void, RegExp])[] = [
  ["no role fits", () => (provider.claims = { ...USUAL, groups: ["canteen"] }), /you have no role on this appliance/],
  ["the provider refuses", () => (provider.refuses = true), /The provider refused, or its answer does not count/],
  ["the token is not the provider's", () => (provider.forges = true), /its answer does not count/],
  ["the name is taken", () => (provider.claims = { ...USUAL, sub: "9", preferred_username: "ada" }), /is taken here/],
];
for (const [when, arrange, said] of REFUSALS) {
  run(`where ${when}, the sign-in page says so, and nobody is in`, async () => {
    arrange();
    await using window = await returned();
    const { page } = window;
    await window.watched(when, async () => {
      await page.getByText(said).waitFor();
      expect(await page.getByRole("heading", { level: 1 }).innerText()).toBe("Sign in");
      expect(await window.accessibility()).toEqual([]);
      const names = (await window.context.cookies()).map((cookie) => cookie.name);
      expect(names.filter((name) => /session/.test(name))).toEqual([]);
      expect(window.complaints).toEqual([]);
    });
  });
}
