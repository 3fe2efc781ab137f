/** One's own account in a real browser: where one is signed in and the end of that, and the second factor with the picture that a phone reads. */
import { expect } from "bun:test";
import type { Page } from "playwright-core";
import { qrPath } from "../../src/web/console/qr-path.ts";
import { DESKTOP, PHONE, type BrowserOptions, type TestWindow } from "../support/browser.ts";
import { consoleBed } from "../support/console-bed.ts";
import { testWith } from "../support/require-tool.ts";

const TIMEOUT_MS = 180_000;
const PASSWORD = "correct horse battery";

const running = consoleBed(async ({ client }) => {
  await client.addAccount({ name: "anna", role: "administrator", password: PASSWORD });
  await client.addAccount({ name: "olga", role: "operator", password: PASSWORD });
});

async function signIn(name: string, look: BrowserOptions): Promise<TestWindow> {
  const window = await running().browser.window(running().origin, look);
  await window.signIn(name, PASSWORD);
  await window.page.getByRole("heading", { level: 1, name: "Overview" }).waitFor();
  return window;
}

const rowsOf = (page: Page) => page.getByRole("table", { name: "Your sessions" }).locator("tbody tr");

testWith(
  ["chromium"],
  "an account's page says where one is signed in, ends one session, and all others",
  async () => {
    await using here = await signIn("olga", { viewport: DESKTOP });
    const expected = /401/;
    await using phone = await signIn("olga", { viewport: PHONE, dark: true, expected });
    await using third = await signIn("olga", { viewport: DESKTOP, expected });
    const { page } = here;
    await here.watched("the sessions", async () => {
      await here.open("/account");
      await rowsOf(page).nth(2).waitFor();
      expect(await rowsOf(page).count()).toBe(3);
      expect(await rowsOf(page).first().innerText()).toMatch(/Chrome on Linux\s+this one/);
      await here.stands("sessions");
      await page.getByRole("button", { name: "End the session of" }).first().click();
      await rowsOf(page).nth(2).waitFor({ state: "detached" });
      expect(await rowsOf(page).count()).toBe(2);
    });
    await phone.watched("the one that was ended", async () => {
      await phone.page.reload();
      await phone.page.getByRole("button", { name: "Sign in" }).waitFor();
    });
    await third.watched("all others", async () => {
      await third.open("/account");
      await rowsOf(third.page).nth(1).waitFor();
      await third.page.getByRole("button", { name: "End all others" }).click();
      await third.page.getByRole("button", { name: "End them" }).click();
      await rowsOf(third.page).nth(1).waitFor({ state: "detached" });
      expect(await rowsOf(third.page).count()).toBe(1);
    });
    expect(await running().daemon.client.sessions("olga")).toHaveLength(1);
    expect([...phone.complaints, ...third.complaints]).toEqual([]);
  },
  TIMEOUT_MS,
);

testWith(
  ["chromium"],
  "an administrator sees where others are signed in, and signs them out",
  async () => {
    await using olga = await signIn("olga", { expected: /401/ });
    await using anna = await signIn("anna", { viewport: PHONE });
    const { page } = anna;
    await anna.watched("somebody else's sessions", async () => {
      await anna.open("/accounts");
      await page.getByRole("button", { name: "Change olga" }).click();
      await page.getByRole("button", { name: "Sessions" }).click();
      await page.getByRole("table", { name: "Sessions of olga" }).waitFor();
      await anna.stands("sessions-of-another");
      await page.getByRole("button", { name: "End all" }).click();
      await page.getByRole("button", { name: "End them" }).click();
      await page.getByText("Signed in nowhere.").waitFor();
    });
    expect(await running().daemon.client.sessions("olga")).toEqual([]);
    expect([...anna.complaints, ...olga.complaints]).toEqual([]);
  },
  TIMEOUT_MS,
);

testWith(
  ["chromium"],
  "a second factor's key is shown as a picture in black on white in both colours, which is loaded with it alone",
  async () => {
    for (const look of [
      { name: "totp-desk-dark", viewport: DESKTOP, dark: true },
      { name: "totp-phone-light", viewport: PHONE, dark: false },
    ]) {
      await using window = await signIn("anna", look);
      const { page } = window;
      const loaded: string[] = [];
      page.on("request", (request) => void loaded.push(new URL(request.url()).pathname));
      await window.watched(look.name, async () => {
        await window.open("/account");
        await page.getByRole("button", { name: "Set it up" }).click();
        await page.getByLabel("Your password").fill(PASSWORD);
        loaded.length = 0;
        await page.getByRole("button", { name: "Next" }).click();
        const picture = page.getByRole("img", { name: "QR code that holds the key below" });
        await picture.waitFor();
        expect(loaded.filter((path) => path.endsWith(".js"))).toHaveLength(1);
        const uri = (await page.getByRole("link", { name: "this link" }).getAttribute("href")) ?? "";
        expect(uri).toStartWith("otpauth://totp/Sternway:anna?");
        const { size, path } = qrPath(uri);
        expect(await picture.getAttribute("viewBox")).toBe(`0 0 ${size} ${size}`);
        expect(await picture.locator("path").getAttribute("d")).toBe(path);
        const colourOf = (part: string): Promise<unknown> =>
          page.evaluate(`getComputedStyle(document.querySelector(".qr ${part}")).fill`);
        expect([await colourOf("rect"), await colourOf("path")]).toEqual(["rgb(255, 255, 255)", "rgb(0, 0, 0)"]);
        // Four pixels a module are what a phone's camera reads from a screen.
        expect((await picture.boundingBox())?.width).toBeGreaterThan(4 * size);
        await window.stands(look.name);
      });
      expect(window.complaints).toEqual([]);
    }
  },
  TIMEOUT_MS,
);
