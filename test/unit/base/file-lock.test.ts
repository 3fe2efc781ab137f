import { afterAll, expect, test } from "bun:test";
import * as fs from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { isSternwayError } from "../../../src/base/errors.ts";
import { lockFile } from "../../../src/base/file-lock.ts";

const scratch = fs.mkdtempSync(join(tmpdir(), "sternway-lock-"));
afterAll(() => fs.rmSync(scratch, { recursive: true, force: true }));

function conflictOf(path: string): { pid: unknown; message: string } | undefined {
  try {
    lockFile(path).release();
    return undefined;
  } catch (error) {
    if (!isSternwayError(error, "conflict")) throw error;
    return { pid: error.facts["pid"], message: error.message };
  }
}

test("lockFile() holds against this process until release(), and leaves an empty file", () => {
  const path = join(scratch, "one");
  const lock = lockFile(path);
  expect(conflictOf(path)).toEqual({ pid: process.pid, message: expect.stringContaining("locked by this process") });
  // A refused attempt must not have dropped the lock: POSIX locks end with any descriptor of the process.
  expect(conflictOf(path)).toBeDefined();
  expect(fs.readdirSync(scratch)).toEqual(["one"]);
  expect(fs.statSync(path).size).toBe(0);
  lock.release();
  lock.release();
  expect(conflictOf(path)).toBeUndefined();
});

test("lockFile() holds against another process until that one is killed with -9", async () => {
  const path = join(scratch, "two");
  const module = join(import.meta.dir, "../../../src/base/file-lock.ts");
  const script = `
    import { lockFile } from ${JSON.stringify(module)};
    globalThis.held = lockFile(${JSON.stringify(path)});
    console.log("locked");
    await new Promise((resolve) => setTimeout(resolve, 60_000));`;
  const holder = Bun.spawn([process.execPath, "-e", script], { stdout: "pipe", stderr: "inherit" });
  try {
    const first = await holder.stdout.getReader().read();
    expect(new TextDecoder().decode(first.value)).toBe("locked\n");
    const conflict = conflictOf(path);
    expect(conflict?.pid).toBe(holder.pid);
    expect(conflict?.message).toContain(`locked by process ${holder.pid}`);
  } finally {
    holder.kill("SIGKILL");
  }
  await holder.exited;
  expect(conflictOf(path)).toBeUndefined();
});

test("lockFile() in a folder that does not exist is unavailable", () => {
  let thrown: unknown;
  try {
    lockFile(join(scratch, "none", "lock"));
  } catch (error) {
    thrown = error;
  }
  expect(isSternwayError(thrown, "unavailable")).toBe(true);
});
