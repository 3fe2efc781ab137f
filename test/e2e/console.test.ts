/**
 * The console in a real browser against a real appliance: from the first run to a protected disk, every page at both widths and in both colours, and what
 * each role is shown. No page may complain, ask anybody else, need scrolling sideways, or have a serious finding of axe.
 */
import { expect } from "bun:test";
import { connectNbd } from "../../src/nbd/client.ts";
import { DESKTOP, PHONE, type TestWindow } from "../support/browser.ts";
import { consoleBed } from "../support/console-bed.ts";
import { testWith } from "../support/require-tool.ts";

const TIMEOUT_MS = 180_000;
/** On loopback, from the address to the first page's heading. The aim is a second. */
const FIRST_PAGE_MS_MAX = 2_000;
/** On a busy machine: so many times what the browser takes there to show a line of text. */
const FIRST_PAGE_RATIO_MAX = 10;
const PASSWORD = "correct horse battery";
/** The narrowest phone that must do. */
const NARROW = { width: 360, height: 740 } as const;

const PAGES = [
  "/",
  "/protect",
  "/protect/web1",
  "/volumes",
  "/volumes/web1",
  "/volumes/web1/manage",
  "/machines",
  "/machines/shop",
  "/retention",
  "/retention/web1",
  "/schedules",
  "/vaults",
  "/tiers",
  "/growth",
  "/alarms",
  "/jobs",
  "/events",
  "/reports",
  "/audit",
  "/notifications",
  "/accounts",
  "/tokens",
  "/account",
  "/settings",
  "/restore",
  "/no-such-page",
];

const running = consoleBed();

async function signIn(window: TestWindow, name: string): Promise<void> {
  await window.signIn(name, PASSWORD);
  await window.page.getByRole("heading", { level: 1, name: "Overview" }).waitFor();
}

/** What a window of its own takes to show what has nothing to do with the console. */
async function msToShowALine(): Promise<number> {
  await using window = await running().browser.window(running().origin);
  const from = performance.now();
  await window.page.goto(`${running().origin}/healthz`);
  return performance.now() - from;
}

/** Waits until a page has what it loads. */
async function settled(window: TestWindow): Promise<void> {
  await window.page.locator("[aria-busy=true]").first().waitFor({ state: "detached" });
}

testWith(
  ["chromium"],
  "the first run leads from a code to a disk whose first write is noticed",
  async () => {
    const lineMs = await msToShowALine();
    await using window = await running().browser.window(running().origin, { viewport: DESKTOP });
    const { page } = window;
    await window.watched("the first run", async () => {
      const from = performance.now();
      await window.open("/");
      const pageMs = performance.now() - from;
      console.log(`the first page stood after ${pageMs.toFixed(0)} ms, a line of text after ${lineMs.toFixed(0)} ms`);
      expect(pageMs).toBeLessThan(Math.max(FIRST_PAGE_MS_MAX, FIRST_PAGE_RATIO_MAX * lineMs));
      expect(await page.locator("h1").innerText()).toBe("Set up this appliance");
      expect(await window.accessibility()).toEqual([]);

      const { code = "" } = await running().daemon.client.setup();
      await page.getByLabel("Set-up code").fill(code.toLowerCase());
      await page.getByLabel("Your name").fill("anna");
      await page.getByLabel("Password", { exact: true }).fill(PASSWORD);
      await page.getByLabel("Password once more").fill(PASSWORD);
      await page.getByRole("button", { name: "Make the account" }).click();

      await page.getByRole("heading", { level: 1, name: "Protect a disk" }).waitFor();
      await page.getByLabel("Name").fill("web1");
      await page.getByLabel("Size").fill("64 MiB");
      await page.getByRole("button", { name: "Make the volume" }).click();
      await page.getByText("Waiting for a machine").waitFor();
      await page.locator("pre", { hasText: "nbd.sock" }).first().waitFor();

      const client = await connectNbd(running().daemon.blocks, "web1");
      await page.getByText("A machine is connected").waitFor();
      await client.write(0, new Uint8Array(4096).fill(7));
      await client.flush();
      await page.getByText("web1 is protected").waitFor();
      await client.close();
    });
    expect(window.complaints).toEqual([]);
    await running().daemon.client.createMachine({ name: "shop", volumes: ["web1"] });
    await running().daemon.client.createBookmark("web1", { name: "first-write", note: "by a test" });
    await running().daemon.client.addAccount({ name: "olga", role: "operator", password: PASSWORD });
    await running().daemon.client.addAccount({ name: "audrey", role: "auditor", password: PASSWORD });
    await running().daemon.client.addAccount({
      name: "sam",
      role: "self-service",
      machines: ["shop"],
      password: PASSWORD,
    });
  },
  TIMEOUT_MS,
);

for (const look of [
  { name: "on a desk, light", viewport: DESKTOP, dark: false },
  { name: "on a phone, dark", viewport: PHONE, dark: true },
]) {
  testWith(
    ["chromium"],
    `every page stands without complaint ${look.name}`,
    async () => {
      await using window = await running().browser.window(running().origin, look);
      await signIn(window, "anna");
      for (const path of PAGES) {
        await window.watched(path, async () => {
          await window.open(path);
          await window.stands(path);
          expect(await window.page.locator("h1").count()).toBe(1);
          expect(await window.page.title()).toContain("Sternway");
        });
        expect({ path, complaints: window.complaints }).toEqual({ path, complaints: [] });
      }
    },
    TIMEOUT_MS,
  );
}

testWith(
  ["chromium"],
  "nothing is wider than the narrowest phone",
  async () => {
    await using window = await running().browser.window(running().origin, { viewport: NARROW });
    await signIn(window, "anna");
    for (const path of PAGES) {
      await window.open(path);
      await settled(window);
      expect({ path, overflow: await window.overflow() }).toEqual({ path, overflow: 0 });
    }
  },
  TIMEOUT_MS,
);

testWith(
  ["chromium"],
  "each role is shown what it may, and meets no refusal on the pages that it is shown",
  async () => {
    const shown: Record<string, { yes: string[]; no: string[] }> = {
      olga: { yes: ["Volumes", "Vaults", "Jobs"], no: ["Accounts", "Audit", "Notifications"] },
      audrey: { yes: ["Volumes", "Audit", "Reports"], no: ["Accounts", "Restore", "Notifications"] },
      sam: { yes: ["Machines", "Volumes", "Restore"], no: ["Accounts", "Audit", "Vaults", "Jobs", "Events"] },
    };
    for (const [name, { yes, no }] of Object.entries(shown)) {
      await using window = await running().browser.window(running().origin);
      const { page } = window;
      await signIn(window, name);
      const navigation = page.getByRole("navigation", { name: "Main" });
      const labels = await navigation.getByRole("link").allInnerTexts();
      expect({ name, missing: yes.filter((label) => !labels.includes(label)) }).toEqual({ name, missing: [] });
      expect({ name, excess: no.filter((label) => labels.includes(label)) }).toEqual({ name, excess: [] });
      for (const label of labels) {
        await window.watched(`${label} as ${name}`, async () => {
          await navigation.getByRole("link", { name: label, exact: true }).click();
          await settled(window);
        });
        expect({ name, label, complaints: window.complaints }).toEqual({ name, label, complaints: [] });
      }
    }
  },
  TIMEOUT_MS,
);

testWith(
  ["chromium"],
  "a person without a mouse gets from the first tab to a page and back",
  async () => {
    await using window = await running().browser.window(running().origin);
    const { page } = window;
    await signIn(window, "anna");
    await window.open("/volumes");
    await page.keyboard.press("Tab");
    expect(await page.evaluate("document.activeElement.textContent")).toContain("Skip to the content");
    await page.keyboard.press("Enter");
    expect(await page.evaluate("document.activeElement.id")).toBe("main");
    const link = page.getByRole("navigation", { name: "Main" }).getByRole("link", { name: "Vaults", exact: true });
    await link.focus();
    await page.keyboard.press("Enter");
    await page.getByRole("heading", { level: 1, name: "Vaults" }).waitFor();
    await page.locator("h1:focus", { hasText: "Vaults" }).waitFor();

    // A dialog takes the focus, closes by Escape and gives it back.
    await page.getByRole("button", { name: "Make a vault" }).press("Enter");
    await page.getByRole("dialog").waitFor();
    await page.keyboard.press("Escape");
    await page.getByRole("dialog").waitFor({ state: "detached" });
    await page.locator("button:focus", { hasText: "Make a vault" }).waitFor();

    await page.goBack();
    await page.getByRole("heading", { level: 1, name: "Volumes" }).waitFor();
    expect(window.complaints).toEqual([]);
  },
  TIMEOUT_MS,
);

testWith(
  ["chromium"],
  "a check is started, followed to its end, and found among the jobs",
  async () => {
    await using window = await running().browser.window(running().origin);
    const { page } = window;
    await signIn(window, "anna");
    await window.watched("a check", async () => {
      await window.open("/jobs");
      await page.getByRole("button", { name: "Start a check or scrub" }).click();
      await page.getByRole("button", { name: "Start it" }).click();
      await page.getByRole("heading", { level: 1, name: "Check" }).waitFor();
      await page.getByText("no damage").first().waitFor();
      await page.getByRole("link", { name: "Jobs", exact: true }).first().click();
      await page.getByRole("link", { name: "Check: all vaults" }).waitFor();
    });
    expect(window.complaints).toEqual([]);
  },
  TIMEOUT_MS,
);

testWith(
  ["chromium"],
  "an ended session leads to the sign-in page and back to where it was",
  async () => {
    await using window = await running().browser.window(running().origin, { expected: /401/ });
    const { page } = window;
    await signIn(window, "anna");
    await window.open("/volumes/web1/manage");
    await window.context.clearCookies();
    // The page asks for news by itself and learns of it.
    await page.getByText("Your session has ended").waitFor();
    await page.getByLabel("Name").fill("anna");
    await page.getByLabel("Password").fill("wrong words here");
    await page.getByRole("button", { name: "Sign in" }).click();
    await page.getByRole("alert").waitFor();
    await page.getByLabel("Password").fill(PASSWORD);
    await page.getByRole("button", { name: "Sign in" }).click();
    await page.getByRole("heading", { level: 1, name: "web1" }).waitFor();
    await page.getByRole("button", { name: "Sign out" }).click();
    await page.getByRole("heading", { level: 1, name: "Sign in" }).waitFor();
    expect(await window.accessibility()).toEqual([]);
    expect(window.complaints).toEqual([]);
  },
  TIMEOUT_MS,
);
