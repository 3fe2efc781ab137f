import { describe, expect, test } from "bun:test";
import { lsn, strandId } from "../../../src/base/units.ts";
import { registryFaults } from "../../../src/vault/checking/check-registry.ts";
import {
  decodeEvent,
  encodeEvent,
  Registry,
  sizeAt,
  strandAt,
  type RegistryEvent,
} from "../../../src/vault/registry.ts";

const created = (volume: number, name: string, strand: number): RegistryEvent => ({
  kind: "volume-created",
  volume,
  name,
  sizeBytes: 4096,
  strand,
  time: 1000 * volume,
});
const rolledBack = (volume: number, strand: number, parent: number, at: number, sizeBytes = 4096): RegistryEvent => ({
  kind: "rolled-back",
  volume,
  strand,
  parent: { strand: parent, lsn: at },
  sizeBytes,
  time: 5,
});
const branched = (
  volume: number,
  name: string,
  strand: number,
  origin: { volume: number; strand: number; lsn: number },
): RegistryEvent => ({
  kind: "branched",
  volume,
  name,
  sizeBytes: 4096,
  strand,
  time: 9,
  origin,
});

function folded(events: readonly (readonly [number, RegistryEvent])[]): Registry {
  const registry = new Registry();
  for (const [at, event] of events) registry.apply(lsn(at), event);
  return registry;
}

const chain = (registry: Registry, strand: number, at: number): number[][] =>
  registry.chain(strandId(strand), lsn(at)).map((link) => [link.strand, link.lsn]);

describe("Registry.chain()", () => {
  const registry = folded([
    [1, created(1, "a", 1)],
    [10, rolledBack(1, 2, 1, 5)],
    [20, rolledBack(1, 3, 2, 15)],
    [30, rolledBack(1, 4, 1, 8)],
    [40, branched(2, "b", 5, { volume: 1, strand: 3, lsn: 25 })],
    [50, branched(3, "c", 6, { volume: 2, strand: 5, lsn: 40 })],
  ]);

  test("goes from a strand to its ancestors, each up to where its child began", () => {
    expect(chain(registry, 1, 7)).toEqual([[1, 7]]);
    expect(chain(registry, 2, 12)).toEqual([
      [2, 12],
      [1, 5],
    ]);
  });

  test("follows a rollback of a rollback", () => {
    expect(chain(registry, 3, 28)).toEqual([
      [3, 28],
      [2, 15],
      [1, 5],
    ]);
  });

  test("follows an undo past the strand that it undid", () => {
    expect(chain(registry, 4, 100)).toEqual([
      [4, 100],
      [1, 8],
    ]);
  });

  test("follows a branch of a branch to the very first strand", () => {
    expect(chain(registry, 6, 60)).toEqual([
      [6, 60],
      [5, 40],
      [3, 25],
      [2, 15],
      [1, 5],
    ]);
  });

  test("never looks further than the moment itself", () => {
    expect(chain(registry, 2, 3)).toEqual([
      [2, 3],
      [1, 3],
    ]);
  });

  test("is what registryFaults() finds sound", () => {
    expect(registryFaults(registry.toState(), 60)).toEqual([]);
  });
});

describe("Registry.apply()", () => {
  test("keeps which strand and size counted when", () => {
    const registry = folded([
      [3, created(1, "a", 1)],
      [7, { kind: "volume-resized", volume: 1, sizeBytes: 8192, time: 2 }],
      [10, rolledBack(1, 2, 1, 5)],
    ]);
    const volume = registry.find("a")!;
    expect([2, 3, 9, 10].map((at) => strandAt(volume, lsn(at)))).toEqual([undefined, 1, 1, 2] as never);
    expect([2, 3, 6, 7, 9, 10].map((at) => sizeAt(volume, lsn(at)))).toEqual([0, 4096, 4096, 8192, 8192, 4096]);
    expect(volume.strands[1]).toMatchObject({ rolledBackTo: lsn(5) });
  });

  test("keeps deleted volumes and their strands, and lets the name be used again", () => {
    const registry = folded([
      [1, created(1, "a", 1)],
      [2, { kind: "volume-deleted", volume: 1, time: 1 }],
      [3, created(2, "a", 2)],
    ]);
    expect(registry.find("a")?.id).toBe(2);
    expect(registry.volumes().map((volume) => volume.id)).toEqual([2]);
    expect(registry.byId(1)?.deletedLsn).toBe(lsn(2));
    expect(registry.nextVolume).toBe(3);
    expect(registry.nextStrand).toBe(strandId(3));
  });

  test("adds and removes bookmarks", () => {
    const registry = folded([
      [1, created(1, "a", 1)],
      [2, { kind: "bookmarked", volume: 1, name: "x", lsn: 1, at: 7, time: 8, note: "n" }],
      [3, { kind: "bookmarked", volume: 1, name: "y", lsn: 2, at: 7, time: 8, note: "" }],
      [4, { kind: "bookmark-removed", volume: 1, name: "x", time: 9 }],
    ]);
    expect(registry.find("a")?.bookmarks.map((bookmark) => bookmark.name)).toEqual(["y"]);
  });

  test.each<[string, RegistryEvent]>([
    ["a volume out of turn", created(7, "b", 2)],
    ["a strand out of turn", created(2, "b", 9)],
    ["a resize of a volume that is not there", { kind: "volume-resized", volume: 5, sizeBytes: 1, time: 0 }],
    ["a rollback of a deleted volume", rolledBack(2, 3, 1, 1)],
    ["a rollback to a strand out of turn", rolledBack(1, 9, 1, 1)],
    ["an unknown kind", { kind: "surprise" } as never],
  ])("refuses %s as corrupt", (_, event) => {
    const registry = folded([
      [1, created(1, "a", 1)],
      [2, created(2, "gone", 2)],
      [3, { kind: "volume-deleted", volume: 2, time: 1 }],
    ]);
    expect(() => registry.apply(lsn(4), event)).toThrow(expect.objectContaining({ kind: "corrupt" }));
  });

  describe("of a thinning", () => {
    const thinned = (horizonLsn: number, ...points: number[]): RegistryEvent => ({
      kind: "thinned",
      volume: 1,
      horizonLsn,
      points: points.map((at) => ({ lsn: at, time: 0, why: "daily" })),
      time: 0,
    });
    const history: [number, RegistryEvent][] = [
      [1, created(1, "a", 1)],
      [20, { kind: "bookmarked", volume: 1, name: "x", lsn: 5, at: 7, time: 8, note: "" }],
      [21, { kind: "held", volume: 1, name: "h", lsn: 6, at: 7, time: 8, note: "" }],
      [30, thinned(10, 3)],
    ];

    test("takes a horizon that stays or moves on, and points that are kept in any way", () => {
      for (const event of [thinned(10, 3), thinned(10), thinned(25, 3, 5, 6, 10, 24)]) {
        const registry = folded(history);
        expect(registry.fits(event)).toBe(true);
        registry.apply(lsn(40), event);
        expect(registry.find("a")!.kept!.points.map((point) => point.lsn)).toEqual(
          event.kind === "thinned" ? event.points.map((point) => point.lsn) : [],
        );
      }
    });

    test("refuses as corrupt what would claim that something is there which was let go", () => {
      for (const event of [thinned(9, 3), thinned(10, 4), thinned(25, 3, 9)]) {
        const registry = folded(history);
        const before = registry.toState();
        expect(registry.fits(event)).toBe(false);
        expect(() => registry.apply(lsn(40), event)).toThrow(expect.objectContaining({ kind: "corrupt" }));
        expect(registry.toState()).toEqual(before);
      }
      const removed = folded([...history, [35, { kind: "bookmark-removed", volume: 1, name: "x", time: 9 }]]);
      expect(removed.fits(thinned(12, 5))).toBe(false);
    });
  });

  test("toState() and the constructor share nothing with the registry", () => {
    const registry = folded([[1, created(1, "a", 1)]]);
    const state = registry.toState();
    const other = new Registry(state);
    registry.apply(lsn(2), { kind: "volume-resized", volume: 1, sizeBytes: 512, time: 0 });
    expect(state.volumes[0]!.sizes).toHaveLength(1);
    expect(other.find("a")!.sizes).toHaveLength(1);
    expect(other.nextStrand).toBe(strandId(2));
  });
});

describe("decodeEvent()", () => {
  test("gives back what was encoded", () => {
    const event = created(1, "ä €", 1);
    expect(decodeEvent(encodeEvent(event))).toEqual(event);
  });

  test.each([new Uint8Array(0), new TextEncoder().encode("{"), Uint8Array.of(0x22, 0xff, 0x22)])(
    "refuses %p as corrupt",
    (bytes) => {
      expect(() => decodeEvent(bytes)).toThrow(expect.objectContaining({ kind: "corrupt" }));
    },
  );
});

describe("registryFaults()", () => {
  const sound = (): ReturnType<Registry["toState"]> =>
    folded([
      [1, created(1, "a", 1)],
      [10, rolledBack(1, 2, 1, 5)],
      [20, branched(2, "b", 3, { volume: 1, strand: 2, lsn: 12 })],
      [21, { kind: "bookmarked", volume: 1, name: "x", lsn: 4, at: 7, time: 8, note: "" }],
    ]).toState();

  test.each<[string, (state: ReturnType<Registry["toState"]>) => void]>([
    ["a parent that is no earlier strand", (state) => (state.strands[1]!.parent!.strand = strandId(2))],
    ["a parent that does not exist", (state) => (state.strands[2]!.parent!.strand = strandId(99))],
    ["a parent's part that ends after its child began", (state) => (state.strands[1]!.parent!.lsn = lsn(11))],
    ["a strand of a volume that does not exist", (state) => (state.strands[2]!.volume = 9)],
    ["a strand of another volume", (state) => (state.volumes[1]!.strands[0]!.strand = strandId(1))],
    ["strands out of order", (state) => (state.volumes[0]!.strands[1]!.fromLsn = lsn(1))],
    ["sizes that do not begin with the creation", (state) => (state.volumes[0]!.sizes[0]!.fromLsn = lsn(2))],
    ["a size of no whole sectors", (state) => (state.volumes[0]!.sizes[0]!.sizeBytes = 100)],
    ["a bookmark outside its history", (state) => (state.volumes[0]!.bookmarks[0]!.lsn = lsn(99))],
    ["two volumes of one name", (state) => (state.volumes[1]!.name = "a")],
    ["an LSN beyond the newest", (state) => (state.volumes[1]!.createdLsn = lsn(99))],
    ["a deletion before the creation", (state) => (state.volumes[1]!.deletedLsn = lsn(3))],
    ["ids that skip", (state) => (state.volumes[1]!.id = 7)],
    ["an origin that does not exist", (state) => (state.volumes[1]!.origin = { volume: 8, lsn: lsn(1) })],
  ])("finds %s", (_, spoil) => {
    const state = sound();
    expect(registryFaults(state, 30)).toEqual([]);
    spoil(state);
    expect(registryFaults(state, 30).length).toBeGreaterThan(0);
  });
});
