import { describe, expect, test } from "bun:test";
import { seededRandom } from "../../../src/base/random.ts";
import { isWrappedKey, SCRYPT_COST, unwrapKey, wrapKey, type WrappedKey } from "../../../src/security/keys.ts";
import { secretOfPassphrase, type Secret } from "../../../src/security/secret.ts";

const VAULT = new Uint8Array(16).fill(3);
const DATA_KEY = Uint8Array.from({ length: 32 }, (_, i) => i * 7);
/** Cheap: the cost is what the parameters say, and that is not what is tested here. */
const COST = { n: 16, r: 8, p: 1 };
const random = seededRandom(5);
const keyFile = (fill: number): Secret => ({ kind: "key-file", bytes: new Uint8Array(40).fill(fill) });
const phrase = (text: string): Secret => secretOfPassphrase(text);
const wrap = (secret: Secret, label = ""): Promise<WrappedKey> =>
  wrapKey(DATA_KEY, secret, VAULT, random, { label, cost: COST });
const kindOf = (promise: Promise<unknown>): Promise<unknown> =>
  promise.then(
    () => "opened",
    (error: unknown) => (error as { kind: string }).kind,
  );

describe("wrapKey() and unwrapKey()", () => {
  test("give the data key back to each secret, and say which copy it was", async () => {
    const copies = [await wrap(keyFile(1)), await wrap(phrase("open sesame"), "people"), await wrap(phrase("other"))];
    for (const [i, secret] of [keyFile(1), phrase("open sesame"), phrase("other")].entries()) {
      const { dataKey, id } = await unwrapKey(copies, secret, VAULT);
      expect(dataKey).toEqual(DATA_KEY);
      expect(id).toBe(copies[i]!.id);
    }
  });

  test("refuse a wrong secret, another vault's copy, and any change to a copy, as denied", async () => {
    const copy = await wrap(phrase("open sesame"));
    expect(await kindOf(unwrapKey([copy], phrase("open sesame"), VAULT))).toBe("opened");
    expect(await kindOf(unwrapKey([copy], phrase("open sesamE"), VAULT))).toBe("denied");
    expect(await kindOf(unwrapKey([copy], { ...phrase("open sesame"), kind: "key-file" }, VAULT))).toBe("denied");
    expect(await kindOf(unwrapKey([copy], phrase("open sesame"), new Uint8Array(16)))).toBe("denied");
    expect(await kindOf(unwrapKey([{ ...copy, id: "00000000" }], phrase("open sesame"), VAULT))).toBe("denied");
    const cheaper = { ...copy, scrypt: { ...COST, n: 8 } };
    expect(await kindOf(unwrapKey([cheaper], phrase("open sesame"), VAULT))).toBe("denied");
    for (let at = 0; at < copy.sealed.length; at++) {
      const digit = copy.sealed[at] === "0" ? "1" : "0";
      const changed = { ...copy, sealed: copy.sealed.slice(0, at) + digit + copy.sealed.slice(at + 1) };
      expect(await kindOf(unwrapKey([changed], phrase("open sesame"), VAULT))).toBe("denied");
    }
  });

  test("never give the same copy twice", async () => {
    const [a, b] = [await wrap(keyFile(1)), await wrap(keyFile(1))];
    expect(a.salt).not.toBe(b.salt);
    expect(a.sealed).not.toBe(b.sealed);
  });

  test("hold nothing readable of key or secret", async () => {
    const text = JSON.stringify([await wrap(phrase("open sesame")), await wrap(keyFile(1))]);
    expect(text).not.toContain("open sesame");
    expect(text).not.toContain(Buffer.from(DATA_KEY).toString("hex").slice(0, 16));
    expect(text).not.toContain("01".repeat(8));
  });

  test("take 128 MiB for a guess at a passphrase, unless told otherwise", async () => {
    expect(128 * SCRYPT_COST.n * SCRYPT_COST.r).toBe(128 * 2 ** 20);
    const copy = await wrapKey(DATA_KEY, phrase("slow"), VAULT, random);
    expect(copy.scrypt).toEqual(SCRYPT_COST);
    expect((await unwrapKey([copy], phrase("slow"), VAULT)).dataKey).toEqual(DATA_KEY);
  });
});

describe("isWrappedKey()", () => {
  test.each<[string, object]>([
    ["no id", { id: undefined }],
    ["an id that is no hexadecimal", { id: "xyzxyzxy" }],
    ["another kind", { kind: "badge" }],
    ["a short salt", { salt: "00" }],
    ["a short key", { sealed: "00".repeat(47) }],
    ["a label that never ends", { label: "x".repeat(1000) }],
    ["no cost for a passphrase", { scrypt: undefined }],
    ["a cost that would take all memory", { scrypt: { n: 2 ** 30, r: 8, p: 1 } }],
    ["a cost that would take much", { scrypt: { n: 2 ** 20, r: 8, p: 1 } }],
    ["more passes than few", { scrypt: { n: 2 ** 14, r: 8, p: 5 } }],
    ["a block size that would", { scrypt: { n: 2 ** 14, r: 2 ** 20, p: 1 } }],
    ["a cost that would take forever", { scrypt: { n: 2 ** 14, r: 8, p: 2 ** 30 } }],
    ["a cost that is no power of two", { scrypt: { n: 1000, r: 8, p: 1 } }],
    ["a cost that is no number", { scrypt: { n: "16", r: 8, p: 1 } }],
  ])("refuses %s", async (_, change) => {
    const copy = await wrap(phrase("open sesame"));
    expect(isWrappedKey(copy)).toBe(true);
    expect(isWrappedKey({ ...copy, ...change })).toBe(false);
  });

  test("refuses what is no record", () => {
    for (const value of [undefined, null, 7, "text", []]) expect(isWrappedKey(value)).toBe(false);
  });
});
