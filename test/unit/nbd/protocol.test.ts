import { expect, test } from "bun:test";
import fc from "fast-check";
import {
  decodeString,
  encodeString,
  getU16,
  getU32,
  getU64,
  putU16,
  putU32,
  putU64,
  STRING_SIZE_MAX,
} from "../../../src/nbd/protocol.ts";

test("putU16(), putU32() and putU64() write what DataView reads, and get…() read it back", () => {
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 2 ** 53 - 1 }), fc.nat({ max: 5 }), (value, at) => {
      const bytes = new Uint8Array(16);
      const view = new DataView(bytes.buffer);
      putU64(bytes, at, value);
      expect(view.getBigUint64(at)).toBe(BigInt(value));
      expect(getU64(bytes, at)).toBe(value);
      putU32(bytes, at, value % 2 ** 32);
      expect(view.getUint32(at)).toBe(value % 2 ** 32);
      expect(getU32(bytes, at)).toBe(value % 2 ** 32);
      putU16(bytes, at, value % 2 ** 16);
      expect(view.getUint16(at)).toBe(value % 2 ** 16);
      expect(getU16(bytes, at)).toBe(value % 2 ** 16);
    }),
  );
});

test("getU64() of the largest values is above every device", () => {
  expect(getU64(new Uint8Array(8).fill(255), 0)).toBeGreaterThan(2 ** 63);
});

test("encodeString() cuts at 4,096 bytes between characters", () => {
  fc.assert(
    fc.property(fc.nat({ max: 3 }), fc.constantFrom("é", "€", "😀", "a"), (shift, letter) => {
      const bytes = encodeString("x".repeat(shift) + letter.repeat(5000));
      expect(bytes.length).toBeLessThanOrEqual(STRING_SIZE_MAX);
      expect(bytes.length).toBeGreaterThan(STRING_SIZE_MAX - 4);
      expect(decodeString(bytes)).toBeDefined();
    }),
  );
});

test("decodeString() refuses NUL, wrong UTF-8 and more than 4,096 bytes", () => {
  expect(decodeString(Uint8Array.from([65, 0]))).toBeUndefined();
  expect(decodeString(Uint8Array.from([0xc3]))).toBeUndefined();
  expect(decodeString(new Uint8Array(4097).fill(65))).toBeUndefined();
  expect(decodeString(new Uint8Array(4096).fill(65))?.length).toBe(4096);
  expect(decodeString(Buffer.from("web1@-15m"))).toBe("web1@-15m");
});
