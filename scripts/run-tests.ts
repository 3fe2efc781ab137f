/**
 * Runs the checks and the test suites and adds them up; scripts/test calls it after the set-up.
 *
 *   scripts/test [--e2e] [--soak] [FILTER…]
 *
 * Without filters: types, format, lint, rooms, dead code, then the default suites (unit, property, conformance, crash, sim).
 * `--e2e` adds test/e2e; `--soak` sets STERNWAY_SOAK=1, at which the seeded suites run many more seeds. With filters only the
 * tests whose path matches run. Each check counts as one test in the closing line, which is `N passed, N failed, N skipped`.
 */
import { existsSync, readdirSync } from "node:fs";
import { availableParallelism } from "node:os";
import { resolve } from "node:path";

interface Tally {
  passed: number;
  failed: number;
  skipped: string[];
}

const root = resolve(import.meta.dir, "..");
const DEFAULT_SUITES = ["unit", "property", "conformance", "crash", "sim"];
/** Generous for a test, because a shared machine may stall; a hanging one must still end the run. */
const TEST_TIMEOUT_MS = 60_000;
const E2E_TIMEOUT_MS = 1_800_000;

const bun = process.execPath;
const tool = (path: string): string => resolve(root, "node_modules", path);
const CHECKS: readonly { name: string; command: string[] }[] = [
  // --no-script: package.json has scripts of the same names, for people.
  { name: "types", command: [bun, "check", "--no-script"] },
  { name: "format", command: [bun, "fmt", "--no-script", "--check"] },
  {
    name: "lint",
    command: [bun, tool("oxlint/bin/oxlint"), "--type-aware", "--deny-warnings", "src", "scripts", "test"],
  },
  { name: "rooms", command: [bun, resolve(root, "scripts/check-rooms.ts")] },
  { name: "dead code", command: [bun, tool("knip/bin/knip-bun.js"), "--no-progress"] },
];

/** Runs a command, handing each line of its output to `onLine`. @returns its exit code */
async function run(command: string[], env: Record<string, string>, onLine: (line: string) => void): Promise<number> {
  const child = Bun.spawn(command, {
    cwd: root,
    env: { ...process.env, ...env },
    stdin: "ignore",
    stdout: "pipe",
    stderr: "pipe",
  });
  const drain = async (stream: ReadableStream<Uint8Array>): Promise<void> => {
    const decoder = new TextDecoder();
    let rest = "";
    for await (const chunk of stream) {
      const lines = (rest + decoder.decode(chunk, { stream: true })).split("\n");
      rest = lines.pop() ?? "";
      for (const line of lines) onLine(line);
    }
    if (rest !== "") onLine(rest);
  };
  await Promise.all([drain(child.stdout), drain(child.stderr)]);
  return child.exited;
}

async function runCheck(check: { name: string; command: string[] }, tally: Tally): Promise<void> {
  const lines: string[] = [];
  const started = performance.now();
  const code = await run(check.command, {}, (line) => lines.push(line));
  const seconds = ((performance.now() - started) / 1000).toFixed(1);
  if (code === 0) tally.passed++;
  else {
    tally.failed++;
    for (const line of lines) console.log(line);
  }
  console.log(`${code === 0 ? "pass" : "FAIL"}  ${check.name} (${seconds} s)`);
}

/** Runs `bun test` and reads its own summary, the only place that also counts files which failed to load. */
async function runSuite(
  name: string,
  testArguments: string[],
  env: Record<string, string>,
  tally: Tally,
): Promise<void> {
  console.log(`\n== ${name}`);
  const counts: Record<string, number> = {};
  const skipped: string[] = [];
  let heading = "";
  let inRecap = false;
  const started = performance.now();
  const code = await run([bun, "test", ...testArguments], env, (raw) => {
    const line = Bun.stripANSI(raw);
    const count = /^ (\d+) (pass|fail|skip|todo)$/.exec(line);
    if (count) {
      counts[count[2] ?? ""] = Number(count[1]);
      heading = "";
    }
    // After the last test come the names of those that did not pass, a second time.
    if (/^\d+ tests? (?:skipped|todo|failed):$/.test(line)) inRecap = true;
    const skip = /^\((?:skip|todo)\) (.*)$/.exec(line);
    if (skip && !inRecap) skipped.push(skip[1] ?? "");
    if (inRecap && !count) return;
    // Thousands of passing names hide the few lines that matter; a file's name is shown with its first line that does.
    if (line.endsWith(".test.ts:")) heading = raw;
    else if (!line.startsWith("(pass)") && !skip && line !== "") {
      if (heading !== "") console.log(heading);
      heading = "";
      console.log(raw);
    }
  });
  const failed = counts["fail"] ?? 0;
  tally.passed += counts["pass"] ?? 0;
  // A run that ends badly without naming a failed test (killed, out of memory) must not look green.
  tally.failed += code !== 0 && failed === 0 ? 1 : failed;
  const skippedCount = (counts["skip"] ?? 0) + (counts["todo"] ?? 0);
  while (skipped.length < skippedCount) skipped.push("(a test whose name was not printed)");
  tally.skipped.push(...skipped.slice(0, skippedCount));
  console.log(`${code === 0 ? "pass" : "FAIL"}  ${name} (${((performance.now() - started) / 1000).toFixed(1)} s)`);
}

function hasTests(folder: string): boolean {
  const path = resolve(root, "test", folder);
  return existsSync(path) && readdirSync(path, { recursive: true }).some((name) => String(name).endsWith(".test.ts"));
}

const flags = new Set(process.argv.slice(2).filter((argument) => argument.startsWith("--")));
const filters = process.argv.slice(2).filter((argument) => !argument.startsWith("--"));
const unknown = [...flags].filter((flag) => flag !== "--e2e" && flag !== "--soak");
if (unknown.length > 0) {
  console.error(`unknown option ${unknown.join(" ")}; usage: scripts/test [--e2e] [--soak] [FILTER…]`);
  process.exit(2);
}
const env: Record<string, string> = flags.has("--soak") ? { STERNWAY_SOAK: "1" } : {};
const tally: Tally = { passed: 0, failed: 0, skipped: [] };
const parallel = `--parallel=${Math.min(availableParallelism(), 4)}`;

if (filters.length > 0) {
  await runSuite("filtered", [`--timeout=${TEST_TIMEOUT_MS}`, ...filters], env, tally);
} else {
  console.log("== checks");
  for (const check of CHECKS) await runCheck(check, tally);
  const folders = DEFAULT_SUITES.filter(hasTests).map((suite) => `./test/${suite}/`);
  if (folders.length > 0) {
    await runSuite(DEFAULT_SUITES.join(", "), [parallel, `--timeout=${TEST_TIMEOUT_MS}`, ...folders], env, tally);
  }
  // One at a time: these tests start machines and measure time.
  if (flags.has("--e2e") && hasTests("e2e")) {
    await runSuite("e2e", [`--timeout=${E2E_TIMEOUT_MS}`, "./test/e2e/"], env, tally);
  }
}

if (tally.skipped.length > 0) console.log(`\nskipped, with the reason in brackets:\n  ${tally.skipped.join("\n  ")}`);
const skipped = tally.skipped.length > 0 ? `, ${tally.skipped.length} skipped` : "";
console.log(`\n${tally.passed} passed, ${tally.failed} failed${skipped}`);
process.exit(tally.failed === 0 && tally.passed > 0 ? 0 : 1);
