/** What tests of stores put and expect. */
import { expect } from "bun:test";
import { isSternwayError, type ErrorKind } from "../../src/base/errors.ts";
import { seededRandom } from "../../src/base/random.ts";
import { IDENTITY_OBJECT, type ObjectInfo, type ObjectStore } from "../../src/tiers/store.ts";

/** Names that must be refused. */
export const BAD_NAMES = [
  "",
  "/",
  "/a",
  "a/",
  "a//b",
  ".",
  "..",
  "../a",
  "a/../b",
  "a/./b",
  ".sternway-tmp",
  ".sternway-tmp/a",
  "a/.b",
  "a b",
  "a\nb",
  "a\0b",
  "a\\b",
  "ä",
  "a%2fb",
  "a?b",
  "a/b/c/d/e/f/g/h/i",
  "a".repeat(201),
];

/** Bytes that no other seed gives. */
export function noise(seed: number, length: number): Uint8Array {
  const bytes = new Uint8Array(length);
  const some = seededRandom(seed).bytes(Math.min(length, 4099));
  for (let at = 0; at < length; at += some.length) bytes.set(some.subarray(0, length - at), at);
  return bytes;
}

/** Part of an object that tells every place in it: each four bytes are their own offset. */
export function numbered(offset: number, length: number): Uint8Array {
  const first = Math.floor(offset / 4);
  const words = new Uint32Array(Math.ceil((offset + length) / 4) - first);
  for (let i = 0; i < words.length; i++) words[i] = first + i;
  return new Uint8Array(words.buffer, offset - first * 4, length);
}

/** All that a list gives but the identity, sorted. */
export async function listed(store: ObjectStore, prefix: string): Promise<ObjectInfo[]> {
  const found: ObjectInfo[] = [];
  for await (const info of store.list(prefix)) if (info.name !== IDENTITY_OBJECT) found.push(info);
  return found.sort((a, b) => (a.name < b.name ? -1 : 1));
}

export async function failure(work: Promise<unknown>): Promise<unknown> {
  try {
    await work;
  } catch (error) {
    return error;
  }
  throw new Error("expected a failure");
}

export async function expectKind(work: Promise<unknown>, kind: ErrorKind): Promise<void> {
  const error = await failure(work);
  if (!isSternwayError(error)) throw error;
  expect(`${error.kind}: ${error.message}`).toStartWith(`${kind}: `);
}

export async function expectSame(got: Promise<Uint8Array>, expected: Uint8Array): Promise<void> {
  const bytes = await got;
  if (Buffer.compare(bytes, expected) === 0) return;
  const at = expected.findIndex((byte, i) => byte !== bytes[i]);
  throw new Error(`got ${bytes.length} bytes instead of ${expected.length}, different from ${at} on`);
}

/** The kind of an error of ours. */
export const kindOf = (error: unknown): ErrorKind | undefined => (isSternwayError(error) ? error.kind : undefined);
