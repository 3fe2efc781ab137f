/**
 * Parsers under mutated input. A small vault that holds everything is changed at random, raw or with the checksums put right afterwards, which is what
 * reaches the depths; then it is opened, read at every moment, checked, collected and scrubbed. Whatever was done to it: only typed errors, no
 * defect, no hang, no reading of wild sizes. The texts that people and clients send get the same treatment.
 *
 * What once found something stays, as seeds below and as texts in test/fixtures/corpus, and runs first. STERNWAY_SOAK=1 runs twenty times as many.
 */
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, describe, expect, test } from "bun:test";
import { parseRange } from "../../src/api/range.ts";
import { isSternwayError } from "../../src/base/errors.ts";
import { seededRandom, type Random } from "../../src/base/random.ts";
import type { SimulatedDisk } from "../../src/base/simulated-disk.ts";
import { Simulation } from "../../src/base/simulation.ts";
import { claimedHeaderBytes, encodeChecksum, startsLikeGroup } from "../../src/journal/format.ts";
import { checkVault } from "../../src/vault/checking/check.ts";
import { Scrub } from "../../src/vault/scrubbing/scrub.ts";
import type { Vault } from "../../src/vault/vault.ts";
import { parseExportName } from "../../src/volume/export-name.ts";
import { parseMoment } from "../../src/volume/moment.ts";
import { FIXTURES } from "../support/format-fixture.ts";
import { asLsn, sizeOf, strandOf } from "../support/model.ts";
import { forge } from "../support/paged-forgery.ts";
import { RICH_OPTIONS, richVault, type RichVault } from "../support/rich-vault.ts";
import { forSeeds } from "../support/seeds.ts";
import { openBed } from "../support/vault-bed.ts";

const BLOCK = 4096;
let rich: RichVault;
beforeAll(async () => {
  rich = await richVault();
});

type Mutate = (disk: SimulatedDisk, random: Random) => void;

const pick = <T>(random: Random, list: readonly T[]): T => list[random.below(list.length)]!;
const pathsOf = (disk: SimulatedDisk, kind: RegExp): string[] => disk.paths().filter((path) => kind.test(path));
const EXTREMES = [0, 1, 2, 127, 128, 255, 256, 4095, 4096, 65_535, 2 ** 31 - 1, 2 ** 31, 2 ** 32 - 1];

/** Changes some bytes: flips, extremes, stretches of others, zeroes. */
function scramble(bytes: Uint8Array, random: Random, from = 0, to = bytes.length): void {
  if (to <= from) return;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  for (let i = 1 + random.below(4); i > 0; i--) {
    const at = from + random.below(to - from);
    switch (random.below(4)) {
      case 0:
        bytes[at]! ^= 1 << random.below(8);
        break;
      case 1:
        if (at + 4 <= to) view.setUint32(at, pick(random, EXTREMES), true);
        break;
      case 2:
        bytes.copyWithin(at, from + random.below(to - from), Math.min(to, at + 64));
        break;
      default:
        bytes.fill(random.below(2) * 255, at, Math.min(to, at + 1 + random.below(32)));
    }
  }
}

/** Any file, without regard to checksums; also cut short or made longer. */
const raw: Mutate = (disk, random) => {
  const path = pick(random, disk.paths());
  const bytes = disk.peek(path)!;
  scramble(bytes, random);
  disk.scribble(path, 0, bytes);
};

/** JSON whose structure is changed: types, numbers, missing and doubled members. */
function twist(value: unknown, random: Random): unknown {
  if (Array.isArray(value)) {
    if (value.length === 0 || random.below(6) === 0) return pick<unknown>(random, [[], {}, null, "x", [null], 7]);
    const at = random.below(value.length);
    if (random.below(5) === 0) return random.below(2) === 0 ? value.toSpliced(at, 1) : [...value, value[at]];
    return value.with(at, twist(value[at], random));
  }
  if (typeof value === "object" && value !== null) {
    const keys = Object.keys(value);
    if (keys.length === 0) return null;
    const key = pick(random, keys);
    const copy: Record<string, unknown> = { ...value };
    if (random.below(6) === 0) delete copy[key];
    else copy[key] = twist(copy[key], random);
    return copy;
  }
  if (typeof value === "number")
    return pick<unknown>(random, [value + 1, value - 1, -1, 0, 1e300, 2 ** 53, 0.5, null, String(value), ...EXTREMES]);
  return pick<unknown>(random, ["", "0", null, 0, true, {}, [], "ffffffffffffffff", "../../etc", "\u0000"]);
}

const manifest: Mutate = (disk, random) => {
  const path = pathsOf(disk, /\/manifest\/\d+$/).at(-1)!;
  const text = new TextDecoder().decode(disk.peek(path));
  let value: unknown = JSON.parse(text.slice(text.indexOf("\n") + 1));
  for (let i = 1 + random.below(3); i > 0; i--) value = twist(value, random);
  const body = JSON.stringify(value);
  const bytes = new TextEncoder().encode(`${createHash("sha256").update(body).digest("hex")}\n${body}`);
  // What is left of the longer text before would not parse: blanks do.
  const whole = new Uint8Array(Math.max(bytes.length, text.length)).fill(0x20);
  whole.set(bytes);
  if (whole.length > bytes.length) {
    const padded = `${body}${" ".repeat(whole.length - bytes.length)}`;
    whole.set(new TextEncoder().encode(`${createHash("sha256").update(padded).digest("hex")}\n${padded}`));
  }
  disk.scribble(path, 0, whole);
};

/** A group of the journal, its checksum right again. */
const journal: Mutate = (disk, random) => {
  const { id, seed } = JSON.parse(new TextDecoder().decode(disk.peek(pathsOf(disk, /vault\.json$/)[0]!))) as {
    id: string;
    seed: string;
  };
  const groups = pathsOf(disk, /\.journal$/).flatMap((path) => {
    const bytes = disk.peek(path)!;
    const starts: { path: string; at: number }[] = [];
    for (let at = 0; at < bytes.length; at += BLOCK)
      if (startsLikeGroup(bytes.subarray(at, at + BLOCK))) starts.push({ path, at });
    return starts;
  });
  const { path, at } = pick(random, groups);
  const file = disk.peek(path)!;
  const length = Math.min(claimedHeaderBytes(file.subarray(at, at + BLOCK)) ?? BLOCK, file.length - at);
  const head = file.slice(at, at + length);
  const fileSequence = Number(new DataView(head.buffer).getBigUint64(48, true));
  scramble(head, random, 8);
  new DataView(head.buffer).setBigUint64(120, 0n, true);
  encodeChecksum(head, { vaultId: Buffer.from(id, "hex"), seed: BigInt(`0x${seed}`), fileSequence });
  disk.scribble(path, at, head);
};

/** A layer or a chronicle, its checksums right again. */
const paged: Mutate = (disk, random) => {
  const { id } = JSON.parse(new TextDecoder().decode(disk.peek(pathsOf(disk, /vault\.json$/)[0]!))) as { id: string };
  const path = pick(random, pathsOf(disk, /\.(layer|chronicle)$/));
  const number = Number(/(\d+)\.\w+$/.exec(path)![1]);
  const kind = path.endsWith(".chronicle") ? "chronicle" : pick(random, ["delta", "image"] as const);
  const bytes = disk.peek(path)!;
  const forged = forge(bytes, { vaultId: Buffer.from(id, "hex"), id: number, kind }, (copy, _view, index, trailer) => {
    scramble(copy, random, random.below(2) === 0 ? index : trailer, copy.length - 8);
    // The forger reads where the index lies from the trailer: keep it inside.
    const view = new DataView(copy.buffer);
    view.setBigUint64(trailer + 40, BigInt(index), true);
    view.setBigUint64(trailer + 48, BigInt(trailer - index), true);
  });
  disk.scribble(path, 0, forged);
};

/** Opens, reads, checks, scrubs, collects. @throws what is no typed error */
async function live(mutate: Mutate, seed: number): Promise<void> {
  const sim = new Simulation(seed);
  const disk = rich.disk.crashed(sim);
  mutate(disk, seededRandom(seed));
  const typed = async (act: () => Promise<unknown>): Promise<void> => {
    try {
      await act();
    } catch (error) {
      if (!isSternwayError(error) || error.kind === "internal") throw error;
    }
  };
  const story = async (): Promise<void> => {
    let vault: Vault | undefined;
    await typed(async () => {
      ({ vault } = await openBed(sim, disk, RICH_OPTIONS));
    });
    if (!vault) return;
    const opened = vault;
    const bytes = new Uint8Array(BLOCK);
    for (const { lsn } of rich.model.events) {
      for (const volume of rich.model.volumesAt(lsn))
        for (let block = 0; block * BLOCK < sizeOf(volume, lsn); block += 5)
          await typed(() => opened.read(strandOf(volume, lsn)!, asLsn(lsn), block, bytes));
    }
    await typed(async () => {
      for await (const step of checkVault(opened)) expect(step.line).toBeString();
    });
    await typed(async () => {
      const scrub = await Scrub.open(opened);
      for (let i = 0; i < 4; i++) await scrub.step();
    });
    await typed(() => opened.collect());
    await typed(() => opened.stop());
  };
  try {
    await sim.run(story, { stepsMax: 2_000_000 });
  } catch (error) {
    throw new Error(`seed ${seed}: ${error instanceof Error ? error.stack : String(error)}`, { cause: error });
  }
}

describe("a vault with files changed at random gives typed errors, or works", () => {
  forSeeds("raw", 60, [], (seed) => live(raw, seed));
  forSeeds("manifests, their hash put right", 100, [], (seed) => live(manifest, seed));
  forSeeds("journal groups, their checksum put right", 60, [], (seed) => live(journal, seed));
  forSeeds("layers and chronicles, their checksums put right", 60, [], (seed) => live(paged, seed));
});

describe("texts from outside give typed errors, or mean something", () => {
  const corpus = readFileSync(join(FIXTURES, "corpus", "texts.txt"), "utf8").split("\n");
  const alphabet = [
    "@",
    ":",
    "lsn",
    "bookmark",
    "now",
    "-",
    "15m",
    "2026-11-20T21:31:05.1Z",
    "9",
    "e9",
    "%00",
    "\u0000",
    "é",
    " ",
    "bytes=",
    ",",
    "0-",
    "-0",
    "9".repeat(20),
  ];

  test("moments, export names and ranges", () => {
    const random = seededRandom(9);
    const made = Array.from({ length: 20_000 }, () =>
      Array.from({ length: 1 + random.below(6) }, () => pick(random, alphabet)).join(""),
    );
    for (const text of [...corpus, ...made]) {
      for (const parse of [parseMoment, parseExportName, (header: string) => parseRange(header, 10_000)]) {
        try {
          parse(text);
        } catch (error) {
          if (!isSternwayError(error, "invalid") && !isSternwayError(error, "not_found"))
            throw new Error(`${JSON.stringify(text)}: ${String(error)}`, { cause: error });
        }
      }
    }
  });
});
