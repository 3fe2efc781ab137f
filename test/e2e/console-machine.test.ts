/** A machine's page: its disks bookmarked and held together at a chosen moment, and certificates made, taken along and taken back. With a real daemon, Chromium and libnbd. */
import { afterAll, beforeAll, expect } from "bun:test";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { connectNbd } from "../../src/nbd/client.ts";
import { launchBrowser, type TestBrowser, type TestWindow } from "../support/browser.ts";
import { DaemonProcess, execute, removeScratch, scratchFolder, succeed } from "../support/daemon-process.ts";
import { missing, testWith } from "../support/require-tool.ts";

const TIMEOUT_MS = 120_000;
const PASSWORD = "a sentence for the test";
const DISKS = ["shop-data", "shop-system"] as const;
const folder = scratchFolder();
let daemon: DaemonProcess;
let browser: TestBrowser;
let origin = "";
let port = 0;

beforeAll(async () => {
  if (missing("chromium") !== undefined) return;
  daemon = await DaemonProcess.start(join(folder, "data"), {
    config: { nbd: { localSocket: join(folder, "run/nbd.sock"), listen: ["127.0.0.1:0"], credentials: "always" } },
  });
  origin = daemon.addresses.http!;
  const { client } = daemon;
  port = (await client.doors()).nbd[0]!.port;
  await client.setUp({ name: "ada", password: PASSWORD });
  for (const name of [...DISKS, "mail"]) {
    await client.createVolume(name, 2 ** 20);
    const disk = await connectNbd(daemon.blocks, name);
    await disk.write(0, new Uint8Array(4096).fill(7), true);
    await disk.close();
  }
  await client.createMachine({ name: "shop", volumes: [...DISKS] });
  await client.createMachine({ name: "post", volumes: ["mail"] });
  await client.addAccount({ name: "olga", role: "operator", password: PASSWORD });
  await client.addAccount({ name: "sam", role: "self-service", machines: ["shop"], password: PASSWORD });
  browser = await launchBrowser();
}, TIMEOUT_MS);

afterAll(async () => {
  if (missing("chromium") !== undefined) return;
  await browser?.[Symbol.asyncDispose]();
  const { complaints } = daemon;
  await daemon.stop();
  removeScratch(folder);
  expect(complaints.filter(({ msg }) => !/NBD client was refused|NBD export/.test(String(msg)))).toEqual([]);
}, TIMEOUT_MS);

async function signedIn(name: string, path: string): Promise<TestWindow> {
  const window = await browser.window(origin, { expected: /401/ });
  await window.signIn(name, PASSWORD, path);
  await window.page.getByRole("slider", { name: /Moment in the history of shop/ }).waitFor();
  return window;
}

const run = (name: string, work: () => Promise<void>, ...tools: string[]): void =>
  testWith(["chromium", ...tools], name, work, TIMEOUT_MS);

run("all disks of a machine are bookmarked and held at the chosen moment", async () => {
  await using window = await signedIn("olga", "/machines/shop");
  const { page } = window;
  const { client } = daemon;
  await window.watched("naming a moment of a machine", async () => {
    for (const [button, name, said] of [
      ["Bookmark all 2 disks", "release", "The moment is bookmarked on all 2 disks."],
      ["Hold all 2 disks", "evidence", "The moment is held on all 2 disks."],
    ] as const) {
      await page.getByRole("button", { name: button }).click();
      const dialog = page.getByRole("dialog");
      await dialog.getByLabel("Name").fill(name);
      await dialog.getByLabel("Note").fill("by a test");
      expect(await window.accessibility()).toEqual([]);
      await dialog.getByRole("button", { name: button.split(" ")[0]!, exact: true }).click();
      await page.getByText(said).waitFor();
    }
    expect(window.complaints).toEqual([]);
  });
  const [bookmark] = await client.machineBookmarks("shop");
  expect(bookmark).toMatchObject({ name: "release", isOne: true });
  for (const disk of DISKS) {
    const holds = await client.holds(disk);
    expect(holds.map(({ name, note }) => ({ name, note }))).toEqual([{ name: "evidence", note: "by a test" }]);
    expect(holds[0]!.lsn).toBe(bookmark!.volumes.find(({ volume }) => volume === disk)!.lsn);
  }
});

run("an administrator lets a user of the appliance's own system at a machine's disks, and takes it back", async () => {
  await using window = await signedIn("ada", "/machines/shop");
  const { page } = window;
  await window.watched("letting a user in", async () => {
    await page.getByLabel("A new one, for").fill("backup-jobs");
    await page.getByLabel("Only for this user").fill("no-such-user-here");
    await page.getByRole("button", { name: "Let this user in" }).click();
    await page.getByText("has no user no-such-user-here").waitFor();
    await page.getByLabel("Only for this user").fill("daemon");
    await page.getByRole("button", { name: "Let this user in" }).click();
    await page.getByText(join(folder, "run/nbd.sock")).waitFor();
    await window.stands("user");
    await page.getByRole("button", { name: "Done" }).click();
    await page.getByRole("cell", { name: /^user daemon \(uid \d+\)$/ }).waitFor();
    await page.getByRole("button", { name: "Take back the credential backup-jobs" }).click();
    await page.getByRole("dialog").getByRole("button", { name: "Take it back" }).click();
    await page.getByText("There are none.").waitFor();
    // The browser tells of each answer that is an error; this one was asked for.
    expect(window.complaints.filter((line) => !line.includes("404"))).toEqual([]);
  });
  expect(await daemon.client.credentials("shop")).toEqual([]);
});

run("an administrator has scripts run around a machine's bookmarks, and says for how long they may", async () => {
  for (const name of ["freeze", "thaw"]) {
    writeFileSync(join(folder, "data/scripts", name), "#!/bin/sh\n", { mode: 0o755 });
  }
  await using window = await signedIn("ada", "/machines/shop");
  const { page } = window;
  await window.watched("choosing scripts", async () => {
    await window.open("/machines");
    const card = page.locator("section", { has: page.getByRole("heading", { name: "shop", exact: true }) });
    await card.getByRole("button", { name: /^Change/ }).click();
    const dialog = page.getByRole("dialog");
    const change = dialog.getByRole("button", { name: "Change it" });
    await dialog.getByLabel("Script before a bookmark").selectOption("freeze");
    await dialog.getByLabel("Script after it").selectOption("thaw");
    await dialog.getByLabel("Seconds for each").fill("0");
    await dialog.getByText("From 1 to 600.").waitFor();
    expect(await change.isDisabled()).toBe(true);
    await dialog.getByLabel("Seconds for each").fill("30");
    await dialog.getByLabel("If the one before fails").selectOption("crash-consistent");
    await window.stands("scripts");
    await change.click();
    await page.getByText("scripts around bookmarks: freeze and thaw").waitFor();
    expect(window.complaints).toEqual([]);
  });
  const scripts = { pre: "freeze", post: "thaw", timeoutSeconds: 30, ifPreFails: "crash-consistent" };
  expect((await daemon.client.machine("shop")).scripts).toMatchObject(scripts);
});

run(
  "self-service makes a certificate for the past of its own machine, whose files open the door until it is taken back",
  async () => {
    const pki = join(folder, "pki");
    mkdirSync(pki);
    const opens = async (name: string): Promise<boolean> =>
      (await execute(["nbdinfo", `nbds://localhost:${port}/${name}?tls-certificates=${pki}`])).code === 0;
    {
      await using window = await signedIn("sam", "/machines/shop");
      const { page } = window;
      await window.watched("making a certificate", async () => {
        await page.getByLabel("A new one, for").fill("sams-desk");
        expect(await page.getByLabel("It may write to the disks").count()).toBe(0);
        await page.getByRole("button", { name: "Make a certificate" }).click();
        await page.getByText("The private key is shown this once").waitFor();
        for (const name of ["ca-cert.pem", "client-cert.pem", "client-key.pem"]) {
          const [download] = await Promise.all([
            page.waitForEvent("download"),
            page.getByRole("link", { name: `Download ${name}` }).click(),
          ]);
          expect(download.suggestedFilename()).toBe(name);
          await download.saveAs(join(pki, name));
        }
        await window.stands("machine");
        await page.getByRole("button", { name: "I have it" }).click();
        await page.getByText("BEGIN PRIVATE KEY").waitFor({ state: "detached" });
        await page.getByRole("cell", { name: "sams-desk" }).waitFor();
        expect(await page.getByRole("button", { name: /Take back/ }).count()).toBe(0);
        expect(window.complaints).toEqual([]);
      });
    }
    await succeed(["nbdinfo", `nbds://localhost:${port}/shop-data@now?tls-certificates=${pki}`]);
    expect([await opens("shop-data"), await opens("mail@now")]).toEqual([false, false]);
    await using window = await signedIn("ada", "/machines/shop");
    const { page } = window;
    await window.watched("taking it back", async () => {
      await page.getByRole("button", { name: "Take back the certificate sams-desk" }).click();
      await page.getByRole("dialog").getByRole("button", { name: "Take it back" }).click();
      await page.getByText("There are none.").waitFor();
      expect(await page.getByLabel("It may write to the disks").count()).toBe(1);
      expect(window.complaints).toEqual([]);
    });
    expect(await opens("shop-data@now")).toBe(false);
  },
  "nbdinfo",
);
