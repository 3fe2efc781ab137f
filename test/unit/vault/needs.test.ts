import { describe, expect, test } from "bun:test";
import { lsn } from "../../../src/base/units.ts";
import { isNeeded, needsOf, type StrandNeeds } from "../../../src/vault/needs.ts";
import { Registry, type RegistryEvent } from "../../../src/vault/registry.ts";

/** A registry made by marks, each with its LSN. */
function registryOf(...marks: [number, RegistryEvent][]): Registry {
  const registry = new Registry();
  for (const [at, event] of marks) registry.apply(lsn(at), event);
  return registry;
}

const created = (at: number, volume: number, strand: number): [number, RegistryEvent] => [
  at,
  { kind: "volume-created", volume, name: `v${volume}`, sizeBytes: 4096, strand, time: 0 },
];
const branched = (
  at: number,
  volume: number,
  strand: number,
  origin: { volume: number; strand: number; lsn: number },
): [number, RegistryEvent] => [
  at,
  { kind: "branched", volume, name: `v${volume}`, sizeBytes: 4096, strand, time: 0, origin },
];
const rolledBack = (
  at: number,
  volume: number,
  strand: number,
  parent: { strand: number; lsn: number },
): [number, RegistryEvent] => [at, { kind: "rolled-back", volume, strand, parent, sizeBytes: 4096, time: 0 }];
const deleted = (at: number, volume: number): [number, RegistryEvent] => [
  at,
  { kind: "volume-deleted", volume, time: 0 },
];
const thinned = (at: number, volume: number, horizonLsn: number, ...points: number[]): [number, RegistryEvent] => [
  at,
  {
    kind: "thinned",
    volume,
    horizonLsn,
    points: points.map((point) => ({ lsn: point, time: 0, why: "daily" })),
    time: 0,
  },
];
const needs = (registry: Registry, newest = 1000): Record<number, StrandNeeds> =>
  Object.fromEntries(needsOf(registry, lsn(newest)));

describe("needsOf()", () => {
  test("needs everything of a volume that was never thinned", () => {
    expect(needs(registryOf(created(5, 1, 1)))).toEqual({ 1: { from: 5, points: [] } });
  });

  test("needs a thinned volume from its horizon on, and its points, bookmarks and holds before", () => {
    const registry = registryOf(
      created(1, 1, 1),
      [100, { kind: "bookmarked", volume: 1, name: "b", lsn: 40, at: 0, time: 0, note: "" }],
      [101, { kind: "held", volume: 1, name: "h", lsn: 20, at: 0, time: 0, note: "" }],
      thinned(110, 1, 80, 60, 20),
    );
    expect(needs(registry)).toEqual({ 1: { from: 80, points: [20, 40, 60] } });
  });

  test("needs nothing of a deleted volume, but what live branches of it began with, through all generations", () => {
    const registry = registryOf(
      created(1, 1, 1),
      branched(100, 2, 2, { volume: 1, strand: 1, lsn: 50 }),
      branched(200, 3, 3, { volume: 2, strand: 2, lsn: 150 }),
      deleted(210, 1),
      deleted(220, 2),
    );
    expect(needs(registry)).toEqual({
      1: { from: Infinity, points: [50] },
      2: { from: Infinity, points: [150] },
      3: { from: 200, points: [] },
    });
    registry.apply(lsn(230), deleted(230, 3)[1]);
    expect(needs(registry)).toEqual({});
  });

  test("a strand left by a rollback is needed as long as the horizon lies in it, then only where the next one began", () => {
    const marks = [created(1, 1, 1), rolledBack(100, 1, 2, { strand: 1, lsn: 30 })] as const;
    expect(needs(registryOf(...marks))).toEqual({ 1: { from: 1, points: [] }, 2: { from: 100, points: [] } });
    expect(needs(registryOf(...marks, thinned(200, 1, 60)))).toEqual({
      1: { from: 60, points: [30] },
      2: { from: 100, points: [] },
    });
    expect(needs(registryOf(...marks, thinned(200, 1, 150)))).toEqual({
      1: { from: Infinity, points: [30] },
      2: { from: 150, points: [] },
    });
    // A point in the abandoned part keeps what it shows.
    expect(needs(registryOf(...marks, thinned(200, 1, 150, 70)))).toEqual({
      1: { from: Infinity, points: [30, 70] },
      2: { from: 150, points: [] },
    });
  });

  test("a chain of rollbacks keeps only what leads to a needed strand", () => {
    const registry = registryOf(
      created(1, 1, 1),
      rolledBack(100, 1, 2, { strand: 1, lsn: 30 }),
      rolledBack(200, 1, 3, { strand: 1, lsn: 20 }),
      thinned(300, 1, 250),
    );
    expect(needs(registry)).toEqual({ 1: { from: Infinity, points: [20] }, 3: { from: 250, points: [] } });
  });

  test("a parent point stays when the parent's volume is thinned beyond it", () => {
    const registry = registryOf(
      created(1, 1, 1),
      branched(100, 2, 2, { volume: 1, strand: 1, lsn: 50 }),
      thinned(200, 1, 150),
    );
    expect(needs(registry)[1]).toEqual({ from: 150, points: [50] });
  });

  test("tells the needs of some volumes alone, their ancestors' strands included", () => {
    const registry = registryOf(created(1, 1, 1), branched(100, 2, 2, { volume: 1, strand: 1, lsn: 50 }));
    const own = needsOf(registry, lsn(1000), [registry.byId(2)!]);
    expect(Object.fromEntries(own)).toEqual({ 1: { from: Infinity, points: [50] }, 2: { from: 100, points: [] } });
  });
});

describe("isNeeded()", () => {
  test("is whether some needed LSN lies at or after the entry and before its successor", () => {
    const some = { from: 100, points: [10, 20] };
    for (const [at, next, expected] of [
      [10, 11, true],
      [9, 10, false],
      [11, 20, false],
      [11, 21, true],
      [21, 100, false],
      [21, 101, true],
      [100, 101, true],
      [150, Infinity, true],
      [1, Infinity, true],
    ] as const) {
      expect({ at, next, needed: isNeeded(some, at, next) }).toEqual({ at, next, needed: expected });
    }
    expect(isNeeded({ from: Infinity, points: [10] }, 11, Infinity)).toBe(false);
    expect(isNeeded(undefined, 1, Infinity)).toBe(false);
  });
});
