import { afterEach, beforeEach, expect, test } from "bun:test";
import { chmodSync, chownSync, mkdirSync, mkdtempSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { prepareSocketFolder } from "../../../src/daemon/local-socket.ts";

let dir = "";
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), "sternway-local-"));
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

const modeOf = (path: string): number => statSync(path).mode & 0o7777;

test("prepareSocketFolder() makes a folder that others can enter, whatever the umask", () => {
  const before = process.umask(0o077);
  try {
    prepareSocketFolder(join(dir, "made", "nbd.sock"));
  } finally {
    process.umask(before);
  }
  expect(modeOf(join(dir, "made"))).toBe(0o755);
});

test("prepareSocketFolder() leaves a folder that is there as its administrator made it", () => {
  const folder = join(dir, "group");
  mkdirSync(folder);
  chmodSync(folder, 0o750);
  prepareSocketFolder(join(folder, "nbd.sock"));
  expect(modeOf(folder)).toBe(0o750);
});

test("prepareSocketFolder() refuses a place where others could put a socket of their own, and what is no folder", () => {
  for (const mode of [0o777, 0o1777, 0o775]) {
    chmodSync(dir, mode);
    expect(() => prepareSocketFolder(join(dir, "nbd.sock"))).toThrow(/others can write to .* could put a socket/);
  }
  chmodSync(dir, 0o755);
  writeFileSync(join(dir, "file"), "");
  expect(() => prepareSocketFolder(join(dir, "file", "nbd.sock"))).toThrow(/is not a folder/);
  expect(() => prepareSocketFolder(join(dir, "a", "b", "nbd.sock"))).toThrow(/cannot be made.*RuntimeDirectory/);
});

// Only root can give a folder away.
test.skipIf(process.getuid?.() !== 0)("prepareSocketFolder() refuses a folder of somebody else's", () => {
  const folder = join(dir, "theirs");
  mkdirSync(folder, { mode: 0o755 });
  chownSync(folder, 31_337, 31_337);
  expect(() => prepareSocketFolder(join(folder, "nbd.sock"))).toThrow(/others can write/);
});
