/** The S3 store when the endpoint misbehaves: a typed error within the time limit, and nothing half visible. */
import { expect, test } from "bun:test";
import { systemClock } from "../../../../src/base/clock.ts";
import type { ErrorKind } from "../../../../src/base/errors.ts";
import { bytesSource, type ObjectSource } from "../../../../src/tiers/store.ts";
import { code, failed, IDLE_MS, onS3 } from "../../../support/s3-bed.ts";
import type { S3Fault } from "../../../support/s3-server.ts";
import { expectSame, listed, noise } from "../../../support/store-expectations.ts";

const MIB = 2 ** 20;

const REFUSALS: readonly [S3Fault, ErrorKind][] = [
  [code(500, "InternalError"), "unavailable"],
  [code(503, "SlowDown"), "unavailable"],
  [code(507), "unavailable"],
  [code(429), "unavailable"],
  [code(408), "unavailable"],
  [code(400, "RequestTimeout"), "unavailable"],
  [code(409, "ConditionalRequestConflict"), "unavailable"],
  [code(403, "QuotaExceeded"), "unavailable"],
  [code(403, "AccessDenied"), "denied"],
  [code(403), "denied"],
  [code(401), "denied"],
  [code(400, "ExpiredToken"), "denied"],
  [code(404, "NoSuchBucket"), "invalid"],
  [{ status: 404, body: "<html>not here</html>" }, "invalid"],
  [code(501, "NotImplemented"), "invalid"],
  [code(400, "EntityTooLarge"), "invalid"],
  [code(301, "PermanentRedirect"), "invalid"],
  [code(307, "TemporaryRedirect"), "unavailable"],
];

for (const [fault, kind] of REFUSALS) {
  test(`every call says ${kind} to ${JSON.stringify(fault)}, and a put leaves nothing`, () =>
    onS3(async ({ server, store }) => {
      await store.put("old", bytesSource(noise(1, 1000)));
      const calls = [
        () => store.put("new", bytesSource(noise(2, 1000))),
        () => store.put("old", bytesSource(noise(2, 1000))),
        () => store.put("new", bytesSource(noise(2, 1000)), { ifAbsent: true }),
        () => store.get("old"),
        () => store.get("old", { offset: 5, length: 5 }),
        () => store.remove("old"),
        () => listed(store, ""),
        () => store.connect("vault"),
      ];
      for (const call of calls) {
        // A header that is refused is left out and tried once more.
        server.fail(fault, 2);
        await failed(call(), kind);
        server.pardon();
      }
      expect(await listed(store, "")).toEqual([{ name: "old", sizeBytes: 1000 }]);
      await expectSame(store.get("old"), noise(1, 1000));
    }));
}

for (const fault of ["reset-first", "reset-in-request", "hang-first", "hang"] as const) {
  test(`a put that meets ${fault} is unavailable in time and leaves what was there`, () =>
    onS3(async ({ server, store, open }) => {
      const hasty = open({ idleLimitMs: IDLE_MS });
      await store.put("old", bytesSource(noise(1, 1000)));
      for (const size of [0, 1000, 9 * MIB]) {
        for (const [name, options] of [
          ["old", {}],
          ["new", { ifAbsent: true }],
        ] as const) {
          server.fail(fault);
          await failed(hasty.put(name, bytesSource(noise(2, size)), options), "unavailable");
          server.pardon();
        }
      }
      expect(await listed(store, "")).toEqual([{ name: "old", sizeBytes: 1000 }]);
      await expectSame(store.get("old"), noise(1, 1000));
    }));
}

for (const fault of [
  "reset-first",
  "reset-in-answer",
  "short-answer",
  "hang-first",
  "hang",
  "hang-in-answer",
  "lost-answer",
] as const) {
  test(`reads that meet ${fault} are unavailable in time`, () =>
    onS3(async ({ server, store, open }) => {
      const hasty = open({ idleLimitMs: IDLE_MS });
      await store.put("a", bytesSource(noise(1, MIB)));
      const calls = [
        () => hasty.get("a"),
        () => hasty.get("a", { offset: 100, length: 100_000 }),
        () => listed(hasty, ""),
        () => hasty.connect("vault"),
      ];
      for (const call of calls) {
        // Bun asks again where a kept connection breaks before an answer.
        server.fail(fault, 10);
        await failed(call(), "unavailable");
        server.pardon();
      }
      await expectSame(store.get("a"), noise(1, MIB));
    }));
}

test("a put whose answer is lost is sent once, says unavailable, and is there", () =>
  onS3(async ({ server, store }) => {
    for (const size of [0, 100, 9 * MIB]) {
      // On a connection that was used before: there, Bun would send what it holds whole once more.
      await store.stat("identity");
      const before = server.requests.length;
      server.fail("lost-answer");
      await failed(store.put(`m/${size}`, bytesSource(noise(1, size)), { ifAbsent: true }), "unavailable");
      expect(server.requests.length - before).toBe(1);
      await failed(store.put(`m/${size}`, bytesSource(noise(2, size)), { ifAbsent: true }), "conflict");
      await expectSame(store.get(`m/${size}`), noise(1, size));
    }
  }));

test("an answer that comes slowly is waited for", () =>
  onS3(async ({ server, store }) => {
    await store.put("a", bytesSource(noise(1, 100_000)));
    server.fail("slow");
    await expectSame(store.get("a"), noise(1, 100_000));
  }));

test("a source that takes its time is not the endpoint's fault", () =>
  onS3(async ({ open }) => {
    const store = open({ idleLimitMs: 2 * IDLE_MS });
    const bytes = noise(1, 9 * MIB);
    const source: ObjectSource = {
      sizeBytes: bytes.length,
      read: async (offset, length) => {
        if (offset === 4 * MIB) await systemClock.sleep(2.5 * IDLE_MS);
        return bytes.subarray(offset, offset + length);
      },
    };
    await store.put("slow", source);
    await expectSame(store.get("slow"), bytes);
  }));

test("a put does not end while its source is still being read", () =>
  onS3(async ({ server, store }) => {
    let reading = 0;
    const source: ObjectSource = {
      sizeBytes: 20 * MIB,
      read: async (_, length) => {
        reading++;
        await systemClock.sleep(5);
        reading--;
        return new Uint8Array(length);
      },
    };
    server.fail("reset-in-request");
    await failed(store.put("a", source), "unavailable");
    expect(reading).toBe(0);
  }));

test("bytes damaged on their way are never taken: up as unavailable, down as corrupt", () =>
  onS3(async ({ server, store, open }) => {
    await store.put("a", bytesSource(noise(1, 1000)));
    server.damagesUploads = true;
    await failed(store.put("b", bytesSource(noise(2, 1000))), "unavailable");
    await failed(store.put("c", bytesSource(noise(2, 70 * MIB))), "unavailable");
    server.refusesChecksumHeader = true;
    await failed(open().put("b", bytesSource(noise(2, 1000))), "unavailable");
    server.damagesUploads = false;
    expect(await listed(store, "")).toEqual([{ name: "a", sizeBytes: 1000 }]);
    expect(server.uploads.size).toBe(0);
    server.damagesAnswers = true;
    await failed(store.get("a"), "corrupt");
  }));

test("an endpoint that takes no notice of a CRC-32 is given an MD5 from the second put on", () =>
  onS3(async ({ server, open }) => {
    server.ignoresChecksumHeader = true;
    const store = open();
    await store.put("a", bytesSource(noise(1, 10)));
    server.damagesUploads = true;
    await failed(store.put("b", bytesSource(noise(2, 10))), "unavailable");
  }));

test("a packed answer is not unpacked behind the reader's back", () =>
  onS3(async ({ server, store }) => {
    await store.put("a", bytesSource(noise(1, 1000)));
    server.packsAnswers = true;
    const error = await failed(store.get("a"), "unavailable");
    expect(error.message).toContain("gzip");
  }));

test("a range that is answered with the whole object is cut out of it", () =>
  onS3(async ({ server, store }) => {
    const bytes = noise(1, 3 * MIB);
    await store.put("a", bytesSource(bytes));
    server.ignoresRanges = true;
    for (const [offset, length] of [
      [0, 10],
      [MIB + 1, MIB],
      [3 * MIB - 5, 100],
      [3 * MIB, 1],
      [4 * MIB, 1],
    ] as const) {
      await expectSame(store.get("a", { offset, length }), bytes.subarray(offset, offset + length));
    }
    await expectSame(store.get("a", { offset: MIB }), bytes.subarray(MIB));
  }));

test("a put in parts that fails at any step leaves neither object nor upload", () =>
  onS3(async ({ server, open }) => {
    const store = open({ idleLimitMs: 4 * IDLE_MS });
    await store.put("old", bytesSource(noise(1, 1000)));
    const bytes = noise(2, 65 * MIB);
    const steps: [string, S3Fault, ErrorKind][] = [
      ["uploads", code(500, "InternalError"), "unavailable"],
      ["partNumber=1", "reset-in-request", "unavailable"],
      ["partNumber=5", code(403, "AccessDenied"), "denied"],
      ["partNumber=3", "hang", "unavailable"],
      ["uploadId", { status: 200, body: "<Error><Code>InternalError</Code></Error>" }, "unavailable"],
      ["uploadId", { status: 200, body: "<Error><Code>PreconditionFailed</Code></Error>" }, "conflict"],
      ["uploadId", "hang", "unavailable"],
    ];
    for (const [part, fault, kind] of steps) {
      server.fail(
        fault,
        1,
        ({ method, target }) =>
          method !== "DELETE" && target.includes(part) && (method === "POST" || part !== "uploadId"),
      );
      await failed(store.put("old", bytesSource(bytes)), kind);
      server.pardon();
      expect(server.uploads.size).toBe(0);
      expect(server.objects.get("v/old")?.bytes).toHaveLength(1000);
    }
  }));

test("an object above 64 MiB is created only if absent, whether or not completing keeps conditions", () =>
  onS3(async ({ server, open }) => {
    for (const ignores of [false, true]) {
      server.ignoresCompletionConditions = ignores;
      const store = open();
      const [first, second] = [noise(1, 65 * MIB), noise(2, 65 * MIB)];
      const name = `m/${ignores}`;
      await store.put(name, bytesSource(first), { ifAbsent: true });
      const parts = server.requests.filter(({ target }) => target.includes(`${name}?`));
      expect(parts.length > 0).toBe(!ignores);
      await failed(store.put(name, bytesSource(second), { ifAbsent: true }), "conflict");
      await expectSame(store.get(name), first);
      expect(server.uploads.size).toBe(0);
    }
    expect([...server.objects.keys()].sort()).toEqual(["v/identity", "v/m/false", "v/m/true"]);
  }));

test("an answer with another range than was asked for is not taken", () =>
  onS3(async ({ server, store }) => {
    const wrong = [
      "bytes 0-9/100",
      "bytes 20-29/100",
      "bytes 10-20/100",
      "bytes 10-15/100",
      "bytes 10-19",
      "nonsense",
      "",
    ];
    for (const range of wrong) {
      const size = Number(/-(\d+)/.exec(range)?.[1] ?? 9) - Number(/(\d+)-/.exec(range)?.[1] ?? 0) + 1;
      server.fail({ status: 206, headers: { "content-range": range }, body: "x".repeat(size) });
      await failed(store.get("a", { offset: 10, length: 10 }), "unavailable");
    }
    server.fail({ status: 206, headers: { "content-range": "bytes 10-14/15" }, body: "xxxxx" });
    expect(await store.get("a", { offset: 10, length: 10 })).toHaveLength(5);
    server.fail({ status: 206, headers: { "content-range": "bytes 10-19/100" }, body: "x" });
    await failed(store.get("a", { offset: 10, length: 10 }), "unavailable");
  }));

test("a list that does not go on where it stopped is unavailable, and foreign keys are passed over", () =>
  onS3(async ({ server, store }) => {
    for (const key of ["v/.hidden", "v/a b", "v/a//b", "v/<&>"])
      server.objects.set(key, { bytes: noise(1, 1), headers: {} });
    await store.put("a", bytesSource(noise(1, 1)));
    server.pageSize = 1;
    expect(await listed(store, "")).toEqual([{ name: "a", sizeBytes: 1 }]);
    for (const tail of ["", "<NextContinuationToken>x</NextContinuationToken>"]) {
      server.fail(
        { status: 200, body: `<ListBucketResult><IsTruncated>true</IsTruncated>${tail}</ListBucketResult>` },
        2,
      );
      await failed(listed(store, ""), "unavailable");
      server.pardon();
    }
    server.fail({ status: 200, body: "<html>welcome</html>" });
    await failed(listed(store, ""), "invalid");
  }));
