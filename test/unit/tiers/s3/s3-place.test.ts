/** The S3 store and its place: attaching, connecting, what goes with objects and what it costs, and what its errors say. */
import { expect, test } from "bun:test";
import { systemClock, type Clock } from "../../../../src/base/clock.ts";
import { micros } from "../../../../src/base/units.ts";
import { S3Store } from "../../../../src/tiers/s3/s3-store.ts";
import { bytesSource } from "../../../../src/tiers/store.ts";
import { code, failed, onS3 } from "../../../support/s3-bed.ts";
import { S3Server } from "../../../support/s3-server.ts";
import { listed, noise } from "../../../support/store-expectations.ts";

const MIB = 2 ** 20;

test("attach() refuses endpoints that would not keep two writers apart, or give no ranges, and leaves nothing there", async () => {
  const flaws: [keyof S3Server, string][] = [
    ["ignoresConditions", "two writers could not be kept apart"],
    ["checksConditionsEarly", "at the same time"],
    ["ignoresRanges", "ranges"],
  ];
  for (const [flaw, words] of flaws) {
    await using server = await S3Server.start();
    Object.assign(server, { [flaw]: true });
    const { endpoint, region, bucket, key: credentials } = server;
    const store = new S3Store({ endpoint, region, bucket, prefix: "", credentials, clock: systemClock });
    const error = await failed(store.attach("vault"), "invalid");
    expect(error.message).toContain(words);
    expect(server.objects.size).toBe(0);
  }
});

test("attach() refuses a place that holds other things, and says whose bucket is missing", () =>
  onS3(async ({ server, open }) => {
    server.objects.set("other/file", { bytes: noise(1, 5), headers: {} });
    await failed(open({ prefix: "other" }).attach("vault"), "conflict");
    // What an attempt left that was cut short.
    server.objects.set("again/probe/conditions", { bytes: noise(1, 5), headers: {} });
    await open({ prefix: "again" }).attach("vault");
    server.hasBucket = false;
    await failed(open().identify(), "invalid");
    await failed(open().stat("identity"), "invalid");
    await failed(open().remove("identity"), "invalid");
  }));

test("connect() aborts uploads of ours that are a day old, and those alone", () =>
  onS3(async ({ server, open }) => {
    const day = 86_400_000;
    const upload = (key: string, age: number) => ({ key, begun: Date.now() - age, headers: {}, parts: new Map() });
    server.uploads.set("old", upload("v/packs/1", day + 60_000));
    server.uploads.set("young", upload("v/packs/2", day - 60_000));
    server.uploads.set("foreign", upload("vault/packs/3", 2 * day));
    const store = open();
    await store.connect("vault");
    expect([...server.uploads.keys()]).toEqual(["young", "foreign"]);
    expect(store.requests).toMatchObject({ get: 1, multipart: 1, delete: 1 });
    await store.connect("vault");
    expect(store.requests).toMatchObject({ get: 2, multipart: 1 });
    server.fail(code(403, "AccessDenied"), 1, ({ target }) => target.includes("uploads"));
    await open().connect("vault");
  }));

test("objects up to 64 MiB cost one request each", () =>
  onS3(async ({ store }) => {
    const before = { ...store.requests };
    await store.put("a", bytesSource(noise(1, 64 * MIB)));
    await store.put("b", bytesSource(noise(1, 64 * MIB)), { ifAbsent: true });
    await store.get("a");
    await store.get("a", { offset: 1, length: 10 });
    await store.stat("a");
    await store.remove("a");
    const spent = Object.entries(store.requests).map(([kind, count]) => [kind, count - before[kind as "get"]]);
    expect(Object.fromEntries(spent)).toEqual({ get: 2, head: 1, put: 2, delete: 1, list: 0, multipart: 0 });
  }));

test("storage class and lock go with every object, but not with probes", () =>
  onS3(
    async ({ server, store }) => {
      const bytes = noise(1, 65 * MIB);
      await store.put("small", bytesSource(bytes.subarray(0, 10)));
      await store.put("large", bytesSource(bytes));
      for (const name of ["v/small", "v/large"]) {
        const headers = server.objects.get(name)?.headers ?? {};
        expect(headers).toMatchObject({ "x-amz-storage-class": "GLACIER_IR", "x-amz-object-lock-mode": "COMPLIANCE" });
        const until = Date.parse(headers["x-amz-object-lock-retain-until-date"] ?? "");
        expect(Math.abs(until - Date.now() - 30 * 86_400_000)).toBeLessThan(600_000);
      }
      expect(server.objects.get("v/identity")?.headers).toMatchObject({ "x-amz-object-lock-mode": "COMPLIANCE" });
      const probes = server.requests.filter(({ target }) => target.includes("/probe/"));
      expect(probes.length).toBeGreaterThan(3);
      expect(probes.filter(({ headers }) => headers.has("x-amz-object-lock-mode"))).toEqual([]);
    },
    { storageClass: "GLACIER_IR", objectLockDays: 30, objectLockMode: "COMPLIANCE" },
  ));

test("attach() refuses a bucket that does not lock what is to be locked", async () => {
  await using server = await S3Server.start();
  const { endpoint, region, bucket, key: credentials } = server;
  const options = { endpoint, region, bucket, prefix: "v", credentials, clock: systemClock, objectLockDays: 1 };
  server.locksObjects = false;
  await failed(new S3Store(options).attach("vault"), "invalid");
  server.forgetsLocks = server.locksObjects = true;
  const error = await failed(new S3Store(options).attach("vault"), "invalid");
  expect(error.message).toContain("does not lock");
  expect(server.objects.size).toBe(0);
});

test("errors name what to change: the region, the clock, the endpoint", () =>
  onS3(async ({ server, open }) => {
    const region = await failed(open({ region: "us-east-1" }).identify(), "invalid");
    expect(region.message).toContain("use region=eu-test-1");
    const late: Clock = { ...systemClock, wall: () => micros(systemClock.wall() + 7_200_000_000) };
    expect((await failed(open({ clock: late }).identify(), "denied")).message).toContain("120 min ahead");
    server.fail({ status: 301, code: "PermanentRedirect", headers: { "x-amz-bucket-region": "eu-west-7" } });
    expect((await failed(open().identify(), "invalid")).message).toContain("use region=eu-west-7");
    server.fail({ status: 302, headers: { location: `${server.endpoint}/elsewhere?X-Amz-Signature=abc` } });
    const before = server.requests.length;
    const moved = await failed(open().identify(), "invalid");
    expect(moved.message).toContain(`${server.endpoint}/elsewhere, which is not followed`);
    expect(moved.message).not.toContain("Signature");
    expect(server.requests.length - before).toBe(1);
  }));

test("nothing of the credentials is in a URL or an error, whatever the endpoint says", () =>
  onS3(async ({ server, open }) => {
    const credentials = { ...server.key, sessionToken: "token-of-the-session" };
    const store = open({ credentials });
    const { accessKeyId, secretAccessKey, sessionToken } = credentials;
    const said = `<Error><Code>AccessDenied</Code><Message>${accessKeyId} ${secretAccessKey} ${sessionToken}</Message></Error>`;
    server.fail({ status: 403, body: said });
    const error = await failed(store.get("a"), "denied");
    const texts = [store.url, error.message, JSON.stringify(error.facts), JSON.stringify(Bun.inspect(error))].join();
    for (const secret of [accessKeyId, secretAccessKey, sessionToken]) expect(texts).not.toContain(secret);
    expect(server.requests.at(-1)?.headers.get("x-amz-security-token")).toBe(sessionToken);
    expect(server.requests.at(-1)?.target).toBe("/vaults/v/a");
  }));

test("temporary credentials are signed and taken", () =>
  onS3(async ({ server, open }) => {
    server.key.sessionToken = "token-of-the-session";
    expect(await open({ credentials: { ...server.key } }).identify()).toBe("vault");
    const { accessKeyId, secretAccessKey } = server.key;
    await failed(open({ credentials: { accessKeyId, secretAccessKey } }).identify(), "denied");
  }));

test("close() ends what is under way and all that comes after", () =>
  onS3(async ({ server, open }) => {
    const store = open({ idleLimitMs: 60_000 });
    server.fail("hang", 3);
    const calls = [store.get("a"), store.put("b", bytesSource(noise(1, 10))), listed(store, "")];
    const ends = calls.map((call) => failed(call, "unavailable"));
    await store.close();
    await Promise.all(ends);
    await failed(store.get("a"), "unavailable");
  }));
