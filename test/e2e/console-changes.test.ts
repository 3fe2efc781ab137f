/**
 * The console in a real browser where things that are set up get changed: a vault that comes from another appliance's tier, places kept for peers, growth,
 * a report that is sent, and channels, rules and schedules that are changed in place. Each page and dialog at both widths and in both colours.
 */
import { afterAll, beforeAll, expect } from "bun:test";
import { Database } from "bun:sqlite";
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import type { Page } from "playwright-core";
import { connectNbd } from "../../src/nbd/client.ts";
import { DESKTOP, launchBrowser, PHONE, type TestBrowser, type TestWindow } from "../support/browser.ts";
import { DaemonProcess, removeScratch, scratchFolder } from "../support/daemon-process.ts";
import { testWith } from "../support/require-tool.ts";
import { tierCatchesUp, TIER_CONFIG } from "../support/tier-appliance.ts";

const TIMEOUT_MS = 180_000;
const PASSWORD = "correct horse battery";
const DAY = 86_400e6;
const GIB = 2 ** 30;
const LOOKS = [
  { name: "on a desk, light", viewport: DESKTOP, dark: false },
  { name: "on a desk, dark", viewport: DESKTOP, dark: true },
  { name: "on a phone, light", viewport: PHONE, dark: false },
  { name: "on a phone, dark", viewport: PHONE, dark: true },
] as const;

const folder = scratchFolder();
const tierUrl = `file://${join(folder, "tier")}`;
let daemon: DaemonProcess | undefined;
let writer: DaemonProcess | undefined;
let browser: TestBrowser | undefined;

beforeAll(async () => {
  const dataDir = join(folder, "here");
  const first = await DaemonProcess.start(dataDir, { config: TIER_CONFIG });
  await first.client.addAccount({ name: "anna", role: "administrator", password: PASSWORD });
  await first.stop();
  growForFourWeeks(join(dataDir, "catalog.db"));
  daemon = await DaemonProcess.start(dataDir, { config: TIER_CONFIG });
  await daemon.client.createVolume("web1", 2 ** 24);
  writer = await DaemonProcess.start(join(folder, "there"), { config: TIER_CONFIG });
  mkdirSync(join(folder, "tier"));
  await writer.client.createVolume("far", 2 ** 22);
  await writer.client.addTier("default", { name: "usb", url: tierUrl, mode: "continuous", rpoSeconds: 1 });
  await writeTo(writer, 1);
  browser = await launchBrowser();
}, TIMEOUT_MS);

afterAll(async () => {
  await browser?.[Symbol.asyncDispose]();
  const complaints = daemon?.complaints;
  await daemon?.stop();
  await writer?.stop();
  removeScratch(folder);
  expect(complaints).toEqual([]);
}, TIMEOUT_MS);

/** What the tests began with; its start has failed where it is missing. */
function running(): { daemon: DaemonProcess; writer: DaemonProcess; browser: TestBrowser } {
  if (!daemon || !writer || !browser) throw new Error("an appliance or the browser did not start");
  return { daemon, writer, browser };
}

/** Four weeks of a vault that grows by a gibibyte a day on a disk of a hundred. */
function growForFourWeeks(path: string): void {
  using catalog = new Database(path);
  const insert = catalog.prepare(
    "INSERT INTO growth (time, rhythm, kind, name, stored_bytes, live_bytes, free_bytes, total_bytes) VALUES (?, ?, 'vault', 'default', ?, ?, ?, ?)",
  );
  const today = Math.floor((Date.now() * 1000) / DAY) * DAY;
  for (let hours = 0; hours < 28 * 24; hours++) {
    const grown = Math.round((hours / 24) * GIB);
    const figures = [10 * GIB + grown, 8 * GIB + grown, 90 * GIB - grown, 100 * GIB];
    const time = today - 28 * DAY + (hours * DAY) / 24;
    insert.run(time, "hour", ...figures);
    if (hours % 24 === 0) insert.run(time, "day", ...figures);
  }
}

/** A block of one byte, and the tier brought up to it. */
async function writeTo(to: DaemonProcess, byte: number): Promise<void> {
  const client = await connectNbd(to.blocks, "far");
  await client.write(0, new Uint8Array(4096).fill(byte));
  await client.flush();
  await client.close();
  await tierCatchesUp(to, "default", "usb");
}

async function signIn(look: { viewport: { width: number; height: number }; dark: boolean }): Promise<TestWindow> {
  const { daemon: here, browser: with_ } = running();
  const window = await with_.window(here.addresses.http ?? "", look);
  await window.signIn("anna", PASSWORD);
  await window.page.getByRole("heading", { level: 1, name: "Overview" }).waitFor();
  return window;
}

const dialogOf = (page: Page) => page.getByRole("dialog");
const closed = (page: Page): Promise<void> => dialogOf(page).waitFor({ state: "detached" });

testWith(
  ["chromium"],
  "a vault is opened from a tier for reading, read anew, and taken over by typing its name",
  async () => {
    const { daemon: here, writer: there } = running();
    await using window = await signIn(LOOKS[0]);
    const { page } = window;
    await window.watched("a vault from a tier", async () => {
      await window.open("/vaults");
      await page.getByRole("button", { name: "Open one from a tier" }).click();
      await page.getByLabel("What it is to be called here").fill("rescued");
      await page.getByLabel("Address").fill(tierUrl);
      // Taking over asks for the name first; reading does not.
      await page.getByLabel("This appliance").check();
      expect(await page.getByRole("button", { name: "Open it and take it over" }).isDisabled()).toBe(true);
      await page.getByText("may do so no longer").waitFor();
      await window.stands("open-from-tier");
      await page.getByLabel("Whoever does now").check();
      await page.getByRole("button", { name: "Open it for reading" }).click();
      await closed(page);
      await page.getByRole("heading", { name: "rescued" }).waitFor();
      expect(await here.client.vaultNamed("rescued")).toMatchObject({ state: "read-only", volumes: ["far"] });
      expect(await there.client.vaultNamed("default")).toMatchObject({ state: "writable" });
      const lsn = (await here.client.vaultNamed("rescued")).status?.lastLsn ?? 0;

      await writeTo(there, 2);
      await page.getByRole("button", { name: "Read vault rescued anew" }).click();
      await page.getByRole("button", { name: "Read it anew" }).click();
      await closed(page);
      expect((await here.client.vaultNamed("rescued")).status?.lastLsn).toBeGreaterThan(lsn);

      await page.getByRole("button", { name: "Take vault rescued over" }).click();
      await dialogOf(page).waitFor();
      await window.stands("take-over");
      const take = page.getByRole("button", { name: "Take it over" });
      expect(await take.isDisabled()).toBe(true);
      await page.getByLabel("Type rescued to confirm").fill("rescued");
      await take.click();
      await closed(page);
      await page.getByRole("button", { name: "Take vault rescued over" }).waitFor({ state: "detached" });
      expect(await here.client.vaultNamed("rescued")).toMatchObject({ state: "writable" });
    });
    expect(window.complaints).toEqual([]);
  },
  TIMEOUT_MS,
);

testWith(
  ["chromium"],
  "a place for a peer is made, shows its token once, gets another, and goes when its name is typed",
  async () => {
    const { client } = running().daemon;
    await using window = await signIn(LOOKS[0]);
    const { page } = window;
    await window.watched("a place", async () => {
      await window.open("/tiers");
      await page.getByRole("button", { name: "Make a place" }).click();
      await dialogOf(page).getByLabel("Name").fill("berlin");
      await page.getByLabel("It may hold at most").fill("2 GiB");
      await page.getByRole("button", { name: "Make it" }).click();
      await page.getByText("It is shown this once").waitFor();
      const token = await dialogOf(page).locator("pre").innerText();
      expect(token.length).toBeGreaterThan(20);
      await window.stands("place-token");
      await page.getByRole("button", { name: "I have it" }).click();
      await closed(page);
      expect(await page.getByText(token).count()).toBe(0);
      await page.getByText("of 2 GiB").waitFor();
      expect((await client.received()).places).toMatchObject([{ name: "berlin", quotaBytes: 2 * GIB }]);

      await page.getByRole("button", { name: "New token for berlin" }).click();
      await page.getByRole("button", { name: "Make another token" }).click();
      await page.getByText("It is shown this once").waitFor();
      expect(await dialogOf(page).locator("pre").innerText()).not.toBe(token);
      await page.getByRole("button", { name: "I have it" }).click();

      await page.getByRole("button", { name: "Remove place berlin" }).click();
      const remove = page.getByRole("button", { name: "Delete it with all that it keeps" });
      expect(await remove.isDisabled()).toBe(true);
      await page.getByLabel("Type berlin to confirm").fill("berlin");
      await remove.click();
      await closed(page);
      await page.getByText("None is kept").waitFor();
      expect((await client.received()).places).toEqual([]);
    });
    expect(window.complaints).toEqual([]);
  },
  TIMEOUT_MS,
);

testWith(
  ["chromium"],
  "a channel, a rule and a schedule are changed in place, and keep what their forms do not show",
  async () => {
    const { client } = running().daemon;
    await client.createChannel({
      name: "ops",
      kind: "email",
      host: "127.0.0.1",
      port: 1,
      user: "box",
      password: "not shown",
      from: "box@example.org",
      to: ["ops@example.org"],
      hourlyMax: 7,
    });
    await client.createRule("all", { channels: ["ops"], kinds: ["tier-offline"], remindHours: 3 });
    await client.createSchedule({
      name: "nightly",
      task: { kind: "bookmark", volume: "web1", prefix: "night", keep: 7 },
      timing: { kind: "calendar", expression: "30 1 * * *", timeZone: "Europe/Berlin" },
      jitterSeconds: 60,
    });
    await using window = await signIn(LOOKS[0]);
    const { page } = window;
    await window.watched("changing", async () => {
      await window.open("/notifications");
      await page.getByRole("button", { name: "Change channel ops" }).click();
      await window.stands("change-channel");
      expect(await page.getByLabel("Password").inputValue()).toBe("");
      await page.getByLabel("To", { exact: true }).fill("ops@example.org, night@example.org");
      await page.getByRole("button", { name: "Change it" }).click();
      await closed(page);
      expect(await client.channel("ops")).toMatchObject({
        to: ["ops@example.org", "night@example.org"],
        hourlyMax: 7,
        user: "box",
        hasSecret: true,
      });

      await page.getByRole("button", { name: "Change rule all" }).click();
      await page.getByLabel("Tell", { exact: true }).selectOption("alert");
      await window.stands("change-rule");
      await page.getByRole("button", { name: "Change it" }).click();
      await closed(page);
      expect(await client.rule("all")).toMatchObject({ level: "alert", kinds: ["tier-offline"], remindHours: 3 });

      await window.open("/schedules");
      await page.getByRole("button", { name: "Change nightly" }).click();
      await page.getByLabel("At", { exact: true }).fill("04:15");
      await page.getByLabel("How many stay").fill("9");
      await window.stands("change-schedule");
      await page.getByRole("button", { name: "Change it" }).click();
      await closed(page);
      await page.getByText("each day at 04:15").waitFor();
      expect(await client.schedule("nightly")).toMatchObject({
        task: { kind: "bookmark", volume: "web1", prefix: "night", keep: 9 },
        timing: { expression: "15 4 * * *", timeZone: "Europe/Berlin" },
        jitterSeconds: 60,
      });
    });
    expect(window.complaints).toEqual([]);
  },
  TIMEOUT_MS,
);

testWith(
  ["chromium"],
  "a channel forgets its password with its user, and a webhook shows another secret once",
  async () => {
    const { client } = running().daemon;
    const { secret: old = "" } = await client.createChannel({
      name: "chat",
      kind: "webhook",
      url: "https://127.0.0.1:1/",
    });
    await using window = await signIn(LOOKS[0]);
    const { page } = window;
    await window.watched("secrets", async () => {
      await window.open("/notifications");
      await page.getByRole("button", { name: "Change channel ops" }).click();
      await page.getByLabel("User").fill("");
      await page.getByRole("button", { name: "Change it" }).click();
      await closed(page);
      expect(await client.channel("ops")).toMatchObject({ hasSecret: false });

      await page.getByRole("button", { name: "Change channel chat" }).click();
      await page.getByLabel("Make another secret").check();
      await page.getByRole("button", { name: "Change it" }).click();
      await page.getByText("It is shown this once").waitFor();
      const secret = await dialogOf(page).locator("pre").innerText();
      expect(secret).toStartWith("whsec_");
      expect(secret).not.toBe(old);
      await page.getByRole("button", { name: "I have it" }).click();
      await closed(page);
    });
    expect(window.complaints).toEqual([]);
  },
  TIMEOUT_MS,
);

testWith(
  ["chromium"],
  "a report is sent through a channel, and is among what was sent",
  async () => {
    await using window = await signIn(LOOKS[0]);
    const { page } = window;
    await window.watched("sending a report", async () => {
      await window.open("/reports");
      await page.getByRole("button", { name: "Send it" }).click();
      await dialogOf(page).getByLabel("Through").selectOption("ops");
      await window.stands("send-report");
      await dialogOf(page).getByRole("button", { name: "Send it" }).click();
      await closed(page);
      await page.getByText("It is on its way through ops").waitFor();
      await page.getByRole("link", { name: "what was sent" }).click();
      await page.getByRole("heading", { level: 1, name: "Notifications" }).waitFor();
      await page
        .getByRole("region", { name: "Deliveries" })
        .getByRole("cell", { name: /protection/i })
        .first()
        .waitFor();
    });
    expect(window.complaints).toEqual([]);
  },
  TIMEOUT_MS,
);

for (const look of LOOKS) {
  testWith(
    ["chromium"],
    `growth, and what changes things, stand ${look.name}`,
    async () => {
      await using window = await signIn(look);
      const { page } = window;
      await window.watched("growth", async () => {
        await window.open("/growth");
        // More or less by now: the appliance takes samples of its own, too.
        await page
          .getByText(/than at the beginning of this time/)
          .first()
          .waitFor();
        await page
          .getByText(/At this pace the space lasts for/)
          .first()
          .waitFor();
        expect(await page.getByRole("img", { name: "Stored bytes of vault default" }).locator("canvas").count()).toBe(
          1,
        );
        expect(
          await page.getByRole("img", { name: "Free bytes on the disk of vault default" }).locator("canvas").count(),
        ).toBe(1);
        await page.getByText("The newest figures").first().click();
        await window.stands("growth");
      });
      for (const [path, button] of [
        ["/vaults", "Open one from a tier"],
        ["/tiers", "Make a place"],
        ["/reports", "Send it"],
        ["/notifications", "Change channel ops"],
        ["/notifications", "Change rule all"],
        ["/schedules", "Change nightly"],
      ] as const) {
        await window.watched(button, async () => {
          await window.open(path);
          await page.getByRole("button", { name: button }).click();
          await dialogOf(page).waitFor();
          await window.stands(button.toLowerCase().replaceAll(" ", "-"));
        });
      }
      expect(window.complaints).toEqual([]);
    },
    TIMEOUT_MS,
  );
}
