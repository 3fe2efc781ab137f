/** What the bundle gives: files of right types under names of their content, small enough, and nothing that the page's policy forbids. */
import { describe, expect, test } from "bun:test";
import { consoleFiles } from "../../../src/web/bundle.ts";

const files = consoleFiles();
const text = async (): Promise<string> => new TextDecoder().decode((await files.shell()).bytes);
const namedIn = (page: string): string[] =>
  [...page.matchAll(/(?:src|href)="(\/assets\/[^"]+)"/g)].map((match) => match[1] ?? "");

/** Script and style of the first page, compressed. More than this is felt on a slow line. */
const FIRST_LOAD_BYTES_MAX = 100_000;

describe("consoleFiles()", () => {
  test("gives a page without inline script or style, and with absolute addresses", async () => {
    const page = await text();
    expect(page).not.toMatch(/<style|\sstyle=|\son\w+=/);
    expect(page.match(/<script[^>]*>/g)).toEqual([
      expect.stringMatching(/type="module" src="\/assets\/main-[a-z0-9]+\.js"/),
    ]);
    expect(page).not.toMatch(/(?:src|href)="(?!\/assets\/|data:image\/svg)/);
  });

  test("has every file that the page and the scripts name, with its type", async () => {
    const wanted = namedIn(await text());
    const seen = new Set<string>();
    for (let path = wanted.pop(); path !== undefined; path = wanted.pop()) {
      if (seen.has(path)) continue;
      seen.add(path);
      const file = await files.asset(path);
      expect({ path, is: file?.type }).toEqual({
        path,
        is: path.endsWith(".css") ? "text/css; charset=utf-8" : "text/javascript; charset=utf-8",
      });
      const content = new TextDecoder().decode(file?.bytes);
      for (const match of content.matchAll(/["'](?:\/assets\/|\.\/)([\w-]+\.(?:js|css))["']/g))
        wanted.push(`/assets/${match[1]}`);
    }
    expect(seen.size).toBeGreaterThan(10);
  });

  test("scripts neither evaluate text nor name another origin", async () => {
    for (const path of namedIn(await text())) {
      const content = new TextDecoder().decode((await files.asset(path))?.bytes);
      expect(content).not.toMatch(/@import\s|url\(\s*["']?https?:/);
    }
  });

  test("compresses what gains, and the compressed form is the same content", async () => {
    for (const path of namedIn(await text())) {
      const file = await files.asset(path);
      if (!file?.gzip) throw new Error(`${path} is not compressed`);
      expect(Bun.gunzipSync(file.gzip)).toEqual(file.bytes);
      expect(file.gzip.length).toBeLessThan(file.bytes.length / 2);
    }
  });

  test("lets assets be kept for ever, and the page be asked for anew", async () => {
    expect((await files.shell()).immutable).toBe(false);
    for (const path of namedIn(await text())) expect((await files.asset(path))?.immutable).toBe(true);
  });

  test("keeps the first load small", async () => {
    const seen = new Map<string, number>();
    const visit = async (path: string): Promise<void> => {
      if (seen.has(path)) return;
      const file = await files.asset(path);
      seen.set(path, file?.gzip?.length ?? file?.bytes.length ?? 0);
      // What is imported statically loads with it; what is imported when somebody goes there does not.
      for (const match of new TextDecoder()
        .decode(file?.bytes)
        .matchAll(/(?:from|import)\s*["'](?:\/assets\/|\.\/)([\w-]+\.js)["']/g)) {
        await visit(`/assets/${match[1]}`);
      }
    };
    for (const path of namedIn(await text())) await visit(path);
    expect([...seen.values()].reduce((sum, bytes) => sum + bytes, 0)).toBeLessThan(FIRST_LOAD_BYTES_MAX);
  });

  test("has nothing under other names", async () => {
    for (const path of ["/assets/", "/assets/main.js", "/assets/../main.tsx", "/main.tsx", "/assets/__proto__"]) {
      expect(await files.asset(path)).toBeUndefined();
    }
  });

  test("is built once, whoever asks at once", async () => {
    const [one, other] = await Promise.all([files.shell(), files.shell()]);
    expect(one).toBe(other);
  });
});
