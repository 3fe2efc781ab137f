/**
 * The lines of the audit, and nothing else about it: how an entry and a seal become one line of JSON each, and back.
 *
 *     entry  {"seq":7,"time":"…","who":"ann","role":"operator","by":"session","from":"10.0.0.7","action":"rollbackVolume","subject":"web1",
 *             "result":"done","detail":{…},"previous":"<hash of the line before>","hash":"<of this line>"}
 *     seal   {"seq":8,"time":"…","seal":"<public key>","previous":"…","hash":"…","signature":"…"}
 *
 * `hash` is the SHA-256 of the line's own text without `hash` and `signature`, as hexadecimal; `signature` is Ed25519 over {@link SEAL_CONTEXT} and
 * that hash; the public key is its SPKI in base64. So a seal vouches for every line before it. `detail` may be missing.
 *
 * Invariant: a line has one spelling only. What does not come out of {@link parseLine} and the encoding again byte for byte is no line of
 * ours, so that no byte of a file can change unnoticed.
 */
import { createHash, createPublicKey, verify, type KeyObject } from "node:crypto";
import { z } from "zod";

export const RESULTS = ["done", "refused", "failed"] as const;
/** `refused`: not allowed (401, 403); `failed`: allowed, but it could not be done. */
export type AuditResult = (typeof RESULTS)[number];

export type AuditDetail = Record<string, string | number | boolean>;

/** What is told of an act. Texts are cut at their limits, and characters that do not print are spelt out. */
export interface AuditFacts {
  /** The account; `root` over the control socket; `-` for nobody. At most 128 characters, like the subject 256, the others 64. */
  who: string;
  role: string;
  /** How they signed in. */
  by: string;
  /** Address of the other side; empty on this machine's own sockets. */
  from: string;
  /** An operation's id, or a word such as `nbd-attach`. */
  action: string;
  subject: string;
  result: AuditResult;
  /** At most 16 facts of 256 characters. Never a secret. */
  detail?: AuditDetail;
}

export interface AuditEntry extends AuditFacts {
  /** Of the line; strictly increasing by one within a chain. */
  seq: number;
  /** RFC 3339, UTC. */
  time: string;
  previous: string;
  hash: string;
}

export interface AuditSeal {
  seq: number;
  time: string;
  /** The public key that signed, SPKI in base64. */
  seal: string;
  previous: string;
  hash: string;
  signature: string;
}

/** A place in the chain. */
export interface AuditHead {
  seq: number;
  hash: string;
}

export type ParsedLine =
  { kind: "entry"; entry: AuditEntry } | { kind: "seal"; seal: AuditSeal } | { kind: "bad"; why: string };

/** No entry comes near it: 22 texts of at most 256 characters, four bytes each. */
export const LINE_BYTES_MAX = 65_536;
/** What the first line of a chain names as the one before it. */
export const NO_HASH = "0".repeat(64);
/** First line of a chain: its detail names the key, and why an earlier chain ended. */
export const BEGUN = "audit-begun";
/** Keeps our signatures apart from anything else that the key could ever sign. */
const SEAL_CONTEXT = "sternway audit seal 1\n";

const DETAILS_MAX = 16;
const DETAIL_CHARS_MAX = 256;
const LIMITS = { who: 128, role: 64, by: 64, from: 64, action: 64, subject: 256 } as const;

const hash = z.string().regex(/^[0-9a-f]{64}$/);
const entrySchema = z.strictObject({
  seq: z.int().min(1),
  time: z.string(),
  who: z.string(),
  role: z.string(),
  by: z.string(),
  from: z.string(),
  action: z.string(),
  subject: z.string(),
  result: z.enum(RESULTS),
  detail: z.record(z.string(), z.union([z.string(), z.number(), z.boolean()])).optional(),
  previous: hash,
  hash,
});
const sealSchema = z.strictObject({
  seq: z.int().min(1),
  time: z.string(),
  seal: z.string(),
  previous: hash,
  hash,
  signature: z.string(),
});

/** An entry as its line, without the newline. */
export function encodeEntry(
  at: { seq: number; time: string; previous: string },
  facts: AuditFacts,
): { text: string; hash: string } {
  const { who, role, by, from, action, subject, result, detail } = facts;
  const body = JSON.stringify({
    seq: at.seq,
    time: at.time,
    who,
    role,
    by,
    from,
    action,
    subject,
    result,
    ...(detail === undefined ? {} : { detail }),
    previous: at.previous,
  });
  const own = sha256(body);
  return { text: `${body.slice(0, -1)},"hash":"${own}"}`, hash: own };
}

/** A seal as its line. @param signHash - signs what {@link sealedText} gives for a hash; base64 */
export function encodeSeal(
  at: { seq: number; time: string; previous: string },
  key: string,
  signHash: (hash: string) => string,
): { text: string; hash: string } {
  const body = JSON.stringify({ seq: at.seq, time: at.time, seal: key, previous: at.previous });
  const own = sha256(body);
  return { text: `${body.slice(0, -1)},"hash":"${own}","signature":"${signHash(own)}"}`, hash: own };
}

/** What a seal's signature is over. */
export const sealedText = (ownHash: string): Uint8Array => new TextEncoder().encode(SEAL_CONTEXT + ownHash);

/** Reads one line without its newline; never throws. Whether a seal's signature holds is {@link isSigned}'s to say. */
export function parseLine(bytes: Uint8Array): ParsedLine {
  if (bytes.length > LINE_BYTES_MAX) return bad(`it is ${bytes.length} bytes long`);
  let text: string;
  let value: unknown;
  try {
    text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
    value = JSON.parse(text);
  } catch {
    // Whatever is wrong with it, it is not what we wrote.
    return bad("it is not JSON");
  }
  const isSeal = typeof value === "object" && value !== null && "seal" in value;
  return isSeal ? parsedSeal(text, value) : parsedEntry(text, value);
}

function parsedEntry(text: string, value: unknown): ParsedLine {
  const parsed = entrySchema.safeParse(value);
  if (!parsed.success) return bad(`${parsed.error.issues[0]?.path.join(".") ?? ""} is not as in an entry`.trim());
  const { detail, ...rest } = parsed.data;
  const entry: AuditEntry = { ...rest, ...(detail === undefined ? {} : { detail }) };
  const again = encodeEntry(entry, entry);
  if (again.hash !== entry.hash) return bad("its hash is not that of what it says");
  return again.text === text ? { kind: "entry", entry } : bad("it is not spelt as entries are");
}

function parsedSeal(text: string, value: unknown): ParsedLine {
  const parsed = sealSchema.safeParse(value);
  if (!parsed.success) return bad(`${parsed.error.issues[0]?.path.join(".") ?? ""} is not as in a seal`.trim());
  const seal = parsed.data;
  const again = encodeSeal(seal, seal.seal, () => seal.signature);
  if (again.hash !== seal.hash) return bad("its hash is not that of what it says");
  return again.text === text ? { kind: "seal", seal } : bad("it is not spelt as seals are");
}

/** True when the seal was signed by the key that it names, in the one spelling that a signature has. */
export function isSigned(seal: AuditSeal): boolean {
  const signature = Buffer.from(seal.signature, "base64");
  if (signature.toString("base64") !== seal.signature) return false;
  const key = publicKeyOf(seal.seal);
  return key !== undefined && verify(null, sealedText(seal.hash), key, signature);
}

function publicKeyOf(text: string): KeyObject | undefined {
  const der = Buffer.from(text, "base64");
  if (der.toString("base64") !== text) return undefined;
  try {
    const key = createPublicKey({ key: der, format: "der", type: "spki" });
    return key.asymmetricKeyType === "ed25519" ? key : undefined;
  } catch {
    // Not a key at all: then nothing was signed by it.
    return undefined;
  }
}

/** By which people know a public key: SHA-256 of its SPKI, hexadecimal. */
export const keyFingerprint = (key: string): string => sha256(Buffer.from(key, "base64"));

/** What may be kept of an act that somebody else had a say in: no text can end a line, hide in a terminal, or grow without bound. */
export function cleanFacts(facts: AuditFacts): AuditFacts {
  const { who, role, by, from, action, subject, result, detail } = facts;
  const kept = detail === undefined ? [] : Object.entries(detail).slice(0, DETAILS_MAX);
  return {
    who: cleanText(who, LIMITS.who),
    role: cleanText(role, LIMITS.role),
    by: cleanText(by, LIMITS.by),
    from: cleanText(from, LIMITS.from),
    action: cleanText(action, LIMITS.action),
    subject: cleanText(subject, LIMITS.subject),
    result,
    ...(kept.length === 0
      ? {}
      : { detail: Object.fromEntries(kept.map(([name, value]) => [cleanText(name, 64), cleanValue(value)])) }),
  };
}

function cleanValue(value: string | number | boolean): string | number | boolean {
  if (typeof value === "string") return cleanText(value, DETAIL_CHARS_MAX);
  return typeof value === "number" && !Number.isFinite(value) ? String(value) : value;
}

function cleanText(text: string, charsMax: number): string {
  const spelt = text
    .slice(0, charsMax)
    .toWellFormed()
    .replace(/\p{C}|\p{Zl}|\p{Zp}/gu, (char) => `\\u{${(char.codePointAt(0) ?? 0).toString(16)}}`);
  return text.length <= charsMax && spelt.length <= charsMax
    ? spelt
    : `${spelt.slice(0, charsMax - 1).toWellFormed()}…`;
}

const bad = (why: string): ParsedLine => ({ kind: "bad", why });
const sha256 = (data: string | Uint8Array): string => createHash("sha256").update(data).digest("hex");
