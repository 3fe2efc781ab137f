/**
 * From an alarm to the files, as somebody does it who is called at night: a real alarm on the overview, the way from there to the moment before it, on the timeline and in the wizard, and a
 * new disk that begins as that moment was.
 */
import { afterAll, beforeAll, expect } from "bun:test";
import { join } from "node:path";
import { seededRandom } from "../../src/base/random.ts";
import { connectNbd } from "../../src/nbd/client.ts";
import { DESKTOP, launchBrowser, PHONE, type TestBrowser, type TestWindow } from "../support/browser.ts";
import { DaemonProcess, removeScratch, scratchFolder, sternwayCommand, succeed } from "../support/daemon-process.ts";
import { missing, testWith } from "../support/require-tool.ts";

const MIB = 2 ** 20;
const SIZE = 32 * MIB;
const TIMEOUT_MS = 120_000;
const PASSWORD = "a sentence for the test";
const VOLUME = "fileserver";
const folder = scratchFolder();
const documents = texts(12 * MIB);
let daemon: DaemonProcess;
let browser: TestBrowser;
let origin = "";
/** The LSN of the last moment before the attack, as the alarm tells it; that it is right is told by the bytes. */
let before = 0;

/** Data that compresses, each block unlike the others. */
function texts(size: number): Uint8Array {
  let out = "";
  for (let line = 0; out.length < size; line++) out += `invoice ${line}: ${line * 17} crowns, to be paid in a month\n`;
  return new TextEncoder().encode(out.slice(0, size));
}

beforeAll(async () => {
  if (missing("chromium") !== undefined) return;
  daemon = await DaemonProcess.start(join(folder, "data"));
  origin = daemon.addresses.http!;
  const { client } = daemon;
  await client.setUp({ name: "ada", password: PASSWORD });
  await client.addAccount({ name: "olga", role: "operator", password: PASSWORD });
  await client.createVolume(VOLUME, SIZE);
  await client.createVolume("system", MIB);
  await client.createMachine({ name: "office", volumes: ["system", VOLUME] });
  const disk = await connectNbd(daemon.blocks, VOLUME);
  await write(disk, documents);
  await sealed();
  await write(disk, seededRandom(3).bytes(documents.length));
  await disk.close();
  await sealed();
  for (let tries = 0; tries < 600 && (await client.alarms()).alarms.length === 0; tries++) await Bun.sleep(50);
  const { alarms } = await client.alarms();
  expect(alarms).toHaveLength(1);
  before = alarms[0]!.before.lsn;
  browser = await launchBrowser();
}, TIMEOUT_MS);

afterAll(async () => {
  if (missing("chromium") !== undefined) return;
  await browser?.[Symbol.asyncDispose]();
  // The alarm itself is logged as an error.
  const complaints = daemon.complaints.filter(({ msg }) => msg !== "a volume seems to be encrypted by somebody");
  await daemon.stop();
  removeScratch(folder);
  expect(complaints).toEqual([]);
}, TIMEOUT_MS);

async function write(disk: Awaited<ReturnType<typeof connectNbd>>, bytes: Uint8Array): Promise<void> {
  for (let at = 0; at < bytes.length; at += MIB) await disk.write(at, bytes.subarray(at, at + MIB));
  await disk.flush();
}

/** Seals all that was written, so that the signals have seen it. */
const sealed = (): Promise<string> => succeed(sternwayCommand(daemon.dataDir, "gc", "run"));

async function signedIn(viewport: { width: number; height: number } = DESKTOP): Promise<TestWindow> {
  const window = await browser.window(origin, { viewport, expected: /401/ });
  await window.signIn("olga", PASSWORD);
  await window.page.getByRole("heading", { level: 1, name: "Overview" }).waitFor();
  return window;
}

async function startsAsBefore(volume: string): Promise<boolean> {
  const disk = await connectNbd(daemon.blocks, volume);
  try {
    for (let at = 0; at < documents.length; at += MIB) {
      if (Buffer.compare(await disk.read(at, MIB), documents.subarray(at, at + MIB)) !== 0) return false;
    }
    return true;
  } finally {
    await disk.close();
  }
}

const shot = async ({ page }: TestWindow, name: string): Promise<void> => {
  const dir = process.env["STERNWAY_PICTURES"];
  if (dir !== undefined) await page.screenshot({ path: join(dir, `${name}.png`), fullPage: true });
};

const run = (name: string, work: () => Promise<void>): void => testWith(["chromium"], name, work, TIMEOUT_MS);

run(
  "an alarm on the overview leads over its card to the timeline, at the moment before, and from there to a branch",
  async () => {
    await using window = await signedIn();
    const { page } = window;
    await window.watched("from the alarm to a branch", async () => {
      await page.getByText(`Files on ${VOLUME} look as if they were encrypted by somebody`).waitFor();
      await shot(window, "overview");
      await page.getByRole("link", { name: "See the alarm" }).click();
      await page.getByRole("heading", { level: 1, name: "Alarms" }).waitFor();
      await page.getByText("nobody has looked into it").waitFor();
      expect(await window.accessibility()).toEqual([]);
      await shot(window, "alarms");
      await page.getByRole("link", { name: `of ${VOLUME}, at the moment before` }).click();
      await page.getByRole("slider", { name: new RegExp(`history of ${VOLUME}`) }).waitFor();
      await page
        .getByTestId("lsn")
        .filter({ hasText: new RegExp(`^lsn:${before}$`) })
        .waitFor();
      await page.getByText("The same as a list").click();
      await page.getByRole("cell", { name: /alarm/i }).first().waitFor();
      expect(await window.accessibility()).toEqual([]);
      await shot(window, "timeline");
      await page.getByRole("link", { name: "Restore this moment" }).click();
      await page.getByTestId("target-branch").click();
      await page.getByLabel("Name of the new disk").fill("clean");
      await shot(window, "branch");
      await page.getByRole("button", { name: "Make the new disk" }).click();
      await page.getByText("The disk clean is there").waitFor();
      expect(window.complaints).toEqual([]);
    });
    expect(await startsAsBefore("clean")).toBe(true);
    expect(await startsAsBefore(VOLUME)).toBe(false);
  },
);

run("the wizard offers the moment before the alarm by its name, on a phone too", async () => {
  await using window = await signedIn(PHONE);
  const { page } = window;
  await window.watched("before the alarm", async () => {
    await window.open(`/restore?volume=${VOLUME}`);
    const choice = page.getByRole("button", { name: /^Before the alarm of/ });
    await choice.waitFor();
    expect(await window.overflow()).toBe(0);
    expect(await window.accessibility()).toEqual([]);
    await shot(window, "wizard-phone");
    await choice.click();
    await page.getByTestId("target-branch").click();
    await page.getByLabel("Name of the new disk").fill("clean2");
    await page.getByRole("button", { name: "Make the new disk" }).click();
    await page.getByText("The disk clean2 is there").waitFor();
    expect(window.complaints).toEqual([]);
  });
  expect(await startsAsBefore("clean2")).toBe(true);
});

run("a machine's timeline and wizard know of the alarm on any of its disks", async () => {
  await using window = await signedIn();
  const { page } = window;
  await window.watched("the machine", async () => {
    await window.open("/machines/office");
    await page.getByText("The same as a list").click();
    await page.getByRole("cell", { name: /alarm/i }).first().waitFor();
    await window.open("/restore?machine=office");
    await page.getByRole("button", { name: /^Before the alarm of/ }).click();
    await page.getByTestId("target-branch-machine").click();
    await page.getByRole("button", { name: "Make the new disks" }).click();
    await page.getByText("The new disks are there").waitFor();
    expect(window.complaints).toEqual([]);
  });
  const made = (await daemon.client.volumes()).find(({ name }) => name !== VOLUME && name.includes(VOLUME));
  expect(await startsAsBefore(made!.name)).toBe(true);
});

run("whoever has looked into it says what it was, and the overview is quiet again", async () => {
  await using window = await signedIn(PHONE);
  const { page } = window;
  await window.watched("saying what it was", async () => {
    await window.open("/alarms");
    await page.getByRole("button", { name: `Say what it was: ${VOLUME}` }).click();
    await page.getByRole("radio", { name: /an attack/i }).check();
    await page.getByRole("button", { name: "Note it" }).click();
    await page.getByText("an attack", { exact: true }).waitFor();
    expect(await window.overflow()).toBe(0);
    await shot(window, "alarms-phone");
    await window.open("/");
    await page.getByRole("heading", { level: 1, name: "Overview" }).waitFor();
    await page.locator("[aria-busy=true]").first().waitFor({ state: "detached" });
    expect(await page.getByText(/look as if they were encrypted/).count()).toBe(0);
    expect(window.complaints).toEqual([]);
  });
});
