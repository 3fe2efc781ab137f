/**
 * The console without a mouse: the focus is where the next key is expected after each step, also where what had it is gone, and what is done is done to what was
 * chosen and as things stand then. With a real daemon and Chromium.
 */
import { expect } from "bun:test";
import type { Page } from "playwright-core";
import { seededRandom } from "../../src/base/random.ts";
import { connectNbd } from "../../src/nbd/client.ts";
import type { TestWindow } from "../support/browser.ts";
import { consoleBed } from "../support/console-bed.ts";
import type { DaemonProcess } from "../support/daemon-process.ts";
import { testWith } from "../support/require-tool.ts";

const TIMEOUT_MS = 180_000;
const PASSWORD = "a sentence for the test";
/** More presses of a key than any way through a page takes. */
const PRESSES_MAX = 80;

const running = consoleBed(async (daemon) => {
  const { client } = daemon;
  await client.setUp({ name: "ada", password: PASSWORD });
  for (const name of ["web1", "db-log"]) {
    await client.createVolume(name, 2 ** 20);
    const disk = await connectNbd(daemon.blocks, name);
    for (let i = 0; i < 2; i++) {
      await disk.write(i * 65_536, seededRandom(i).bytes(65_536));
      await disk.flush();
      // Two flushes in one group are listed as one.
      await listedFlush(daemon, name, i + 1);
    }
    await disk.close();
  }
  await client.createBookmark("web1", { name: "before-upgrade" });
  await client.createMachine({ name: "shop", volumes: ["web1", "db-log"] });
  await client.createMachineBookmark("shop", { name: "both" });
});

async function listedFlush({ client }: DaemonProcess, volume: string, count: number): Promise<void> {
  for (let tries = 0; tries < 2_000; tries++) {
    if ((await client.flushPoints(volume)).flushPoints.length >= count) return;
  }
  throw new Error(`${volume} has no ${count} flush points`);
}

async function signedIn(path: string): Promise<TestWindow> {
  // A refusal is an answer that the browser notes by itself.
  const window = await running().browser.window(running().origin, { expected: /401|409/ });
  await window.signIn("ada", PASSWORD, path);
  await window.page.getByRole("button", { name: "Sign out" }).waitFor();
  return window;
}

/** Waits until the focus is on something of which this is the text or name. */
async function focusOn(window: TestWindow, words: string): Promise<void> {
  await window.until(
    `((element) => (element.getAttribute("aria-label") ?? element.textContent).includes(${JSON.stringify(words)}) &&
      element !== document.body)(document.activeElement)`,
  );
}

/** Goes on with the tab key until the focus is on something whose text or label begins so. */
async function tabTo(page: Page, words: string): Promise<void> {
  for (let i = 0; i < PRESSES_MAX; i++) {
    await page.keyboard.press("Tab");
    const text = await page.evaluate(
      `((element) => element.getAttribute("aria-label") ?? element.labels?.[0]?.textContent ?? element.textContent)(document.activeElement)`,
    );
    if (String(text).trim().startsWith(words)) return;
  }
  throw new Error(`the tab key did not come to ${words}`);
}

const run = (name: string, work: () => Promise<void>): void => testWith(["chromium"], name, work, TIMEOUT_MS);

run("a disk is rolled back by keyboard alone, and each step begins at its heading", async () => {
  await using window = await signedIn("/");
  const { page } = window;
  await window.watched("by keyboard", async () => {
    await page.getByRole("link", { name: "Restore", exact: true }).first().focus();
    await page.keyboard.press("Enter");
    await focusOn(window, "Restore");
    await page.getByText("What do you want back?").waitFor();
    await page.getByRole("link", { name: /^web1/ }).waitFor();
    await tabTo(page, "web1");
    await page.keyboard.press("Enter");
    await page.getByRole("button", { name: /^before-upgrade/ }).waitFor();
    await focusOn(window, "Restore");
    await tabTo(page, "before-upgrade");
    await page.keyboard.press("Enter");
    await page.getByTestId("target-rollback").waitFor();
    await focusOn(window, "Restore");
    await tabTo(page, "Roll the disk back");
    await page.keyboard.press("Enter");
    await page.getByLabel("Type web1 to confirm").waitFor();
    await focusOn(window, "Restore");
    await tabTo(page, "Type web1 to confirm");
    await page.keyboard.type("web1");
    await page.keyboard.press("Enter");
    // What came of it has the focus, and the next key leads to its undoing.
    await focusOn(window, "web1 is rolled back");
    await page.keyboard.press("Tab");
    await focusOn(window, "Undo this");
    expect(window.complaints).toEqual([]);
  });
});

run("a chosen moment cannot be taken before it is found, and is the one that is taken then", async () => {
  const { client } = running().daemon;
  const { flushPoints } = await client.flushPoints("db-log");
  await using window = await signedIn("/restore?volume=db-log");
  const { page } = window;
  await window.watched("taking a moment", async () => {
    const go = page.getByRole("textbox", { name: "Go to" });
    await go.fill(`lsn:${flushPoints[1]!.lsn}`);
    await page.keyboard.press("Enter");
    await page.getByTestId("lsn").getByText(`lsn:${flushPoints[1]!.lsn}`).waitFor();
    const before = await page.getByTestId("moment").textContent();
    const held = Promise.withResolvers<void>();
    await page.route(/\/moment\?/, async (route) => {
      await held.promise;
      await route.continue();
    });
    await page.getByRole("slider", { name: /Moment in the history/ }).focus();
    await page.keyboard.press("[");
    await window.until(
      `document.querySelector('[data-testid="moment"] strong').textContent !== ${JSON.stringify(before?.split(" CE")[0])}`,
    );
    const take = page.getByRole("button", { name: "Take this moment" });
    expect(await page.locator("[inert]").getByText("Take this moment").count()).toBe(1);
    held.resolve();
    await take.click();
    await page.waitForURL(/at=/);
    expect(new URL(page.url()).searchParams.get("at")).toBe(`lsn:${flushPoints[0]!.lsn}`);
  });
});

for (const [path, name] of [
  ["/restore?volume=web1&at=bookmark:before-upgrade&to=rollback", "web1"],
  ["/restore?machine=shop&at=bookmark:both&to=rollback-machine", "shop"],
] as const) {
  run(`a rollback of ${name} to whose disk a client came meanwhile is refused, and can then be agreed to`, async () => {
    await using window = await signedIn(path);
    const { page } = window;
    await page.getByText("No client is attached.").waitFor();
    const disk = await connectNbd(running().daemon.blocks, "web1");
    try {
      await window.watched("with a late client", async () => {
        await page.getByLabel(`Type ${name} to confirm`).fill(name);
        const button = page.getByRole("button", { name: "Roll back", exact: true });
        await button.click();
        await page.getByText(`${name} was not rolled back`).waitFor();
        await page.getByLabel(/Roll back although 1 client is attached/).check();
        await page.getByRole("button", { name: "Look again who is attached" }).click();
        await button.click();
        await page.getByText(`${name} is rolled back`).waitFor();
        await focusOn(window, `${name} is rolled back`);
      });
    } finally {
      await disk.close();
    }
  });
}

run("when a row goes the focus stays with its list, and with the page when the list is empty", async () => {
  const { client } = running().daemon;
  await client.createVolume("marks", 2 ** 20);
  for (const name of ["one", "two"]) await client.createBookmark("marks", { name });
  await using window = await signedIn("/volumes/marks/manage");
  const { page } = window;
  await window.watched("removing rows", async () => {
    for (const [name, then] of [
      ["one", "Bookmarks"],
      ["two", "marks"],
    ] as const) {
      await page.getByRole("button", { name: `Forget bookmark ${name}` }).press("Enter");
      await page.getByRole("button", { name: "Forget it" }).press("Enter");
      await page.getByRole("button", { name: `Forget bookmark ${name}` }).waitFor({ state: "detached" });
      await focusOn(window, then);
    }
    expect(await page.evaluate("document.activeElement.tagName")).toBe("H1");
    expect(window.complaints).toEqual([]);
  });
});
