/**
 * What a manifest must look like. Its hash proves that it is what was written, not that whoever wrote it was in their right mind, or us: a shape that no
 * version writes is refused here, before anything relies on it. Strict in what it knows, and indifferent to members that it does not.
 */
import { z } from "zod";

const count = z.int().min(0).max(Number.MAX_SAFE_INTEGER);
/** From 1. */
const number = z.int().min(1).max(Number.MAX_SAFE_INTEGER);
const hex16 = z.string().regex(/^[0-9a-f]{16}$/);
const hash = z.string().regex(/^([0-9a-f]{64})?$/);
/** Wall times may be anything that a clock was set to. */
const time = z.int();
const shardLists = z.array(z.object({ strand: number, shards: z.array(count) }));

const pack = z.object({
  pack: number,
  generation: count,
  sizeBytes: count,
  slots: z.int().min(1).max(16_384),
  checksum: hex16,
  freed: count.optional(),
});

const layer = z
  .object({
    id: number,
    kind: z.enum(["delta", "image"]),
    firstLsn: count,
    lastLsn: count,
    entries: count,
    sizeBytes: count,
    checksum: hex16,
    xor: hex16,
    shards: shardLists,
    coverage: shardLists.optional(),
    rank: count,
    weights: z.array(z.object({ strand: number, shard: count, entries: count })),
  })
  .refine(({ firstLsn, lastLsn }) => firstLsn <= lastLsn);

const chronicle = z
  .object({
    id: number,
    firstLsn: count,
    lastLsn: count,
    firstTime: time,
    lastTime: time,
    rows: count,
    sizeBytes: count,
    checksum: hex16,
    rank: count,
  })
  .refine(({ firstLsn, lastLsn }) => firstLsn <= lastLsn);

const sizeBytes = z.int().min(1).max(Number.MAX_SAFE_INTEGER);
const named = { name: z.string().min(1).max(256), lsn: count, time, createdAt: time, note: z.string().max(4096) };

const volume = z.object({
  id: number,
  name: named.name,
  createdLsn: count,
  createdAt: time,
  deletedLsn: count.optional(),
  origin: z.object({ volume: number, lsn: count }).optional(),
  strands: z.array(z.object({ fromLsn: count, strand: number, time, rolledBackTo: count.optional() })).min(1),
  sizes: z.array(z.object({ fromLsn: count, sizeBytes, time })).min(1),
  bookmarks: z.array(z.object(named)),
  policy: z
    .object({
      allMicros: count,
      hourlyMicros: count,
      dailyMicros: count,
      weeklyMicros: count,
      monthlyMicros: count,
    })
    .optional(),
  kept: z
    .object({
      horizonLsn: count,
      points: z.array(z.object({ lsn: count, time, why: z.enum(["hourly", "daily", "weekly", "monthly", "open"]) })),
    })
    .optional(),
  holds: z.array(z.object(named)).optional(),
  lockMicros: count.optional(),
});

const registry = z
  .object({
    volumes: z.array(volume),
    strands: z.array(
      z.object({ id: number, volume: number, parent: z.object({ strand: number, lsn: count }).optional() }),
    ),
    ledger: z
      .object({
        elapsedMicros: count,
        trustedMicros: time,
        notes: z.array(z.object({ lsn: count, elapsedMicros: count })),
      })
      .optional(),
  })
  .refine(({ volumes }) => volumes.every(({ id }, i) => id === i + 1), "volumes are numbered from 1")
  .refine(({ strands }) => strands.every(({ id, parent }, i) => id === i + 1 && (parent?.strand ?? 0) < id), {
    message: "strands are numbered from 1, parents before children",
  })
  .refine(
    ({ volumes, strands }) =>
      volumes.every((each) => each.strands.every(({ strand }) => strands[strand - 1]?.volume === each.id)) &&
      strands.every((each) => volumes[each.volume - 1] !== undefined),
    "strands and volumes belong to each other",
  );

const areDifferent = (files: readonly { id: number }[]): boolean =>
  new Set(files.map(({ id }) => id)).size === files.length;
const ascending = (numbers: readonly number[]): boolean =>
  numbers.every((each, i) => i === 0 || each > numbers[i - 1]!);

/** One after the other and none beyond what is sealed. A gap is for the check to find: what is there can be read. */
const areApart = (ranges: readonly { firstLsn: number; lastLsn: number }[], sealedLsn: number): boolean =>
  ranges.every(({ firstLsn, lastLsn }, i) => firstLsn > (ranges[i - 1]?.lastLsn ?? 0) && lastLsn <= sealedLsn);

export const manifestSchema = z
  .object({
    format: z.literal(1),
    vault: z.string(),
    /** Ten digits in its name, and some left. */
    number: z.int().min(0).max(9_000_000_000),
    epoch: count,
    previous: hash,
    sealed: z.object({ lsn: count, fileSequence: count, groupSequence: count, groupChecksum: hex16, wall: time }),
    clean: z.object({ groupSequence: count }).optional(),
    firstLsn: count,
    next: z.object({ pack: number, layer: number, chronicle: number }),
    packs: z.array(pack),
    quarantine: z
      .array(
        z.object({
          pack: number,
          generation: count,
          slots: z.array(z.object({ first: count, count: z.int().min(1).max(16_384) })),
        }),
      )
      .optional(),
    layers: z.array(layer),
    chronicles: z.array(chronicle),
    registry,
  })
  .refine(({ packs }) => ascending(packs.map((each) => each.pack)), "packs come by number")
  .refine(({ packs, next }) => packs.every((each) => each.pack < next.pack), "the next pack is a new one")
  .refine(
    ({ layers, chronicles, next }) =>
      layers.every((each) => each.id < next.layer) && chronicles.every((each) => each.id < next.chronicle),
    "the next files are new ones",
  )
  .refine(
    ({ layers, chronicles, sealed }) =>
      areApart(
        layers.filter(({ kind }) => kind === "delta"),
        sealed.lsn,
      ) &&
      areApart(chronicles, sealed.lsn) &&
      layers.every(({ lastLsn }) => lastLsn <= sealed.lsn),
    "deltas and chronicles follow one another up to what is sealed",
  )
  .refine(({ layers, chronicles }) => areDifferent(layers) && areDifferent(chronicles), "each file is named once");
