import { expect, test } from "bun:test";
import { allocateAligned, assertWriteThrough, isAligned } from "../../../src/base/aligned.ts";

test("allocateAligned() gives zeroed memory at a multiple of 4096, of any size", () => {
  for (const size of [0, 1, 511, 512, 4095, 4096, 4097, 65_536, 1 << 20]) {
    for (let i = 0; i < 20; i++) {
      const bytes = allocateAligned(size);
      expect(bytes.length).toBe(size);
      expect(isAligned(bytes)).toBe(true);
      expect(bytes.every((byte) => byte === 0)).toBe(true);
    }
  }
});

test("assertWriteThrough() refuses a crooked offset, length or address", () => {
  const bytes = allocateAligned(16_384);
  assertWriteThrough(bytes, 8192);
  expect(() => assertWriteThrough(bytes, 100)).toThrow("offset 100");
  expect(() => assertWriteThrough(bytes.subarray(0, 100), 0)).toThrow("length 100");
  expect(() => assertWriteThrough(bytes.subarray(8, 4104), 0)).toThrow("4096-aligned");
});
