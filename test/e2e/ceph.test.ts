/** The S3 store on a real service: Ceph's RADOS Gateway, stopped and started in between. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { systemClock } from "../../src/base/clock.ts";
import { isSternwayError } from "../../src/base/errors.ts";
import type { S3StoreOptions } from "../../src/tiers/s3/s3-options.ts";
import { S3Store } from "../../src/tiers/s3/s3-store.ts";
import { bytesSource } from "../../src/tiers/store.ts";
import { CEPH_TOOLS, startCeph, type Ceph } from "../support/ceph.ts";
import { describeWith } from "../support/require-tool.ts";
import { expectKind, expectSame, failure, listed, noise } from "../support/store-expectations.ts";
import { storeSuite } from "../support/store-suite.ts";

const START_MS_MAX = 240_000;
const BUCKET = "sternway-tests";

describeWith(CEPH_TOOLS, "Ceph's RADOS Gateway", () => {
  let ceph: Ceph;
  const stack = new AsyncDisposableStack();
  let places = 0;
  beforeAll(async () => {
    ceph = stack.use(await startCeph());
    await ceph.makeBucket(BUCKET);
  }, START_MS_MAX);
  afterAll(() => stack.disposeAsync(), START_MS_MAX);

  /** A prefix of its own each time: an empty place without the wait for a bucket. */
  const placeOptions = (more: Partial<S3StoreOptions> = {}): S3StoreOptions => {
    const { endpoint, region, credentials } = ceph;
    return { endpoint, region, bucket: BUCKET, prefix: `place-${places++}`, credentials, clock: systemClock, ...more };
  };

  storeSuite("S3Store on it", {
    on: (body) => {
      const options = placeOptions();
      return body({ open: () => new S3Store(options) });
    },
  });

  test("a bucket with versions is refused: release 16 ignores conditions there", async () => {
    await ceph.makeBucket("with-lock", { lock: true });
    const store = new S3Store(placeOptions({ bucket: "with-lock", objectLockDays: 1 }));
    await expectKind(store.attach("vault"), "invalid");
    await store.close();
  });

  test(
    "while the gateway is away every call says unavailable, and afterwards all is as it was",
    async () => {
      const store = new S3Store(placeOptions({ idleLimitMs: 5000 }));
      await store.attach("vault");
      await store.put("packs/1", bytesSource(noise(1, 2 ** 20)));
      await ceph.stopGateway();
      const calls = [
        store.connect("vault"),
        store.get("packs/1"),
        store.stat("packs/1"),
        store.put("packs/2", bytesSource(noise(2, 100))),
        store.put("packs/3", bytesSource(new Uint8Array(65 * 2 ** 20))),
        store.remove("packs/1"),
        listed(store, ""),
      ];
      await Promise.all(calls.map((call) => expectKind(call, "unavailable")));
      await ceph.startGateway();
      await store.connect("vault");
      await expectSame(store.get("packs/1"), noise(1, 2 ** 20));
      expect(await listed(store, "")).toEqual([{ name: "packs/1", sizeBytes: 2 ** 20 }]);
      await store.put("packs/2", bytesSource(noise(2, 100)), { ifAbsent: true });
      await store.close();
    },
    START_MS_MAX,
  );

  test(
    "a gateway killed in the middle of a put leaves the old object or the new one, whole",
    async () => {
      const store = new S3Store(placeOptions({ idleLimitMs: 5000 }));
      await store.attach("vault");
      const [old, young] = [noise(3, 30 * 2 ** 20), noise(4, 40 * 2 ** 20)];
      await store.put("packs/1", bytesSource(old));
      let stopped: Promise<void> | undefined;
      let reads = 0;
      const source = {
        sizeBytes: young.length,
        read: async (offset: number, length: number) => {
          // The first pass is for the checksum.
          if (offset === 0) reads++;
          if (reads === 2 && offset >= young.length / 2) await (stopped ??= ceph.stopGateway());
          return young.subarray(offset, offset + length);
        },
      };
      const error = await failure(store.put("packs/1", source));
      expect(isSternwayError(error, "unavailable")).toBeTrue();
      await ceph.startGateway();
      await expectSame(store.get("packs/1"), old);
      await store.put("packs/1", bytesSource(young));
      await expectSame(store.get("packs/1"), young);
      await store.close();
    },
    START_MS_MAX,
  );

  test("wrong keys, wrong buckets and wrong clocks are told apart", async () => {
    const hourBehind = { ...systemClock, wall: () => systemClock.wall() - 3_600_000_000 } as typeof systemClock;
    const cases: [Partial<S3StoreOptions>, string][] = [
      [{ credentials: { ...ceph.credentials, secretAccessKey: "another" } }, "denied"],
      [{ credentials: { ...ceph.credentials, accessKeyId: "another" } }, "denied"],
      [{ bucket: "no-such-bucket" }, "invalid"],
      [{ clock: hourBehind }, "denied"],
    ];
    for (const [change, kind] of cases) {
      const error = await failure(new S3Store(placeOptions(change)).identify());
      if (!isSternwayError(error)) throw error;
      expect(error.kind).toBe(kind as typeof error.kind);
      if (change.clock) expect(error.message).toContain("clock is 60 min behind");
    }
  });
});
