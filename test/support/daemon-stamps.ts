/**
 * A workload whose blocks say which write made them, and the proof of law 1 on what a killed daemon brings back.
 *
 * The volume is divided into lanes. A lane has one write in flight at a time, so its writes have one order; lanes of the same
 * and of other connections run beside each other. Every sector of 512 bytes that a lane writes is filled with its lane, the write's number
 * and its own address; lanes begin in the middle of a block, so that two lanes meet in one and merge.
 *
 * What must hold of the recovered bytes, for some number k of writes in each lane:
 *
 * 1. the lane reads exactly as its first k writes leave it (only the write after them may be there in part, block by block, when it
 *    was one that the volume splits);
 * 2. k is at least what was answered before the last answered flush was sent, on any connection;
 * 3. the k of all lanes fit one order: what was answered before an included write was sent is included too.
 */
import type { Random } from "../../src/base/random.ts";
import { isSternwayError } from "../../src/base/errors.ts";
import { BLOCK_SIZE, SECTOR_SIZE } from "../../src/base/units.ts";
import type { NbdClient } from "../../src/nbd/client.ts";

const MAGIC = 0x53_54_4d_50;
const WORDS = SECTOR_SIZE / 4;
/** 128 KiB: what file systems send at most at once to a device that tells no other limit is of this order. */
const WRITE_SECTORS_MAX = 256;

interface Operation {
  firstSector: number;
  count: number;
  /** What its sectors hold afterwards: the write's number, or 0 when it cleared them. */
  stamp: number;
  number: number;
  /** By lane: how many writes were answered when this one was sent. */
  after: Uint32Array;
}

class Lane {
  readonly index: number;
  readonly firstSector: number;
  readonly sectorCount: number;
  /** Stamps by sector as of the last verified state. */
  base: Uint32Array;
  /** Sent since, in order. */
  operations: Operation[] = [];
  /** Numbers go on growing over crashes, so that a lost write can never pass for a later one. */
  nextNumber = 1;
  /** Number of the last write that was answered. */
  answered = 0;
  /** Number up to which a flush was answered. */
  flushed = 0;

  constructor(index: number, firstSector: number, sectorCount: number) {
    this.index = index;
    this.firstSector = firstSector;
    this.sectorCount = sectorCount;
    this.base = new Uint32Array(sectorCount);
  }

  /** The state that all sent writes leave. */
  current(): Uint32Array {
    const state = this.base.slice();
    for (const operation of this.operations) apply(state, operation);
    return state;
  }
}

function apply(state: Uint32Array, { firstSector, count, stamp }: Operation): void {
  state.fill(stamp, firstSector, firstSector + count);
}

export interface WorkloadOptions {
  random: Random;
  laneCount: number;
  /** Not a multiple of 8, so that lanes share blocks. */
  sectorsPerLane: number;
  /** Of a hundred operations. Default 4. */
  flushPercent?: number;
}

export class StampedWorkload {
  readonly sizeBytes: number;
  readonly #random: Random;
  readonly #lanes: Lane[];
  readonly #flushPercent: number;
  #stopping = false;
  answeredCount = 0;
  flushCount = 0;

  constructor(options: WorkloadOptions) {
    this.#random = options.random;
    this.#flushPercent = options.flushPercent ?? 4;
    this.#lanes = Array.from(
      { length: options.laneCount },
      (_, i) => new Lane(i, i * options.sectorsPerLane, options.sectorsPerLane),
    );
    const blocks = Math.ceil((options.laneCount * options.sectorsPerLane * SECTOR_SIZE) / BLOCK_SIZE);
    this.sizeBytes = blocks * BLOCK_SIZE;
  }

  /** Writes on all lanes, spread over the clients, until {@link stop} or until the connection is lost. @throws any other error */
  async run(clients: readonly NbdClient[]): Promise<void> {
    this.#stopping = false;
    const results = await Promise.allSettled(
      this.#lanes.map((lane, i) => this.#runLane(lane, clients[i % clients.length]!)),
    );
    for (const result of results) {
      if (result.status === "rejected" && !isSternwayError(result.reason, "unavailable")) throw result.reason;
    }
  }

  stop(): void {
    this.#stopping = true;
  }

  async #runLane(lane: Lane, client: NbdClient): Promise<void> {
    const random = this.#random;
    while (!this.#stopping) {
      if (random.below(100) < this.#flushPercent) await this.#flush(client);
      const operation = this.#next(lane);
      lane.operations.push(operation);
      const offset = (lane.firstSector + operation.firstSector) * SECTOR_SIZE;
      const fua = random.below(100) < 2;
      if (operation.stamp > 0) await client.write(offset, this.#bytes(lane, operation), fua);
      else if (random.below(2) === 0) await client.trim(offset, operation.count * SECTOR_SIZE, fua);
      else await client.writeZeroes(offset, operation.count * SECTOR_SIZE, random.below(2) === 0, fua);
      lane.answered = operation.number;
      this.answeredCount++;
      if (fua) {
        lane.flushed = operation.number;
        // A prefix that holds this write holds everything that was answered before it was sent.
        this.#lanes.forEach((other, i) => (other.flushed = Math.max(other.flushed, operation.after[i]!)));
      }
    }
  }

  async #flush(client: NbdClient): Promise<void> {
    const before = this.#lanes.map((lane) => lane.answered);
    await client.flush();
    this.flushCount++;
    this.#lanes.forEach((lane, i) => (lane.flushed = Math.max(lane.flushed, before[i]!)));
  }

  #next(lane: Lane): Operation {
    const random = this.#random;
    const isWhole = random.below(3) > 0;
    let count = 1 + random.below(random.below(4) === 0 ? WRITE_SECTORS_MAX : 32);
    let firstSector = random.below(lane.sectorCount - count + 1);
    if (isWhole) {
      const perBlock = BLOCK_SIZE / SECTOR_SIZE;
      const firstWhole = (perBlock - (lane.firstSector % perBlock)) % perBlock;
      const blockCount = Math.floor((lane.sectorCount - firstWhole) / perBlock);
      const blocks = Math.max(1, Math.floor(count / perBlock));
      count = blocks * perBlock;
      firstSector = firstWhole + random.below(blockCount - blocks + 1) * perBlock;
    }
    const number = lane.nextNumber++;
    const stamp = random.below(12) === 0 ? 0 : number;
    return { firstSector, count, stamp, number, after: Uint32Array.from(this.#lanes, (other) => other.answered) };
  }

  #bytes(lane: Lane, operation: Operation): Uint8Array {
    const words = new Uint32Array(operation.count * WORDS);
    for (let i = 0; i < operation.count; i++) {
      const sector = lane.firstSector + operation.firstSector + i;
      for (let w = 0; w < WORDS; w++) words[i * WORDS + w] = word(w, sector, lane.index, operation.stamp);
    }
    return new Uint8Array(words.buffer);
  }

  /** The stamps in a whole image of the volume, by lane. @throws when a sector is not one that was ever written here */
  #decode(image: Uint8Array): Uint32Array[] {
    const words = new Uint32Array(image.buffer, image.byteOffset, image.byteLength / 4);
    return this.#lanes.map((lane) => {
      const stamps = new Uint32Array(lane.sectorCount);
      for (let i = 0; i < lane.sectorCount; i++) {
        const sector = lane.firstSector + i;
        const at = sector * WORDS;
        const stamp = words[at] === 0 ? 0 : (words[at + 1]! ^ sector) >>> 0;
        for (let w = 0; w < WORDS; w++) {
          if (words[at + w] === (stamp === 0 ? 0 : word(w, sector, lane.index, stamp))) continue;
          throw new Error(
            `sector ${sector} is not one that was written: word ${w} is ${words[at + w]}, stamp ${stamp}`,
          );
        }
        stamps[i] = stamp;
      }
      return stamps;
    });
  }

  /** Every write was answered, none lost: the image is exactly what they leave. */
  verifyExact(image: Uint8Array, what: string): void {
    for (const [i, observed] of this.#decode(image).entries()) {
      const expected = this.#lanes[i]!.current();
      const at = expected.findIndex((stamp, s) => stamp !== observed[s]);
      if (at >= 0) throw new Error(`${what}: lane ${i}, sector ${at} holds ${observed[at]} instead of ${expected[at]}`);
    }
  }

  /**
   * After a crash: proves what the head of this file says, and goes on from what is there.
   * @param options.orderly - the daemon was asked to stop: everything that it answered must be there, flushed or not
   * @returns how many sent writes are not there @throws with the facts when a law is broken
   */
  recover(image: Uint8Array, options: { orderly?: boolean } = {}): { lostCount: number } {
    const observed = this.#decode(image);
    if (options.orderly === true) for (const lane of this.#lanes) lane.flushed = lane.answered;
    const found = this.#lanes.map((lane, i) => prefixesOf(lane, observed[i]!));
    for (const [i, lane] of this.#lanes.entries()) {
      // The least of the numbers that explain the lane asks the least of the others.
      const last = lane.operations.findLast((operation) => operation.number <= found[i]!.least);
      if (!last) continue;
      for (const [j, other] of this.#lanes.entries()) {
        if (i === j || found[j]!.most >= last.after[j]!) continue;
        throw new Error(
          `lane ${i} holds write ${last.number}, which was sent after write ${last.after[j]} of lane ${j} was answered; but that lane ends at ${found[j]!.most} (${other.nextNumber - 1} sent)`,
        );
      }
    }
    let lostCount = 0;
    for (const [i, lane] of this.#lanes.entries()) {
      lostCount += lane.operations.filter((operation) => operation.number > found[i]!.most).length;
      lane.base = observed[i]!;
      lane.operations = [];
      lane.answered = lane.flushed = lane.nextNumber - 1;
    }
    return { lostCount };
  }
}

/** The first word is never zero: zero says that a sector was cleared. */
function word(index: number, sector: number, lane: number, stamp: number): number {
  if (index === 1) return (stamp ^ sector) >>> 0;
  return (MAGIC ^ (Math.imul(stamp, 0x9e37_79b1) + Math.imul(index * 64 + lane, 0x85eb_ca6b) + sector)) >>> 0 || 1;
}

/** The numbers k of writes after which the lane reads as observed, from the last flush on. @throws when there is none */
function prefixesOf(lane: Lane, observed: Uint32Array): { least: number; most: number } {
  const state = lane.base.slice();
  let mismatches = 0;
  for (let s = 0; s < state.length; s++) if (state[s] !== observed[s]) mismatches++;
  let least: number | undefined;
  let most = 0;
  let nearest = { number: 0, mismatches: Infinity };
  const before = lane.operations[0]?.number ?? lane.nextNumber;
  for (let k = 0; ; k++) {
    const number = k === 0 ? before - 1 : lane.operations[k - 1]!.number;
    const next = lane.operations[k];
    if (mismatches < nearest.mismatches) nearest = { number, mismatches };
    if (number >= lane.flushed && (mismatches === 0 || (next && isPart(lane, state, observed, next, mismatches)))) {
      least ??= number;
      most = number;
    }
    if (!next) break;
    for (let s = next.firstSector; s < next.firstSector + next.count; s++) {
      if (state[s] !== observed[s]) mismatches--;
      state[s] = next.stamp;
      if (state[s] !== observed[s]) mismatches++;
    }
  }
  if (least !== undefined) return { least, most };
  throw new Error(
    `lane ${lane.index} reads as no prefix of its writes that holds the flushed ones: ${before} to ${lane.nextNumber - 1} sent, ${lane.answered} answered, ${lane.flushed} flushed; nearest is ${nearest.number} with ${nearest.mismatches} wrong sectors`,
  );
}

/** True when the observed state is `state` with only some blocks of `next`, a write that the volume takes in pieces. */
function isPart(lane: Lane, state: Uint32Array, observed: Uint32Array, next: Operation, mismatches: number): boolean {
  const perBlock = BLOCK_SIZE / SECTOR_SIZE;
  const end = next.firstSector + next.count;
  const isWhole = (lane.firstSector + next.firstSector) % perBlock === 0 && (lane.firstSector + end) % perBlock === 0;
  if (isWhole || mismatches > next.count) return false;
  let explained = 0;
  for (let s = next.firstSector; s < end;) {
    const blockEnd = Math.min(end, s + perBlock - ((lane.firstSector + s) % perBlock));
    const differs = state.subarray(s, blockEnd).some((stamp, i) => stamp !== observed[s + i]);
    if (differs) {
      if (observed.subarray(s, blockEnd).some((stamp) => stamp !== next.stamp)) return false;
      for (let i = s; i < blockEnd; i++) if (state[i] !== observed[i]) explained++;
    }
    s = blockEnd;
  }
  return explained === mismatches;
}
