/**
 * A steady load: so many bytes a second, half of each request blocks like no other that do not compress, half blocks like no other of words. Requests go to random places and a
 * flush follows each 4 MiB, as from a busy file system.
 */
import type { WritableDevice } from "../../src/base/device.ts";
import { seededRandom, systemRandom, type Random } from "../../src/base/random.ts";

const BLOCK = 4096;
const REQUEST_BLOCKS = 64;
const POOL_BLOCKS = 1024;
const FLUSH_EACH_BYTES = 4 * 2 ** 20;
const WORDS = 3000;

/** Blocks for writing, made once: to make them anew would cost more than to write them. */
export class BlockSource {
  private readonly noise = systemRandom.bytes(POOL_BLOCKS * BLOCK);
  private readonly text: Uint8Array;
  private made = 0;

  constructor() {
    this.text = words(seededRandom(11), POOL_BLOCKS * BLOCK);
  }

  /** Fills a request with blocks that were never given before: each begins with its number. */
  fill(request: Uint8Array): void {
    const view = new DataView(request.buffer, request.byteOffset, request.length);
    for (let at = 0; at < request.length; at += BLOCK) {
      const pool = this.made % 2 === 0 ? this.noise : this.text;
      const from = ((this.made >> 1) % POOL_BLOCKS) * BLOCK;
      request.set(pool.subarray(from, from + BLOCK), at);
      view.setFloat64(at, this.made++, true);
    }
  }
}

function words(random: Random, length: number): Uint8Array {
  const letters = "etaoinshrdlucmfwypvbgk";
  const vocabulary = Array.from({ length: WORDS }, () => {
    const size = 2 + random.below(8);
    return Array.from({ length: size }, () => letters[Math.floor(random.unit() ** 2 * letters.length)]).join("");
  });
  const out = new Uint8Array(length);
  const encoder = new TextEncoder();
  for (let at = 0; at < length;) {
    // A few words make most of a text.
    const word = `${vocabulary[Math.floor(random.unit() ** 3 * WORDS)]!}${random.below(12) === 0 ? ".\n" : " "}`;
    at += encoder.encodeInto(word, out.subarray(at)).written || length;
  }
  return out;
}

export class SteadyLoad {
  writtenBytes = 0;
  private readonly device: WritableDevice;
  private readonly bytesPerSecond: number;
  private readonly source: BlockSource;
  private readonly random = seededRandom(5);
  private isEnding = false;
  private readonly working: Promise<void>;

  /** Begins at once. @param bytesPerSecond - Infinity: as fast as it is taken */
  constructor(device: WritableDevice, source: BlockSource, bytesPerSecond: number) {
    this.device = device;
    this.source = source;
    this.bytesPerSecond = bytesPerSecond;
    this.working = this.run();
  }

  /** Ends after a last flush. @throws what a write threw */
  async end(): Promise<void> {
    this.isEnding = true;
    await this.working;
  }

  private async run(): Promise<void> {
    const request = new Uint8Array(REQUEST_BLOCKS * BLOCK);
    const places = this.device.sizeBytes / request.length;
    const started = performance.now();
    while (!this.isEnding) {
      const due = ((performance.now() - started) / 1000) * this.bytesPerSecond;
      if (this.writtenBytes >= due) {
        await Bun.sleep(5);
        continue;
      }
      this.source.fill(request);
      await this.device.write(this.random.below(places) * request.length, request, false);
      this.writtenBytes += request.length;
      if (this.writtenBytes % FLUSH_EACH_BYTES === 0) await this.device.flush();
    }
    await this.device.flush();
  }
}
