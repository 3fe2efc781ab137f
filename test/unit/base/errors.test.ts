import { expect, test } from "bun:test";
import { assert, AssertionError } from "../../../src/base/assert.ts";
import { diskError } from "../../../src/base/disk-errors.ts";
import { errorText, isSternwayError, SternwayError } from "../../../src/base/errors.ts";

test("isSternwayError() tells kinds apart", () => {
  const error = new SternwayError("corrupt", "bad block 7", { block: 7 });
  expect(isSternwayError(error)).toBe(true);
  expect(isSternwayError(error, "corrupt")).toBe(true);
  expect(isSternwayError(error, "internal")).toBe(false);
  expect(isSternwayError(new Error("corrupt"))).toBe(false);
  expect(isSternwayError(undefined)).toBe(false);
});

test("errorText() gives the chain of causes", () => {
  const inner = new Error("EIO");
  const outer = new SternwayError("unavailable", "cannot seal", {}, { cause: inner });
  expect(errorText(outer)).toBe("cannot seal: EIO");
  expect(errorText("text")).toBe("text");
});

test("errorText() says nothing twice, and comes to an end", () => {
  const system = new Error("ENOENT: no such file");
  const disk = new SternwayError("not_found", "open /a: ENOENT", {}, { cause: system });
  const outer = new SternwayError("denied", "/a cannot be read: open /a: ENOENT", {}, { cause: disk });
  expect(errorText(outer)).toBe("/a cannot be read: open /a: ENOENT: ENOENT: no such file");
  system.cause = outer;
  expect(errorText(outer)).toContain("no such file");
});

test("diskError() maps errno names to kinds and keeps the facts", () => {
  expect(diskError("ENOENT", "open", "/a").kind).toBe("not_found");
  expect(diskError("EEXIST", "create", "/a").kind).toBe("conflict");
  expect(diskError("ENOSPC", "write", "/a")).toMatchObject({
    kind: "unavailable",
    message: "write /a: ENOSPC",
    facts: { code: "ENOSPC", op: "write", path: "/a" },
  });
});

test("assert() throws an AssertionError with its message", () => {
  assert(true, "fine");
  expect(() => assert(false, "two is three")).toThrow(AssertionError);
  expect(() => assert(false, "two is three")).toThrow("assertion failed: two is three");
});
