/**
 * XXH64, twice: Bun's native one on the answering path (0.3 µs per 4 KiB here) and xxhash-wasm's in the sealer
 * (0.5 µs). They give the same value, so a block that was fingerprinted by one on its way in is checked by an
 * independent implementation before it is kept for good.
 *
 * XXH64 finds damage; it does not resist malice (DESIGN: law 4). Every use is seeded with what the bytes belong to.
 */
import xxhash from "xxhash-wasm";
import { assert } from "./assert.ts";

const wasm = await xxhash();

/** XXH64 of `bytes` under `seed` (an unsigned 64-bit value). */
export const xxh64: (bytes: Uint8Array, seed: bigint) => bigint = Bun.hash.xxHash64;

/** The same function by xxhash-wasm. */
export const xxh64Wasm: (bytes: Uint8Array, seed: bigint) => bigint = (bytes, seed) => wasm.h64Raw(bytes, seed);

/** The same function over bytes that come in pieces: `update` with each, then `digest`. */
export const xxh64Stream = (seed: bigint): { update(bytes: Uint8Array): unknown; digest(): bigint } =>
  wasm.create64(seed);

/** As files and objects name it: sixteen hexadecimal digits. */
export const hashText = (hash: bigint): string => hash.toString(16).padStart(16, "0");

// A runtime whose hash changed would call every old block damaged: refuse to start instead.
const probe = new Uint8Array(4096).fill(7);
assert(xxh64(probe, 42n) === xxh64Wasm(probe, 42n), "Bun's XXH64 and xxhash-wasm's agree");
