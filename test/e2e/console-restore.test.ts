/**
 * Finding a moment and getting it back, as a person does it: a real daemon with a disk of known data, Chromium, the strip by keyboard and by mouse, then each way of
 * restoring, and the bytes that come of it.
 */
import { afterAll, beforeAll, expect } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { seededRandom } from "../../src/base/random.ts";
import type { Role } from "../../src/contract/rights.ts";
import { connectNbd } from "../../src/nbd/client.ts";
import { DESKTOP, hasChromium, launchBrowser, PHONE, type TestBrowser, type TestWindow } from "../support/browser.ts";
import { DaemonProcess, removeScratch, scratchFolder, succeed } from "../support/daemon-process.ts";
import { testWith } from "../support/require-tool.ts";

const MIB = 2 ** 20;
const SIZE = 4 * MIB;
const TIMEOUT_MS = 120_000;
const PASSWORD = "a sentence for the test";
const folder = scratchFolder();

/** The whole disk after each flush. */
const states: Uint8Array[] = [];
/** LSN of each flush point. */
const flushes: number[] = [];
let daemon: DaemonProcess;
let browser: TestBrowser;
let origin = "";

beforeAll(async () => {
  if (!hasChromium()) return;
  daemon = await DaemonProcess.start(join(folder, "data"));
  origin = daemon.addresses.http!;
  const { client } = daemon;
  await client.setUp({ name: "ada", password: PASSWORD });
  await client.addAccount({ name: "olga", role: "operator", password: PASSWORD });
  await client.addAccount({ name: "otto", role: "auditor", password: PASSWORD });
  await client.createVolume("web1", SIZE);
  const disk = await connectNbd(daemon.blocks, "web1");
  const now = new Uint8Array(SIZE);
  for (let i = 0; i < 5; i++) {
    const data = seededRandom(i).bytes(64 * 1024);
    now.set(data, i * 256 * 1024);
    await disk.write(i * 256 * 1024, data);
    await disk.flush();
    states.push(now.slice());
    await listedFlush(i + 1);
    if (i === 2) await client.createBookmark("web1", { name: "before-upgrade", note: "for the test" });
  }
  await disk.close();
  browser = await launchBrowser();
}, TIMEOUT_MS);

afterAll(async () => {
  if (!hasChromium()) return;
  await browser?.[Symbol.asyncDispose]();
  const { complaints } = daemon;
  await daemon.stop();
  removeScratch(folder);
  expect(complaints).toEqual([]);
}, TIMEOUT_MS);

/** A flush is listed once its group is closed, milliseconds later; of two in one group only the newer one is. */
async function listedFlush(count: number): Promise<void> {
  for (let tries = 0; tries < 2_000 && flushes.length < count; tries++) {
    const { flushPoints } = await daemon.client.flushPoints("web1");
    flushes.splice(0, flushes.length, ...flushPoints.map((point) => point.lsn));
  }
  expect(flushes).toHaveLength(count);
}

/** A window in which somebody has signed in. */
async function signedIn(
  name: "ada" | "olga" | "otto",
  path: string,
  viewport: { width: number; height: number } = DESKTOP,
): Promise<TestWindow> {
  // Before anybody signs in the page asks who it is and is told 401, which the browser notes by itself.
  const window = await browser.window(origin, { viewport, expected: /401/ });
  await window.signIn(name, PASSWORD, path);
  return window;
}

/** The LSN that the panel shows, once it shows one that `wanted` accepts. */
async function chosenLsn({ page }: TestWindow, wanted: (lsn: number) => boolean = () => true): Promise<number> {
  for (let i = 0; i < 200; i++) {
    const text = await page.getByTestId("lsn").textContent();
    const lsn = Number(/lsn:(\d+)/.exec(text ?? "")?.[1] ?? Number.NaN);
    if (wanted(lsn)) return lsn;
    await page.waitForTimeout(50);
  }
  throw new Error(`the panel shows ${await page.getByTestId("lsn").textContent()}`);
}

async function liveBytes(volume: string): Promise<Uint8Array> {
  const disk = await connectNbd(daemon.blocks, volume);
  try {
    return await disk.read(0, SIZE);
  } finally {
    await disk.close();
  }
}

const run = (name: string, work: () => Promise<void>, ...tools: string[]): void =>
  testWith(["chromium", ...tools], name, work, TIMEOUT_MS);

run(
  "a moment is found by keyboard and by mouse, the strip says the same as its table, and nobody complains",
  async () => {
    await using window = await signedIn("olga", "/volumes/web1");
    const { page } = window;
    await window.watched("choosing a moment", async () => {
      const handle = page.getByRole("slider", { name: /Moment in the history of web1/ });
      await handle.waitFor();
      await chosenLsn(window);

      // By keyboard: from the end, step by step to the flush points.
      await handle.focus();
      await page.keyboard.press("End");
      // Nothing was written since the last flush: the present is that flush point.
      await chosenLsn(window, (shown) => shown === flushes.at(-1));
      for (const lsn of flushes.slice(0, -1).toReversed()) {
        await page.keyboard.press("[");
        await chosenLsn(window, (shown) => shown === lsn);
      }
      await page.keyboard.press("]");
      await chosenLsn(window, (shown) => shown === flushes[1]);
      expect(await handle.getAttribute("aria-valuetext")).toContain("every write can be had");
      expect(await page.getByText("flush point", { exact: true }).count()).toBe(1);

      await page.keyboard.press("Home");
      const created = (await daemon.client.volume("web1")).createdLsn;
      await chosenLsn(window, (shown) => shown === created);
      await page.keyboard.press("+");
      await page.keyboard.press("0");

      // By mouse: the bookmark's flag means its exact moment.
      const bookmark = (await daemon.client.bookmarks("web1"))[0]!;
      const strip = page.getByTestId("strip");
      const box = (await strip.boundingBox())!;
      const shown = async (): Promise<boolean> => {
        for (let x = 4; x < box.width; x += 4) {
          await page.mouse.move(box.x + x, box.y + 12);
          const tip = await page
            .locator(".strip-tip")
            .textContent({ timeout: 500 })
            .catch(() => "");
          if (tip?.includes("bookmark before-upgrade") === true) return true;
        }
        return false;
      };
      // Everything happened within a second: zoom in until the flag stands alone.
      await handle.focus();
      for (let i = 0; i < 5; i++) await page.keyboard.press("+");
      await page.getByRole("textbox", { name: "Go to" }).fill("bookmark:before-upgrade");
      await page.getByRole("button", { name: "Go", exact: true }).click();
      await chosenLsn(window, (lsn) => lsn === bookmark.lsn);
      for (let i = 0; i < 3; i++) await page.getByRole("button", { name: "Zoom in" }).click();
      // It stands where the bookmark was made, which is some time after the moment that it means: the longer, the busier the machine.
      for (let zooms = 0; !(await shown()); zooms++) {
        expect(zooms).toBeLessThan(8);
        await page.getByRole("button", { name: "Zoom out" }).click();
      }
      await page.mouse.down();
      await page.mouse.up();
      await chosenLsn(window, (lsn) => lsn === bookmark.lsn);

      // Last good before here, from between two flush points.
      await page.getByRole("textbox", { name: "Go to" }).fill(`lsn:${flushes[3]! - 1}`);
      await page.keyboard.press("Enter");
      await chosenLsn(window, (lsn) => lsn === flushes[3]! - 1);
      await page.getByRole("button", { name: "Last good before here" }).click();
      await chosenLsn(window, (lsn) => lsn === flushes[2]);
      await page.getByText("48 blocks in 3 places (192 KiB) changed").waitFor();
      await page.getByText("32 blocks in 2 places (128 KiB) changed").waitFor();

      await page.getByRole("button", { name: "All: show everything" }).click();
      await page.getByText("The same as a list").click();
      await page.getByRole("cell", { name: "bookmark before-upgrade" }).waitFor();
      await page.getByRole("button", { name: "Show a chart with figures" }).click();
      await page.locator(".series-chart canvas").waitFor();
      expect(await window.accessibility()).toEqual([]);
      expect(await window.overflow()).toBe(0);
      expect(window.complaints).toEqual([]);
    });
  },
);

run("a download holds the bytes of the moment", async () => {
  await using window = await signedIn("olga", `/restore?volume=web1&at=lsn:${flushes[1]}`);
  const { page } = window;
  await window.watched("downloading", async () => {
    await page.getByTestId("target-download").click();
    await page.getByText("Nothing on the appliance.").waitFor();
    const [download] = await Promise.all([
      page.waitForEvent("download"),
      page.getByRole("link", { name: "Download", exact: true }).click(),
    ]);
    const path = join(folder, "download.img");
    await download.saveAs(path);
    expect(Buffer.compare(readFileSync(path), states[1]!)).toBe(0);
    expect(download.suggestedFilename()).toBe(`web1-lsn-${flushes[1]}.img`);
    expect(window.complaints).toEqual([]);
  });
});

run("a new disk begins as the old one was, and its commands attach it", async () => {
  await using window = await signedIn("olga", "/restore");
  const { page } = window;
  await window.watched("branching", async () => {
    await page.getByRole("link", { name: /^web1/ }).click();
    await page.getByRole("button", { name: /^before-upgrade/ }).click();
    await page.getByTestId("target-branch").click();
    const name = page.getByLabel("Name of the new disk");
    await name.fill("a name");
    await page.getByText(/must be 1 to 64/).waitFor();
    await name.fill("copy1");
    await page.getByRole("button", { name: "Make the new disk" }).click();
    await page.getByText("The disk copy1 is there").waitFor();
    expect(Buffer.compare(await liveBytes("copy1"), states[2]!)).toBe(0);
    expect(window.complaints).toEqual([]);
  });
});

run(
  "commands to mount name the moment, and libnbd reads it through their URI",
  async () => {
    await using window = await signedIn("olga", `/restore?volume=web1&at=lsn:${flushes[0]}&to=mount`);
    const { page } = window;
    await window.watched("mounting", async () => {
      await page.getByRole("combobox", { name: "Program" }).selectOption("nbdfuse");
      const text = (await page.locator(".copyable pre").first().textContent()) ?? "";
      const uri = /(nbd\+unix:\S+?)'? &/.exec(text)?.[1];
      expect(uri).toContain(`web1@lsn:${flushes[0]}`);
      const path = join(folder, "mounted.img");
      await succeed(["nbdcopy", uri!, path]);
      expect(Buffer.compare(readFileSync(path), states[0]!)).toBe(0);
      expect(window.complaints).toEqual([]);
    });
  },
  "nbdcopy",
);

run("rolling back asks for the name, does it, and is undone by its own link", async () => {
  await using window = await signedIn("olga", "/volumes/web1?at=bookmark:before-upgrade");
  const { page } = window;
  await window.watched("rolling back", async () => {
    expect(Buffer.compare(await liveBytes("web1"), states[4]!)).toBe(0);
    await page.getByRole("link", { name: "Restore this moment" }).click();
    await page.getByTestId("target-rollback").click();
    await page.getByText("32 blocks in 2 places (128 KiB) of 4 MiB differ from then.").waitFor();
    const button = page.getByRole("button", { name: "Roll back", exact: true });
    expect(await button.isDisabled()).toBe(true);
    await page.getByLabel("Type web1 to confirm").fill("web");
    expect(await button.isDisabled()).toBe(true);
    await page.getByLabel("Type web1 to confirm").fill("web1");
    await button.click();
    await page.getByText("web1 is rolled back").waitFor();
    expect(Buffer.compare(await liveBytes("web1"), states[2]!)).toBe(0);
    expect(await page.getByTestId("undo").textContent()).toStartWith("bookmark:before-rollback-");

    await page.getByRole("link", { name: "Undo this" }).click();
    await page.getByLabel("Type web1 to confirm").fill("web1");
    await page.getByRole("button", { name: "Roll back", exact: true }).click();
    await page.getByText("web1 is rolled back").waitFor();
    expect(Buffer.compare(await liveBytes("web1"), states[4]!)).toBe(0);
    expect(window.complaints).toEqual([]);
  });
});

run("a client that is attached must be agreed to", async () => {
  const disk = await connectNbd(daemon.blocks, "web1");
  try {
    await using window = await signedIn("olga", `/restore?volume=web1&at=lsn:${flushes[4]}&to=rollback`);
    const { page } = window;
    await window.watched("with a client", async () => {
      await page.getByText(/1 client is attached and would see/).waitFor();
      await page.getByLabel("Type web1 to confirm").fill("web1");
      const button = page.getByRole("button", { name: "Roll back", exact: true });
      expect(await button.isDisabled()).toBe(true);
      await page.getByLabel(/Roll back although 1 client is attached/).check();
      expect(await button.isDisabled()).toBe(false);
    });
  } finally {
    await disk.close();
  }
});

run("it works on a phone: a tap chooses, and nothing is wider than the screen", async () => {
  await using window = await signedIn("olga", "/volumes/web1", PHONE);
  const { page } = window;
  await window.watched("on a phone", async () => {
    await chosenLsn(window);
    const box = (await page.getByTestId("strip").boundingBox())!;
    const before = await page.getByTestId("moment").textContent();
    await page.mouse.click(box.x + box.width * 0.6, box.y + box.height / 2);
    await window.until(
      `document.querySelector('[data-testid="moment"] strong').textContent !== ${JSON.stringify(before?.split(" CE")[0])}`,
    );
    expect(await window.overflow()).toBe(0);
    expect(await window.accessibility()).toEqual([]);
    for (const path of ["/restore", "/restore?volume=web1", `/restore?volume=web1&at=lsn:${flushes[1]}&to=rollback`]) {
      await window.open(path);
      await page.getByRole("list", { name: "Steps" }).waitFor();
      expect(await window.overflow()).toBe(0);
      expect(await window.accessibility()).toEqual([]);
    }
    expect(window.complaints).toEqual([]);
  });
});

run("a machine goes back with all of its disks to one moment", async () => {
  const { client } = daemon;
  await client.createVolume("db-log", SIZE);
  await client.createMachine({ name: "db", volumes: ["web1", "db-log"] });
  await client.createMachineBookmark("db", { name: "both" });
  const before = await liveBytes("web1");
  for (const name of ["web1", "db-log"]) {
    const disk = await connectNbd(daemon.blocks, name);
    await disk.write(0, seededRandom(9).bytes(64 * 1024), true);
    await disk.close();
  }
  await using window = await signedIn("olga", "/machines/db");
  const { page } = window;
  await window.watched("a machine", async () => {
    await page.getByRole("slider", { name: /Moment in the history of db/ }).waitFor();
    await page.getByRole("link", { name: "Restore this moment" }).waitFor();
    expect(await window.accessibility()).toEqual([]);
    await window.open("/restore?machine=db&at=bookmark:both");
    await page.getByTestId("target-rollback-machine").click();
    await page.getByText(/^2 disks of db/).waitFor();
    await page.getByLabel("Type db to confirm").fill("db");
    await page.getByRole("button", { name: "Roll back", exact: true }).click();
    await page.getByText("db is rolled back").waitFor();
    expect(Buffer.compare(await liveBytes("web1"), before)).toBe(0);
    expect(Buffer.compare(await liveBytes("db-log"), new Uint8Array(SIZE))).toBe(0);
    expect(window.complaints).toEqual([]);
  });
});

const ROLES: readonly (readonly ["olga" | "otto", Role, readonly string[]])[] = [
  ["olga", "operator", ["Restore this moment", "Bookmark", "Hold", "Mount by NBD", "Download"]],
  ["otto", "auditor", []],
];
for (const [name, role, actions] of ROLES) {
  run(`the role ${role} is offered what it may do, and no more`, async () => {
    await using window = await signedIn(name, "/volumes/web1");
    const { page } = window;
    await window.watched(role, async () => {
      await chosenLsn(window);
      for (const action of ["Restore this moment", "Bookmark", "Hold", "Mount by NBD", "Download"]) {
        const found = await page.getByText(action, { exact: true }).count();
        expect([action, found > 0]).toEqual([action, actions.includes(action)]);
      }
      expect(window.complaints).toEqual([]);
    });
  });
}
