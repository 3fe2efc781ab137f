import { describe, expect, test } from "bun:test";
import { systemRandom } from "../../../src/base/random.ts";
import {
  credentialOf,
  formatPeerToken,
  isCredential,
  isProof,
  keptTokenOf,
  makePeerToken,
  parsePeerToken,
  proofBy,
} from "../../../src/security/peer-token.ts";

const fingerprint = systemRandom.bytes(32);
const token = makePeerToken(systemRandom, fingerprint);
const text = formatPeerToken(token);

describe("parsePeerToken()", () => {
  test("reads what was printed, with a line's end", () => {
    expect(parsePeerToken(`${text}\n`)).toEqual(token);
  });

  test("refuses anything else, without repeating it", () => {
    const [prefix, id, secret = "", print] = text.split(".");
    const wrong = [
      "",
      text.slice(0, -1),
      `${text}A`,
      [prefix, id, secret].join("."),
      ["swp2", id, secret, print].join("."),
      [prefix, id, `${secret.slice(0, 42)}/`, print].join("."),
    ];
    for (const each of wrong) {
      let message = "";
      try {
        parsePeerToken(each);
      } catch (error) {
        message = String(error);
      }
      expect(message).toContain("no peer token");
      expect(message).not.toContain(secret.slice(0, 20));
    }
  });

  test("takes only one spelling of a token", () => {
    const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    const next = alphabet[alphabet.indexOf(text.at(-1)!) ^ 1]!;
    expect(() => parsePeerToken(text.slice(0, -1) + next)).toThrow("no peer token");
  });
});

describe("a kept token", () => {
  const kept = keptTokenOf(token);

  test("knows the credential, and holds neither it nor the secret", () => {
    expect(isCredential(kept, credentialOf(token))).toBe(true);
    expect(isCredential(kept, credentialOf(makePeerToken(systemRandom, fingerprint)))).toBe(false);
    expect(isCredential(kept, "")).toBe(false);
    const stored = JSON.stringify(kept);
    const secrets = [token.secret, Buffer.from(credentialOf(token), "base64url")].map((bytes) => Buffer.from(bytes));
    for (const secret of secrets) {
      expect(stored).not.toContain(secret.toString("hex"));
      expect(stored).not.toContain(secret.toString("base64url"));
    }
  });

  test("proves itself for this nonce, place and certificate alone", () => {
    const nonce = systemRandom.bytes(32);
    const facts = { id: token.id, place: "web", fingerprint };
    const answer = proofBy(kept, nonce, facts);
    expect(isProof(token, nonce, facts, answer)).toBe(true);
    expect(isProof(token, systemRandom.bytes(32), facts, answer)).toBe(false);
    expect(isProof(token, nonce, { ...facts, place: "mail" }, answer)).toBe(false);
    expect(isProof(token, nonce, { ...facts, fingerprint: systemRandom.bytes(32) }, answer)).toBe(false);
    expect(isProof(makePeerToken(systemRandom, fingerprint), nonce, facts, answer)).toBe(false);
    expect(isProof(token, nonce, facts, answer.subarray(1))).toBe(false);
  });
});
