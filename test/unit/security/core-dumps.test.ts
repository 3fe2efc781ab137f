import { afterAll, expect, test } from "bun:test";
import { mkdtempSync, readFileSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { keepOutOfCoreDumps } from "../../../src/security/core-dumps.ts";

const folder = mkdtempSync(join(tmpdir(), "sternway-core-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
const MODULE = resolve(import.meta.dir, "../../../src/security/core-dumps.ts");
/** Otherwise dumps go to some program, and there is no file to search. */
const dumpsAreFiles = readFileSync("/proc/sys/kernel/core_pattern", "utf8").trim() === "core";

/** A process that holds a mark in memory and dies with a dump. @returns whether the dump holds the mark; undefined: there is none */
async function dumpHoldsMark(isKeptOut: boolean): Promise<boolean | undefined> {
  const cwd = mkdtempSync(join(folder, "run-"));
  const program = `
    import { keepOutOfCoreDumps } from ${JSON.stringify(MODULE)};
    ${isKeptOut ? "keepOutOfCoreDumps();" : ""}
    const mark = new TextEncoder().encode(["planted", "in", "memory"].join("-").repeat(1000));
    process.kill(process.pid, "SIGABRT");
    setTimeout(() => console.log(mark.length, keepOutOfCoreDumps), 10_000);`;
  // The usual filter, whatever this process's own is: children inherit it.
  const run = [
    "sh",
    "-c",
    'ulimit -c unlimited && echo 0x33 >/proc/self/coredump_filter && exec "$0" -e "$1"',
    process.execPath,
    program,
  ];
  const child = Bun.spawn(run, { cwd, stdin: "ignore", stdout: "ignore", stderr: "ignore" });
  await child.exited;
  expect(child.signalCode).toBe("SIGABRT");
  const [name] = readdirSync(cwd).filter((each) => each.startsWith("core"));
  if (name === undefined) return undefined;
  const search = Bun.spawn(["grep", "-qa", "planted-in-memory", join(cwd, name)], { stdout: "ignore" });
  const holds = (await search.exited) === 0;
  rmSync(cwd, { recursive: true });
  return holds;
}

test.skipIf(!dumpsAreFiles)("a dump holds what is in memory, unless keepOutOfCoreDumps() was called", async () => {
  const usual = await dumpHoldsMark(false);
  // Where no dump is written at all, there is nothing to keep out.
  if (usual === undefined) return;
  expect(usual).toBe(true);
  expect(await dumpHoldsMark(true)).toBe(false);
});

test("keepOutOfCoreDumps() says so where the system has no such switch", () => {
  expect(keepOutOfCoreDumps(join(folder, "no-such-folder", "filter"))).toBe(false);
});
