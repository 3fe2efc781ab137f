/** The console's files as a test needs them: one script and the page. */
import type { ConsoleFile, ConsoleFiles } from "../../src/contract/console-files.ts";

function fileOf(type: string, text: string, immutable: boolean): ConsoleFile {
  const bytes = new TextEncoder().encode(text);
  return { type, bytes, gzip: Bun.gzipSync(bytes), etag: `"${Bun.hash(bytes).toString(16)}"`, immutable };
}

const script = fileOf("text/javascript; charset=utf-8", "console.log(1);", true);
const page = fileOf("text/html; charset=utf-8", "<!doctype html><title>Sternway</title>", false);

export const fakeConsole: ConsoleFiles = {
  asset: async (path) => (path === "/assets/main-0.js" ? script : undefined),
  shell: async () => page,
};
