/**
 * Part "dedup", what sampling costs: how many duplicates the sealer's look-up finds when the fingerprint index holds all fingerprints, and when
 * its budget leaves room for one in 8, 16 and 64, on data of several kinds. The index and the deduplicator are the real ones; packs exist as
 * lists of fingerprints alone, filled as the sealer fills them (a stretch of 64 MiB, a batch of 1,024 blocks, twins within a stretch found
 * exactly), so that a gigabyte takes seconds. Comparing bytes would change no figure: equal fingerprints are equal blocks here.
 */
import { Database } from "bun:sqlite";
import { closeSync, copyFileSync, fstatSync, mkdirSync, openSync, readSync, rmSync } from "node:fs";
import { join } from "node:path";
import { xxh64 } from "../../src/base/hash.ts";
import { seededRandom } from "../../src/base/random.ts";
import { Deduplicator } from "../../src/vault/packs/deduplicator.ts";
import { FingerprintIndex } from "../../src/vault/packs/fingerprint-index.ts";
import { blockAddress, SLOTS_PER_PACK } from "../../src/vault/map.ts";
import type { PackDirectory } from "../../src/vault/packs/pack-reader.ts";
import { sourceImages, thirdImage } from "./images.ts";
import type { Bench } from "./main.ts";

const BLOCK = 4096;
const BATCH_BLOCKS = 1024;
const SEED = 0x5eedn;
/** One in 2^bits; the first is the measure of the others. */
const SAMPLING_BITS = [0, 3, 4, 6] as const;
const ENTRY_BYTES = 12;
const LOAD_MAX = 0.7;

/** Fingerprints of the blocks of each image that hold anything, in the order of their addresses. */
type Images = BigUint64Array[];

interface Outcome {
  samplingBits: number;
  blocks: number;
  duplicates: number;
  directories: number;
}

/**
 * Directories kept for locality. 32 is the sealer's own, and holds all that is stored here; 4 and 1 are what it is to a store that is
 * many times larger than this one.
 */
const LOCALITY_PACKS = [32, 4, 1] as const;

/** Measures all kinds of data, and prints Markdown tables. */
export async function runDedupPart(bench: Bench): Promise<void> {
  const folder = join(bench.folder, "dedup");
  mkdirSync(folder, { recursive: true });
  const kinds = await sources(bench, folder);
  rmSync(folder, { recursive: true, force: true });
  for (const localityPacks of LOCALITY_PACKS) await measure(bench, kinds, localityPacks);
}

async function measure(bench: Bench, kinds: readonly [string, Images][], localityPacks: number): Promise<void> {
  const rows: string[] = [];
  for (const [name, images] of kinds) {
    const exact = await ingest(images, 2 ** 30, localityPacks);
    const unique = exact.blocks - exact.duplicates;
    const cells: string[] = [];
    for (const bits of SAMPLING_BITS) {
      // A table that is just not full with one in 2^bits of the unique blocks, and a little room for chance.
      const budgetBytes = Math.max(12_288, Math.ceil(((unique / 2 ** bits) * ENTRY_BYTES * 1.1) / LOAD_MAX));
      const found = bits === 0 ? exact : await ingest(images, budgetBytes, localityPacks);
      const lost = exact.duplicates === 0 ? 0 : 1 - found.duplicates / exact.duplicates;
      cells.push(`${(100 * lost).toFixed(2)}% (1/${2 ** found.samplingBits}, ${found.directories})`);
      bench.say(`dedup: ${name}: 1/${2 ** bits}: ${found.duplicates} of ${exact.duplicates} duplicates`);
    }
    const share = ((100 * exact.duplicates) / exact.blocks).toFixed(1);
    rows.push(`| ${name} | ${exact.blocks} | ${share}% | ${cells.join(" | ")} |`);
  }
  console.log(
    [
      `Duplicates lost by sampling, with ${localityPacks} directories for locality (sampling at the end, directories loaded)`,
      "",
      `| data | blocks | duplicates | ${SAMPLING_BITS.map((bits) => `1/${2 ** bits}`).join(" | ")} |`,
      `| --- | ---: | ---: |${SAMPLING_BITS.map(() => " ---: |").join("")}`,
      ...rows,
      "",
    ].join("\n"),
  );
}

async function sources(bench: Bench, folder: string): Promise<[string, Images][]> {
  const { paths } = await sourceImages(bench.imagesFolder, bench.say);
  const third = await thirdImage(bench.imagesFolder, bench.say);
  const [first, second, other] = [...paths, third].map(fingerprintsOf);
  const noise = randomPrints(65_536);
  return [
    ["two Debian root file systems, other packages, other order", [first!, second!]],
    ["three, the third laid down in a third order", [first!, second!, other!]],
    ["a database file, then 8 times 2% of its rows updated", databaseImages(join(folder, "rows.db"))],
    ["random, 256 MiB", [noise]],
    ["random, 256 MiB, then the same again", [noise, noise]],
    ["random, 256 MiB, then in runs of 64 KiB in another order", [noise, shuffledRuns(noise, 16)]],
    ["random, 256 MiB, then in runs of 16 KiB in another order", [noise, shuffledRuns(noise, 4)]],
  ];
}

/** Takes images in one after the other. */
async function ingest(images: Images, budgetBytes: number, localityPacks: number): Promise<Outcome> {
  const index = new FingerprintIndex({ budgetBytes });
  const packs: BigUint64Array[] = [];
  let directories = 0;
  const deduplicator = new Deduplicator({
    index,
    localityPacks,
    packs: {
      directory(pack) {
        directories++;
        return Promise.resolve({ fingerprints: packs[pack - 1]! } as PackDirectory);
      },
      visit: () => Promise.resolve(),
    },
  });
  let blocks = 0;
  let duplicates = 0;
  for (const prints of images) {
    for (let start = 0; start < prints.length; start += SLOTS_PER_PACK) {
      const stretch = prints.subarray(start, start + SLOTS_PER_PACK);
      const twins = new Set<bigint>();
      const fresh: bigint[] = [];
      for (let at = 0; at < stretch.length; at += BATCH_BLOCKS) {
        const batch = stretch.slice(at, at + BATCH_BLOCKS);
        const answers = new Float64Array(batch.length);
        await deduplicator.lookupBatch(batch, answers);
        for (const [i, print] of batch.entries()) {
          blocks++;
          if (answers[i] !== 0 || twins.has(print)) duplicates++;
          else {
            twins.add(print);
            fresh.push(print);
          }
        }
      }
      if (fresh.length === 0) continue;
      packs.push(BigUint64Array.from(fresh));
      for (const [slot, print] of fresh.entries()) index.insert(print, blockAddress(packs.length, slot));
    }
  }
  return { samplingBits: index.samplingBits, blocks, duplicates, directories };
}

function fingerprintsOf(path: string): BigUint64Array {
  const fd = openSync(path, "r");
  try {
    const count = Math.ceil(fstatSync(fd).size / BLOCK);
    const prints = new BigUint64Array(count);
    const zero = xxh64(new Uint8Array(BLOCK), SEED);
    const buffer = new Uint8Array(256 * BLOCK);
    let kept = 0;
    for (let offset = 0; offset < count * BLOCK; offset += buffer.length) {
      const got = readSync(fd, buffer, 0, buffer.length, offset);
      for (let at = 0; at < got; at += BLOCK) {
        const print = xxh64(buffer.subarray(at, Math.min(at + BLOCK, got)), SEED);
        if (print !== zero) prints[kept++] = print;
      }
    }
    return prints.slice(0, kept);
  } finally {
    closeSync(fd);
  }
}

/** Whole copies of an SQLite file: as nightly dumps of it, or full scans of its disk, bring them. */
function databaseImages(path: string): Images {
  const rows = 200_000;
  const random = seededRandom(3);
  const database = new Database(path);
  try {
    database.run("PRAGMA journal_mode = DELETE");
    database.run("PRAGMA synchronous = OFF");
    database.run("CREATE TABLE rows (id INTEGER PRIMARY KEY, body BLOB NOT NULL)");
    const insert = database.prepare("INSERT INTO rows (body) VALUES (?)");
    database.transaction(() => {
      for (let i = 0; i < rows; i++) insert.run(random.bytes(600 + random.below(500)));
    })();
    const images: Images = [];
    const keep = (): void => {
      copyFileSync(path, `${path}.copy`);
      images.push(fingerprintsOf(`${path}.copy`));
    };
    keep();
    const update = database.prepare("UPDATE rows SET body = ? WHERE id = ?");
    for (let round = 0; round < 8; round++) {
      database.transaction(() => {
        for (let i = 0; i < rows / 50; i++) update.run(random.bytes(600 + random.below(500)), 1 + random.below(rows));
      })();
      keep();
    }
    return images;
  } finally {
    database.close();
  }
}

function randomPrints(count: number): BigUint64Array {
  return new BigUint64Array(
    seededRandom(9)
      .bytes(count * 8)
      .slice().buffer,
  );
}

function shuffledRuns(prints: BigUint64Array, run: number): BigUint64Array {
  const random = seededRandom(run);
  const order = Array.from({ length: Math.ceil(prints.length / run) }, (_, i) => i);
  for (let i = order.length - 1; i > 0; i--) {
    const j = random.below(i + 1);
    [order[i], order[j]] = [order[j]!, order[i]!];
  }
  return BigUint64Array.from(order.flatMap((i) => [...prints.subarray(i * run, (i + 1) * run)]));
}
