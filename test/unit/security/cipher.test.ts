import { createHmac } from "node:crypto";
import { describe, expect, test } from "bun:test";
import { seededRandom } from "../../../src/base/random.ts";
import { FileCipher, TAG_BYTES, VaultCipher, type SealedKind } from "../../../src/security/cipher.ts";

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString("hex");
const VAULT = Uint8Array.from({ length: 16 }, (_, i) => i);
const DATA_KEY = Uint8Array.from({ length: 32 }, (_, i) => 255 - i);
const SALT = new Uint8Array(16).fill(9);
const NONE = new Uint8Array(0);
const cipherOf = (observe?: ConstructorParameters<typeof VaultCipher>[3]): VaultCipher =>
  new VaultCipher(DATA_KEY, VAULT, seededRandom(1), observe);

/** RFC 5869 by hand, for one block of output. */
function hkdf(key: Uint8Array, salt: Uint8Array, info: Uint8Array): Buffer {
  const extracted = createHmac("sha256", salt).update(key).digest();
  return createHmac("sha256", extracted).update(info).update(Uint8Array.of(1)).digest();
}

describe("FileCipher", () => {
  test("gives what the GCM specification gives (test cases 13 and 14: key, nonce and text of zeroes)", () => {
    const cipher = new FileCipher(new Uint8Array(32), undefined);
    expect(hex(cipher.sealed(0, NONE))).toBe("530f8afbc74536b9a963b4f1c4cb738b");
    expect(hex(cipher.sealed(0, new Uint8Array(16)))).toBe(
      "cea7403d4d606b6e074ec5d3baf39d18" + "d0d1c8a799996bf0265b98b5d48ab919",
    );
  });

  test("lays the nonce out as counter and part, so that no two pairs share one", () => {
    const nonces: string[] = [];
    const cipher = new FileCipher(new Uint8Array(32), (_key, nonce) => nonces.push(hex(nonce)));
    const seal = (counter: number, part: number): void =>
      cipher.seal(counter, part, NONE, NONE, new Uint8Array(0), new Uint8Array(TAG_BYTES));
    seal(1, 2);
    seal(2 ** 53 - 1, 2 ** 32 - 1);
    expect(nonces).toEqual(["010000000000000002000000", "ffffffffffff1f00ffffffff"]);
  });

  test("opens what it sealed, in place as well, and bound to the same readable bytes", () => {
    const cipher = new FileCipher(DATA_KEY, undefined);
    const text = new TextEncoder().encode("the text");
    const bytes = text.slice();
    const tag = new Uint8Array(TAG_BYTES);
    const bound = Uint8Array.of(1, 2, 3);
    cipher.seal(5, 6, bytes, bound, bytes, tag);
    expect(hex(bytes)).not.toBe(hex(text));
    const opened = new Uint8Array(text.length);
    expect(cipher.open(5, 6, bytes, bound, tag, opened)).toBe(true);
    expect(opened).toEqual(text);
    expect(cipher.open(5, 6, bytes, bound, tag, bytes)).toBe(true);
    expect(bytes).toEqual(text);
  });

  test("opens nothing with any bit flipped, at another place, beside other readable bytes, or cut", () => {
    const cipher = new FileCipher(DATA_KEY, undefined);
    const text = new Uint8Array(40).fill(7);
    const sealed = cipher.sealed(3, text, Uint8Array.of(1));
    for (let bit = 0; bit < sealed.length * 8; bit++) {
      const damaged = sealed.slice();
      damaged[bit >> 3] = damaged[bit >> 3]! ^ (1 << (bit & 7));
      expect(cipher.opened(3, damaged, Uint8Array.of(1))).toBeUndefined();
    }
    expect(cipher.opened(4, sealed, Uint8Array.of(1))).toBeUndefined();
    expect(cipher.opened(3, sealed, Uint8Array.of(2))).toBeUndefined();
    expect(cipher.opened(3, sealed.subarray(0, -1), Uint8Array.of(1))).toBeUndefined();
    expect(cipher.opened(3, sealed.subarray(0, 5), Uint8Array.of(1))).toBeUndefined();
    expect(cipher.opened(3, sealed, Uint8Array.of(1))).toEqual(text);
  });

  test("gives nothing out where the tag does not hold", () => {
    const cipher = new FileCipher(DATA_KEY, undefined);
    const sealed = cipher.sealed(0, new Uint8Array(64).fill(7));
    const into = new Uint8Array(64).fill(1);
    expect(cipher.open(0, 0, sealed.subarray(0, 64), NONE, new Uint8Array(TAG_BYTES), into)).toBe(false);
    expect(into).toEqual(new Uint8Array(64).fill(1));
  });
});

describe("VaultCipher", () => {
  test("makes a file's key as its opening comment says", () => {
    let used = "";
    const cipher = cipherOf((key) => (used = hex(key)));
    cipher.file({ kind: "pack", number: 2 ** 40 + 3, generation: 7, salt: SALT }).sealed(0, NONE);
    const numbers = Buffer.alloc(16);
    numbers.writeBigUInt64LE(BigInt(2 ** 40 + 3), 0);
    numbers.writeBigUInt64LE(7n, 8);
    const info = Buffer.concat([Buffer.from("sternway 1 pack\0"), VAULT, numbers]);
    expect(used).toBe(hkdf(DATA_KEY, SALT, info).toString("hex"));
  });

  test("HKDF by hand agrees with RFC 5869's first test case", () => {
    const info = Buffer.from("f0f1f2f3f4f5f6f7f8f9", "hex");
    const made = hkdf(Buffer.alloc(22, 0x0b), Buffer.from("000102030405060708090a0b0c", "hex"), info);
    expect(made.toString("hex")).toBe("3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf");
  });

  test("gives each vault, kind, number, generation and salt a key of its own", () => {
    const keys = new Set<string>();
    let made = 0;
    const observe = (key: Uint8Array): unknown => keys.add(hex(key));
    for (const vault of [VAULT, new Uint8Array(16)]) {
      const cipher = new VaultCipher(DATA_KEY, vault, seededRandom(1), observe);
      for (const kind of ["journal", "pack", "delta", "image", "chronicle", "manifest"] satisfies SealedKind[]) {
        for (const number of [1, 2, 2 ** 33]) {
          for (const generation of [0, 1]) {
            for (const salt of [SALT, new Uint8Array(16)]) {
              cipher.file({ kind, number, generation, salt }).sealed(0, NONE);
              made++;
            }
          }
        }
      }
    }
    expect(keys.size).toBe(made);
  });

  test("has no key any more once it is wiped", () => {
    const cipher = cipherOf();
    cipher.wipe();
    expect(() => cipher.file({ kind: "pack", number: 1, generation: 0, salt: SALT })).toThrow();
    expect(() => cipher.copyDataKey()).toThrow();
  });

  test("does not keep the memory that it was given", () => {
    const given = DATA_KEY.slice();
    const cipher = new VaultCipher(Buffer.from(given.buffer), VAULT, seededRandom(1));
    given.fill(0);
    expect(hex(cipher.copyDataKey())).toBe(hex(DATA_KEY));
  });
});
