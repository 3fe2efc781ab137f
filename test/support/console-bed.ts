/** An appliance and a browser for tests of the console: begun before a file's first test, ended after its last, when the appliance must have had nothing to complain of. */
import { afterAll, beforeAll, expect } from "bun:test";
import { join } from "node:path";
import { launchBrowser, type TestBrowser } from "./browser.ts";
import { DaemonProcess, removeScratch, scratchFolder } from "./daemon-process.ts";
import { missing } from "./require-tool.ts";

export interface ConsoleBed {
  daemon: DaemonProcess;
  browser: TestBrowser;
  /** Of the console, such as `http://127.0.0.1:7480`. */
  origin: string;
}

const TIMEOUT_MS = 180_000;

/**
 * To be called once, outside of tests. Nothing is begun where Chromium is missing.
 * @param prepare - sets the appliance up as the file's tests find it
 * @returns what runs; throws before it does
 */
export function consoleBed(prepare: (daemon: DaemonProcess) => Promise<void> = async () => {}): () => ConsoleBed {
  const folder = scratchFolder();
  let daemon: DaemonProcess | undefined;
  let browser: TestBrowser | undefined;

  beforeAll(async () => {
    if (missing("chromium") !== undefined) return;
    daemon = await DaemonProcess.start(join(folder, "data"));
    await prepare(daemon);
    browser = await launchBrowser();
  }, TIMEOUT_MS);

  afterAll(async () => {
    await browser?.[Symbol.asyncDispose]();
    const complaints = daemon?.complaints ?? [];
    await daemon?.stop();
    removeScratch(folder);
    expect(complaints).toEqual([]);
  }, TIMEOUT_MS);

  return () => {
    if (!daemon || !browser) throw new Error("the appliance or the browser did not start");
    return { daemon, browser, origin: daemon.addresses.http ?? "" };
  };
}
