/**
 * A real browser for tests of the console: Debian's Chromium, driven by playwright-core. It fails a test for what nobody asked for: errors on the page's
 * console, requests to anywhere but the appliance, answers of 5xx. A test that fails leaves a screenshot in a folder of its own under the system's
 * temporary one, and says where.
 */
import axe from "axe-core";
import { expect } from "bun:test";
import { existsSync, mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { chromium, type Browser, type BrowserContext, type Page } from "playwright-core";

const CHROMIUM = "/usr/bin/chromium";
/** A machine that is busy must not fail a test. */
const WAIT_MS_MAX = 20_000;

export const DESKTOP = { width: 1280, height: 800 } as const;
export const PHONE = { width: 390, height: 844 } as const;

export const hasChromium = (): boolean => existsSync(CHROMIUM);

export interface BrowserOptions {
  viewport?: { width: number; height: number };
  dark?: boolean;
  /** Of the console's errors those that are meant, such as the browser's own line about an answer of 401. */
  expected?: RegExp;
}

/** One window with storage of its own. */
export interface TestWindow extends AsyncDisposable {
  readonly page: Page;
  readonly context: BrowserContext;
  /** What went wrong so far that nobody asked for. */
  readonly complaints: string[];
  /** Goes to a path of the console and waits for its heading. */
  open(path: string): Promise<void>;
  /** Goes to a path and signs in there. Before it the page asks who it is and is told 401, which browsers note by themselves: `expected` should let it pass where complaints count. */
  signIn(name: string, password: string, path?: string): Promise<void>;
  /** Waits until an expression is true on the page. The browser's own waiting evaluates it as a script of the page, whose policy forbids that. */
  until(expression: string): Promise<void>;
  /** Serious and critical findings of axe on what is shown, in words. */
  accessibility(): Promise<string[]>;
  /** How far the page is wider than the window, in pixels: 0 where nothing has to be scrolled sideways. */
  overflow(): Promise<number>;
  /**
   * What is shown, once all is loaded, has no such finding and is not wider than the window. With STERNWAY_PICTURES set to a folder, a picture of it is left there to be looked at.
   * @param what - names it in the report and the picture
   */
  stands(what: string): Promise<void>;
  /** Runs a part of a test; when it fails, takes a picture and says where it lies. */
  watched<Result>(what: string, work: () => Promise<Result>): Promise<Result>;
}

export interface TestBrowser extends AsyncDisposable {
  /** @param origin - of the appliance, such as `http://127.0.0.1:7480` */
  window(origin: string, options?: BrowserOptions): Promise<TestWindow>;
}

/** Starts Chromium. @throws where it is not installed */
export async function launchBrowser(): Promise<TestBrowser> {
  const browser = await chromium.launch({
    executablePath: CHROMIUM,
    // Tests run as root in containers, where its sandbox cannot be set up; and nothing may go anywhere by itself.
    args: ["--no-sandbox", "--disable-background-networking", "--disable-component-update", "--no-first-run"],
  });
  return {
    window: (origin, options) => openWindow(browser, origin, options ?? {}),
    [Symbol.asyncDispose]: () => browser.close(),
  };
}

async function openWindow(browser: Browser, origin: string, options: BrowserOptions): Promise<TestWindow> {
  const context = await browser.newContext({
    viewport: options.viewport ?? DESKTOP,
    colorScheme: options.dark === true ? "dark" : "light",
    reducedMotion: "reduce",
    timezoneId: "Europe/Berlin",
    locale: "en-GB",
    ignoreHTTPSErrors: true,
  });
  context.setDefaultTimeout(WAIT_MS_MAX);
  const page = await context.newPage();
  const complaints: string[] = [];
  watch(page, origin, options.expected, complaints);
  const window: TestWindow = {
    page,
    context,
    complaints,
    async open(path) {
      await page.goto(origin + path);
      await page.locator("h1").first().waitFor();
    },
    async signIn(name, password, path = "/") {
      await window.watched(`signing in as ${name}`, async () => {
        await window.open(path);
        await page.getByLabel("Name").fill(name);
        await page.getByLabel("Password", { exact: true }).fill(password);
        const button = page.getByRole("button", { name: "Sign in", exact: true });
        await button.click();
        await button.waitFor({ state: "detached" });
      });
    },
    until: (expression) => isTrue(page, expression),
    accessibility: () => findings(page),
    overflow: () =>
      page.evaluate("Math.max(0, document.documentElement.scrollWidth - document.documentElement.clientWidth)"),
    async stands(what) {
      await page.locator("[aria-busy=true]").first().waitFor({ state: "detached" });
      await leavePicture(page, what);
      const seen = { what, findings: await window.accessibility(), overflow: await window.overflow() };
      expect(seen).toEqual({ what, findings: [], overflow: 0 });
    },
    async watched(what, work) {
      try {
        return await work();
      } catch (cause) {
        const file = join(mkdtempSync(join(tmpdir(), "sternway-screen-")), "page.png");
        await page.screenshot({ path: file, fullPage: true });
        throw new Error(`${what} (a picture is at ${file}; the page complained: ${complaints.join(" | ") || "not"})`, {
          cause,
        });
      }
    },
    [Symbol.asyncDispose]: () => context.close(),
  };
  return window;
}

function watch(page: Page, origin: string, expected: RegExp | undefined, complaints: string[]): void {
  const complain = (text: string): void => {
    if (expected?.test(text) !== true) complaints.push(text);
  };
  page.on("console", (message) => {
    if (message.type() === "error" || message.type() === "warning") complain(`console: ${message.text()}`);
  });
  page.on("pageerror", (error) => complain(`script: ${error.message}`));
  page.on("request", (request) => {
    const url = request.url();
    if (!url.startsWith(`${origin}/`) && !url.startsWith("data:") && !url.startsWith("blob:"))
      complain(`a request left the appliance: ${url}`);
  });
  page.on("response", (response) => {
    if (response.status() >= 500) complain(`${response.status()} at ${response.url()}`);
  });
}

async function leavePicture(page: Page, what: string): Promise<void> {
  const folder = process.env["STERNWAY_PICTURES"];
  if (folder === undefined) return;
  const { width = 0 } = page.viewportSize() ?? {};
  const isDark = await page.evaluate("matchMedia('(prefers-color-scheme: dark)').matches");
  const file = `${what.replaceAll("/", "-")}-${width}-${isDark === true ? "dark" : "light"}.png`;
  await page.screenshot({ path: join(folder, file), fullPage: true });
}

async function isTrue(page: Page, expression: string): Promise<void> {
  const end = Date.now() + WAIT_MS_MAX;
  while ((await page.evaluate(expression)) !== true) {
    if (Date.now() > end) throw new Error(`the page did not come to this: ${expression}`);
    await page.waitForTimeout(20);
  }
}

async function findings(page: Page): Promise<string[]> {
  // As an expression of the test's own and not as a script of the page, whose policy forbids it.
  await page.evaluate(axe.source);
  const { violations } = (await page.evaluate(
    `axe.run(document, { runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "best-practice"] })`,
  )) as axe.AxeResults;
  return violations
    .filter(({ impact }) => impact === "serious" || impact === "critical")
    .map(({ id, help, nodes }) => `${id}: ${help}: ${nodes.map((node) => node.html.slice(0, 160)).join(" | ")}`);
}
