/** The contract of tiers/store.ts as tests: every store passes it. */
import { describe, expect, test } from "bun:test";
import { bytesSource, type ObjectInfo, type ObjectSource, type ObjectStore } from "../../src/tiers/store.ts";
import { BAD_NAMES, expectKind, expectSame, failure, kindOf, listed, noise, numbered } from "./store-expectations.ts";

const MIB = 2 ** 20;
export { expectKind, expectSame, failure, listed, noise };

/** Whose the places of the suite are. */
export const SUITE_IDENTITY = "vault-4711";

/** One place. */
export interface StorePlace {
  /** Another store on the same place, as another appliance would have it. Attached to nothing, connected to nothing. */
  open(): ObjectStore;
}

export interface StoreSuite {
  /** Makes an empty place, runs the body on it, and removes it; stores are closed by then. */
  on(body: (place: StorePlace) => Promise<void>): Promise<void>;
  /** Objects of the test with many. Default 1,200: more than a page of any list has. */
  manyCount?: number;
  /** Size of the largest object. Default 65 MiB + 4,097. */
  largeBytes?: number;
}

/** @param on - see {@link StoreSuite.on} */
export function storeSuite(name: string, { on, manyCount = 1200, largeBytes = 65 * MIB + 4097 }: StoreSuite): void {
  /** On a store that is attached and connected. */
  const connected = (body: (store: ObjectStore, place: StorePlace) => Promise<void>): Promise<void> =>
    on(async (place) => {
      await using store = held(place.open());
      await store.it.attach(SUITE_IDENTITY);
      await store.it.connect(SUITE_IDENTITY);
      await body(store.it, place);
    });

  describe(name, () => {
    test("get() gives back what put() stored", () =>
      connected(async (store) => {
        const bytes = noise(1, 3 * MIB + 17);
        await store.put("packs/00001/p.pack", bytesSource(bytes));
        await store.put("layers/1.layer", bytesSource(noise(2, 10)));
        await expectSame(store.get("packs/00001/p.pack"), bytes);
        await expectSame(store.get("layers/1.layer"), noise(2, 10));
      }));

    test("an object can be empty", () =>
      connected(async (store) => {
        await store.put("empty", bytesSource(new Uint8Array(0)));
        expect(await store.get("empty")).toHaveLength(0);
        expect(await store.get("empty", { offset: 5, length: 5 })).toHaveLength(0);
        expect(await store.stat("empty")).toEqual({ name: "empty", sizeBytes: 0 });
        expect(await listed(store, "")).toEqual([{ name: "empty", sizeBytes: 0 }]);
      }));

    test(
      "a large object goes in and out in pieces",
      () =>
        connected(async (store) => {
          let asked = 0;
          let largestRead = 0;
          const source: ObjectSource = {
            sizeBytes: largeBytes,
            read(offset, length) {
              expect(offset).toBe(asked);
              asked += length;
              largestRead = Math.max(largestRead, length);
              return Promise.resolve(numbered(offset, length));
            },
          };
          await store.put("packs/large", source);
          expect(asked).toBe(largeBytes);
          expect(largestRead).toBeLessThanOrEqual(16 * MIB);
          await expectSame(store.get("packs/large"), numbered(0, largeBytes));
          await expectSame(store.get("packs/large", { offset: 64 * MIB - 5, length: 10 }), numbered(64 * MIB - 5, 10));
        }),
      120_000,
    );

    test("get() gives ranges, short only at the end", () =>
      connected(async (store) => {
        const bytes = noise(3, 2 * MIB + 100);
        await store.put("a", bytesSource(bytes));
        for (const [offset, length] of [
          [0, 1],
          [0, 100],
          [MIB - 3, 7],
          [MIB, MIB],
          [bytes.length - 1, 1],
          [bytes.length - 4, 100],
        ] as const) {
          await expectSame(store.get("a", { offset, length }), bytes.subarray(offset, offset + length));
        }
        await expectSame(store.get("a", { offset: 2 * MIB }), bytes.subarray(2 * MIB));
        expect(await store.get("a", { offset: bytes.length, length: 1 })).toHaveLength(0);
        expect(await store.get("a", { offset: bytes.length + 10, length: 1 })).toHaveLength(0);
        expect(await store.get("a", { offset: 3, length: 0 })).toHaveLength(0);
      }));

    test("what is not there is not_found, undefined, or fine to remove", () =>
      connected(async (store) => {
        await store.put("packs/1", bytesSource(noise(4, 10)));
        for (const missing of ["none", "none/at/all", "packs", "packs/2"]) {
          await expectKind(store.get(missing), "not_found");
          await expectKind(store.get(missing, { offset: 1, length: 1 }), "not_found");
          expect(await store.stat(missing)).toBeUndefined();
          await store.remove(missing);
        }
        expect(await listed(store, "none")).toEqual([]);
        await expectSame(store.get("packs/1"), noise(4, 10));
      }));

    test("put() replaces, and remove() removes", () =>
      connected(async (store) => {
        await store.put("m/1", bytesSource(noise(5, 5000)));
        await store.put("m/1", bytesSource(noise(6, 100)));
        await expectSame(store.get("m/1"), noise(6, 100));
        await store.remove("m/1");
        expect(await store.stat("m/1")).toBeUndefined();
        await store.put("m/1", bytesSource(noise(7, 10)), { ifAbsent: true });
        await expectSame(store.get("m/1"), noise(7, 10));
      }));

    test("put() with ifAbsent never replaces", () =>
      connected(async (store, place) => {
        await store.put("m/1", bytesSource(noise(8, 10)), { ifAbsent: true });
        await expectKind(store.put("m/1", bytesSource(noise(9, 10)), { ifAbsent: true }), "conflict");
        await using other = held(place.open());
        await other.it.connect(SUITE_IDENTITY);
        await expectKind(other.it.put("m/1", bytesSource(noise(9, 10)), { ifAbsent: true }), "conflict");
        await expectSame(store.get("m/1"), noise(8, 10));
      }));

    test("of ten puts with ifAbsent at once, from two stores, one wins and the object is its", () =>
      connected(async (store, place) => {
        await using other = held(place.open());
        await other.it.connect(SUITE_IDENTITY);
        for (const round of [1, 2, 3]) {
          const puts = Array.from({ length: 10 }, (_, i) =>
            (i % 2 === 0 ? store : other.it).put(`race/${round}`, bytesSource(noise(i, 70_000)), { ifAbsent: true }),
          );
          const ends = await Promise.allSettled(puts);
          const winners = ends.flatMap(({ status }, i) => (status === "fulfilled" ? [i] : []));
          expect(winners).toHaveLength(1);
          await expectSame(store.get(`race/${round}`), noise(winners[0]!, 70_000));
          for (const end of ends) if (end.status === "rejected") expect(kindOf(end.reason)).toBe("conflict");
        }
      }));

    test("a reader sees the old object or the new one, never of both", () =>
      connected(async (store, place) => {
        const size = 2 * MIB + 5;
        const versions = [1, 2, 3, 4, 5].map((value) => new Uint8Array(size - value).fill(value));
        await store.put("v", bytesSource(versions[0]!));
        await using other = held(place.open());
        await other.it.connect(SUITE_IDENTITY);
        let isWriting = true;
        let reads = 0;
        const reader = async (): Promise<void> => {
          for (let last = 0; isWriting; reads++) {
            const bytes = await other.it.get("v");
            const value = bytes[0]!;
            if (bytes.length !== size - value || bytes.some((byte) => byte !== value))
              throw new Error(`a mixture at ${value}`);
            if (value < last) throw new Error(`${value} came after ${last}`);
            last = value;
          }
        };
        const readers = [reader(), reader()];
        try {
          for (const version of versions) await store.put("v", bytesSource(version));
        } finally {
          isWriting = false;
        }
        await Promise.all(readers);
        expect(reads).toBeGreaterThan(1);
      }));

    test("a put that is given up halfway leaves nothing, and the next one works", () =>
      connected(async (store) => {
        const aborter = new AbortController();
        const source: ObjectSource = {
          sizeBytes: 20 * MIB,
          read(offset, length) {
            if (offset >= 10 * MIB) aborter.abort();
            return Promise.resolve(numbered(offset, length));
          },
        };
        const error = await failure(store.put("packs/half", source, { signal: aborter.signal }));
        expect(kindOf(error)).toBe("unavailable");
        expect(await store.stat("packs/half")).toBeUndefined();
        expect(await listed(store, "")).toEqual([]);
        await store.put("packs/half", bytesSource(noise(10, 10)), { ifAbsent: true });
        await expectSame(store.get("packs/half"), noise(10, 10));
      }));

    test("calls whose signal was aborted before are not begun", () =>
      connected(async (store) => {
        const signal = AbortSignal.abort();
        let reads = 0;
        const source: ObjectSource = {
          sizeBytes: 10,
          read: (offset, length) => {
            reads++;
            return Promise.resolve(numbered(offset, length));
          },
        };
        await expectKind(store.put("a", source, { signal }), "unavailable");
        await store.put("a", source);
        await expectKind(store.get("a", { signal }), "unavailable");
        expect(reads).toBe(1);
        expect(await listed(store, "")).toEqual([{ name: "a", sizeBytes: 10 }]);
      }));

    test("a put whose source fails halfway fails with that, and what was there stays", () =>
      connected(async (store) => {
        await store.put("a", bytesSource(noise(11, 100)));
        const source: ObjectSource = {
          sizeBytes: 20 * MIB,
          read: (offset, length) =>
            offset < 10 * MIB ? Promise.resolve(numbered(offset, length)) : Promise.reject(new RangeError("planted")),
        };
        expect(await failure(store.put("a", source))).toHaveProperty("message", "planted");
        expect(await failure(store.put("b", source, { ifAbsent: true }))).toHaveProperty("message", "planted");
        await expectSame(store.get("a"), noise(11, 100));
        expect(await listed(store, "")).toEqual([{ name: "a", sizeBytes: 100 }]);
      }));

    test("a name that is none reaches no place", () =>
      connected(async (store) => {
        for (const bad of BAD_NAMES) {
          await expectKind(store.put(bad, bytesSource(noise(12, 1))), "invalid");
          await expectKind(store.get(bad), "invalid");
          await expectKind(store.stat(bad), "invalid");
          await expectKind(store.remove(bad), "invalid");
          if (bad !== "") await expectKind(listed(store, bad), "invalid");
        }
        for (const good of [`${"a".repeat(150)}/${"b".repeat(49)}`, "a/b/c/d/e/f/g/h", "A-Z_0.9"]) {
          await store.put(good, bytesSource(noise(13, 3)));
          await expectSame(store.get(good), noise(13, 3));
        }
      }));

    test("list() gives what is below a prefix of whole parts", () =>
      connected(async (store) => {
        const names = [
          "a",
          "pack",
          "packs/00001/1.pack",
          "packs/00001/2.pack",
          "packs/00002/1.pack",
          "packs-old/1",
          "packsx",
        ];
        for (const name of names) await store.put(name, bytesSource(noise(14, name.length)));
        const infos = (of: string[]): ObjectInfo[] => of.map((name) => ({ name, sizeBytes: name.length }));
        expect(await listed(store, "")).toEqual(infos([...names].sort()));
        expect(await listed(store, "packs")).toEqual(infos(names.slice(2, 5)));
        expect(await listed(store, "packs/00001")).toEqual(infos(names.slice(2, 4)));
        expect(await listed(store, "pack")).toEqual([]);
        expect(await listed(store, "packs/0000")).toEqual([]);
        await store.remove("packs/00001/1.pack");
        expect(await listed(store, "packs/00001")).toEqual(infos(["packs/00001/2.pack"]));
      }));

    test(
      "list() gives each of many, may be left early, and ends when it is given up",
      () =>
        connected(async (store) => {
          const names = Array.from(
            { length: manyCount },
            (_, i) => `many/${String(i % 7)}/${String(i).padStart(6, "0")}`,
          );
          await inParallel(names, (name) => store.put(name, bytesSource(noise(15, 3))));
          const found = await listed(store, "many");
          expect(found.map(({ name }) => name)).toEqual([...names].sort());
          for (let count = 0; count < 20; count++) for await (const _ of store.list("many")) break;
          const aborter = new AbortController();
          const rest = async (): Promise<void> => {
            for await (const _ of store.list("many", aborter.signal)) aborter.abort();
          };
          // Whoever has all of it in hand already may give the rest.
          await rest().catch((error: unknown) => expect(kindOf(error)).toBe("unavailable"));
          expect(await store.stat(names[0]!)).toEqual({ name: names[0]!, sizeBytes: 3 });
        }),
      120_000,
    );

    test("many calls at once all come to their end", () =>
      connected(async (store) => {
        const work = Array.from({ length: 40 }, async (_, i) => {
          const bytes = noise(i, 50_000 + i);
          await store.put(`w/${i}`, bytesSource(bytes));
          await expectSame(store.get(`w/${i}`), bytes);
          expect(await store.stat(`w/${i}`)).toEqual({ name: `w/${i}`, sizeBytes: bytes.length });
          if (i % 2 === 0) await store.remove(`w/${i}`);
        });
        await Promise.all(work);
        expect(await listed(store, "w")).toHaveLength(20);
      }));

    test("a place is nobody's until it is attached, and then one vault's", () =>
      on(async (place) => {
        await using store = held(place.open());
        expect(await store.it.identify()).toBeUndefined();
        await expectKind(store.it.connect(SUITE_IDENTITY), "invalid");
        await store.it.attach(SUITE_IDENTITY);
        expect(await store.it.identify()).toBe(SUITE_IDENTITY);
        await store.it.attach(SUITE_IDENTITY);
        await store.it.connect(SUITE_IDENTITY);
        await using other = held(place.open());
        expect(await other.it.identify()).toBe(SUITE_IDENTITY);
        await expectKind(other.it.attach("another"), "conflict");
        await expectKind(other.it.connect("another"), "invalid");
        await other.it.connect(SUITE_IDENTITY);
        expect(await listed(store.it, "")).toEqual([]);
      }));

    test("what was put before is there for who connects later", () =>
      connected(async (store, place) => {
        await store.put("packs/1", bytesSource(noise(16, 1000)));
        await using later = held(place.open());
        await later.it.connect(SUITE_IDENTITY);
        await expectSame(later.it.get("packs/1"), noise(16, 1000));
        expect(await listed(later.it, "packs")).toEqual([{ name: "packs/1", sizeBytes: 1000 }]);
      }));
  });
}

function held(store: ObjectStore): AsyncDisposable & { it: ObjectStore } {
  return { it: store, [Symbol.asyncDispose]: () => store.close() };
}

async function inParallel<Item>(items: readonly Item[], work: (item: Item) => Promise<void>): Promise<void> {
  let next = 0;
  const worker = async (): Promise<void> => {
    for (let item = items[next++]; item !== undefined; item = items[next++]) await work(item);
  };
  await Promise.all(Array.from({ length: 8 }, worker));
}
