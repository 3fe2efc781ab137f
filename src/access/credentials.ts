/**
 * What people and programs show to be let in, as far as it is random: session ids, API tokens, recovery codes, the set-up code. Each has at least 60
 * random bits and most have 256, so a plain SHA-256 of it can be kept instead: there is nothing to guess. Comparing is in constant time, or by looking up a
 * hash, which tells nobody how close he was.
 */
import { createHash, createHmac, timingSafeEqual } from "node:crypto";
import type { Random } from "../base/random.ts";

/** What every API token begins with, so that scanners of leaked secrets know one when they see it. */
export const TOKEN_PREFIX = "swt_";
const SECRET_BYTES = 32;
const TOKEN = /^swt_[A-Za-z0-9_-]{43}$/;
const SESSION_ID = /^[A-Za-z0-9_-]{43}$/;
/** Crockford's: without I, L, O and U, which are misread. */
const ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";
const GROUP_LENGTH = 4;

/** 256 random bits as 43 characters. */
export const newSessionId = (random: Random): string => base64url(random.bytes(SECRET_BYTES));
export const newToken = (random: Random): string => TOKEN_PREFIX + base64url(random.bytes(SECRET_BYTES));
/** Names a token or a session; no secret. */
export const newPublicId = (random: Random): string => Buffer.from(random.bytes(8)).toString("hex");

export const isSessionId = (text: string): boolean => SESSION_ID.test(text);
export const isToken = (text: string): boolean => TOKEN.test(text);

/** Groups of four characters of 5 random bits each: `7Q2M-X0KD-94TZ` for 3. */
export function newCode(random: Random, groupCount: number): string {
  const groups = Array.from({ length: groupCount }, () =>
    // 256 is a multiple of 32, so every character is as likely as any other.
    [...random.bytes(GROUP_LENGTH)].map((byte) => ALPHABET[byte % ALPHABET.length]).join(""),
  );
  return groups.join("-");
}

/** A code as it was made, whatever of case, spaces, dashes and misread letters somebody typed. */
export function plainCode(typed: string): string {
  return typed.toUpperCase().replaceAll(/[\s-]/g, "").replaceAll("O", "0").replaceAll(/[IL]/g, "1");
}

/** What is kept of a secret that has enough random bits of its own. Hexadecimal. */
export const hashOf = (secret: string): string => createHash("sha256").update(secret).digest("hex");

/** True for the same text; takes as long for any two. */
export function isSameSecret(a: string, b: string): boolean {
  const digest = (text: string): Uint8Array => createHash("sha256").update(text).digest();
  return timingSafeEqual(digest(a), digest(b));
}

/**
 * The token that a page of ours sends along with what changes something. It is derived from the session id, which alone the browser keeps from scripts,
 * so nobody who lacks that can make it, and what the catalog keeps does not give it away either.
 */
export const csrfTokenOf = (sessionId: string): string =>
  createHmac("sha256", sessionId).update("sternway csrf 1").digest("base64url");

export const base64url = (bytes: Uint8Array): string => Buffer.from(bytes).toString("base64url");
