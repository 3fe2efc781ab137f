/**
 * The token that an appliance needs to keep objects at another one, its peer:
 *
 *     swp1.ID.SECRET.FINGERPRINT     id: 16 hexadecimal digits · secret: 32 random bytes · fingerprint: SHA-256 of the peer's certificate, both base64url
 *
 * It comes from a file and is never logged. The secret itself never crosses the wire: two keys are derived from it, one for each direction, as in SCRAM.
 *
 *     credential   what the client shows. The peer keeps its SHA-256 alone, so what is stolen from it does not let anybody in.
 *     proof key    with it the peer answers the client's nonce before the client shows anything. It is kept as it is: whoever steals it can pass for
 *                  the peer only if he also has its certificate's key, which lies beside it.
 *
 * The proof covers the certificate that the connection presented, so an answer fetched from the real peer by somebody in between proves nothing.
 */
import { createHash, createHmac, hkdfSync, timingSafeEqual } from "node:crypto";
import { SternwayError } from "../base/errors.ts";
import type { Random } from "../base/random.ts";
import { FINGERPRINT_BYTES } from "./certificate.ts";

const PREFIX = "swp1";
const ID_BYTES = 8;
const SECRET_BYTES = 32;
export const NONCE_BYTES = 32;
const TOKEN = /^swp1\.([0-9a-f]{16})\.([A-Za-z0-9_-]{43})\.([A-Za-z0-9_-]{43})$/;
export const TOKEN_ID = /^[0-9a-f]{16}$/;

export interface PeerToken {
  /** Names the token to the peer; no secret. */
  id: string;
  secret: Uint8Array;
  fingerprint: Uint8Array;
}

/** What the peer keeps of a token. Byte strings are hexadecimal. */
export interface KeptToken {
  id: string;
  credentialHash: string;
  proofKey: string;
}

/** What the proof covers besides the nonce. */
export interface ProofFacts {
  id: string;
  /** The place's name, as the client knows it. */
  place: string;
  fingerprint: Uint8Array;
}

/** Makes a token for a peer with this certificate. @param random - cryptographic */
export function makePeerToken(random: Random, fingerprint: Uint8Array): PeerToken {
  return { id: hex(random.bytes(ID_BYTES)), secret: random.bytes(SECRET_BYTES), fingerprint };
}

/** The text that people pass on; itself a secret. */
export function formatPeerToken({ id, secret, fingerprint }: PeerToken): string {
  return [PREFIX, id, base64url(secret), base64url(fingerprint)].join(".");
}

/** @throws invalid: it is no token; the message does not repeat it */
export function parsePeerToken(text: string): PeerToken {
  const [, id = "", secret = "", fingerprint = ""] = TOKEN.exec(text.trim()) ?? [];
  const token = { id, secret: bytesOf(secret), fingerprint: bytesOf(fingerprint) };
  // The last character of 43 has two bits that belong to no byte: only one spelling is taken.
  const isWhole = token.secret.length === SECRET_BYTES && token.fingerprint.length === FINGERPRINT_BYTES;
  if (isWhole && formatPeerToken(token) === text.trim()) return token;
  throw new SternwayError(
    "invalid",
    "this is no peer token: one is a line that begins with swp1. and was printed by `sternway receive add`",
  );
}

export function keptTokenOf(token: PeerToken): KeptToken {
  const proofKey = hex(derived(token.secret, "proof"));
  return { id: token.id, credentialHash: hashOf(credentialOf(token)), proofKey };
}

/** What the client shows: good for nothing but this one place. */
export function credentialOf({ secret }: PeerToken): string {
  return base64url(derived(secret, "credential"));
}

/** In constant time. */
export function isCredential(kept: KeptToken, credential: string): boolean {
  return isSame(bytesOfHex(kept.credentialHash), bytesOfHex(hashOf(credential)));
}

/** The peer's answer to a nonce. */
export function proofBy(kept: KeptToken, nonce: Uint8Array, facts: ProofFacts): Uint8Array {
  return proof(bytesOfHex(kept.proofKey), nonce, facts);
}

/** True when the answer was made by who knows the token. In constant time. */
export function isProof(token: PeerToken, nonce: Uint8Array, facts: ProofFacts, answer: Uint8Array): boolean {
  return isSame(proof(derived(token.secret, "proof"), nonce, facts), answer);
}

function proof(key: Uint8Array, nonce: Uint8Array, { id, place, fingerprint }: ProofFacts): Uint8Array {
  // As JSON, so that no two sets of facts are one text.
  const text = JSON.stringify(["sternway peer 1 proof", hex(nonce), id, place, hex(fingerprint)]);
  return new Uint8Array(createHmac("sha256", key).update(text).digest());
}

function derived(secret: Uint8Array, purpose: "credential" | "proof"): Uint8Array {
  return new Uint8Array(hkdfSync("sha256", secret, new Uint8Array(0), `sternway peer 1 ${purpose}`, SECRET_BYTES));
}

/** A plain hash will do: what is hashed has 256 random bits. */
const hashOf = (credential: string): string => createHash("sha256").update(credential).digest("hex");
const isSame = (a: Uint8Array, b: Uint8Array): boolean => a.length === b.length && timingSafeEqual(a, b);
const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString("hex");
const base64url = (bytes: Uint8Array): string => Buffer.from(bytes).toString("base64url");
const bytesOf = (text: string): Uint8Array => new Uint8Array(Buffer.from(text, "base64url"));
const bytesOfHex = (text: string): Uint8Array => new Uint8Array(Buffer.from(text, "hex"));
