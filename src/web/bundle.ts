/**
 * The door of the room: the console's files, bundled from src/web/console by Bun and kept in memory, each also compressed.
 *
 * They are built at the first request (about a quarter of a second) and never again. Names carry a hash of the content, so a browser may keep them for
 * ever; only the page itself, the same for every path of the console, is asked for anew, which its ETag makes cheap. Nothing inline and nothing from
 * elsewhere: the policy that goes with the page forbids both.
 */
import { gzipSync } from "bun";
import { resolve } from "node:path";
import { SternwayError } from "../base/errors.ts";
import type { ConsoleFile, ConsoleFiles } from "../contract/console-files.ts";

const SOURCE = resolve(import.meta.dir, "console");
const ENTRIES = [resolve(SOURCE, "main.tsx"), resolve(SOURCE, "console.css")];

const TYPES: Record<string, string> = {
  js: "text/javascript; charset=utf-8",
  css: "text/css; charset=utf-8",
  svg: "image/svg+xml",
  map: "application/json",
};

/** Files that compress by less are sent as they are. */
const GZIP_GAIN_BYTES = 200;

/** The console's files. They are built when first asked for; a build that failed is tried again by the next one who asks. */
export function consoleFiles(): ConsoleFiles {
  let built: Promise<Built> | undefined;
  const once = async (): Promise<Built> => {
    built ??= build();
    try {
      return await built;
    } catch (error) {
      built = undefined;
      throw error;
    }
  };
  return {
    asset: async (path) => (await once()).assets.get(path),
    shell: async () => (await once()).shell,
  };
}

interface Built {
  shell: ConsoleFile;
  assets: Map<string, ConsoleFile>;
}

async function build(): Promise<Built> {
  const result = await Bun.build({
    entrypoints: ENTRIES,
    root: SOURCE,
    target: "browser",
    minify: true,
    splitting: true,
    naming: { entry: "[name]-[hash].[ext]", chunk: "part-[hash].[ext]", asset: "[name]-[hash].[ext]" },
    publicPath: "/assets/",
    define: { "process.env.NODE_ENV": '"production"' },
    plugins: [slim],
  }).catch((cause: unknown) => {
    throw new SternwayError("internal", "the console could not be bundled", {}, { cause });
  });
  const assets = new Map<string, ConsoleFile>();
  for (const output of result.outputs) {
    const name = output.path.replace(/^.*\//, "");
    const type = TYPES[name.replace(/^.*\./, "")];
    if (type === undefined) throw new SternwayError("internal", `the console has a file of no known type: ${name}`);
    assets.set(`/assets/${name}`, fileOf(type, new Uint8Array(await output.arrayBuffer()), true));
  }
  const named = (pattern: RegExp): string => {
    const path = [...assets.keys()].find((each) => pattern.test(each));
    if (path === undefined)
      throw new SternwayError("internal", "the console's bundle lacks its page's script or style");
    return path;
  };
  const page = shellPage(named(/\/main-[^/]+\.js$/), named(/\/console-[^/]+\.css$/));
  return { shell: fileOf("text/html; charset=utf-8", new TextEncoder().encode(page), false), assets };
}

/** What the console does not need of what it imports: Hono's router, and zod's messages in sixty languages. */
const slim: Bun.BunPlugin = {
  name: "sternway-console",
  setup(builder) {
    builder.onResolve({ filter: /^@hono\/zod-openapi$/ }, () => ({ path: resolve(import.meta.dir, "browser-zod.ts") }));
    builder.onLoad({ filter: /\/zod\/v4\/locales\/index\.js$/ }, () => ({
      contents: 'export { default as en } from "./en.js";',
      loader: "js",
    }));
  },
};

function fileOf(type: string, bytes: Uint8Array<ArrayBuffer>, immutable: boolean): ConsoleFile {
  const gzip = gzipSync(bytes, { level: 9 });
  return {
    type,
    bytes,
    ...(gzip.length + GZIP_GAIN_BYTES < bytes.length ? { gzip } : {}),
    etag: `"${Bun.hash.xxHash64(bytes).toString(16).padStart(16, "0")}"`,
    immutable,
  };
}

function shellPage(script: string, style: string): string {
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="referrer" content="no-referrer">
<title>Sternway</title>
<link rel="icon" href="${ICON}">
<link rel="stylesheet" href="${style}">
<script type="module" src="${script}"></script>
</head>
<body>
<div id="console"><p class="starting">Sternway is loading…</p></div>
<noscript><p class="starting">The console needs JavaScript. Without it, the command <code>sternway</code> and the API do the same.</p></noscript>
</body>
</html>
`;
}

/** An arrow that runs back over a line of time. */
const ICON = `data:image/svg+xml,${encodeURIComponent(
  '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32"><rect width="32" height="32" rx="7" fill="#0a6a76"/><path d="M25 10v7a4 4 0 0 1-4 4H8m5-5-5 5 5 5" fill="none" stroke="#fff" stroke-width="3" stroke-linecap="round" stroke-linejoin="round"/></svg>',
)}`;
