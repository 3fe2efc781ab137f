import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { openApiFixture, type ApiFixture } from "../../support/api-fixture.ts";

const SIZE = 3 * 2 ** 20 + 512;
let fixture: ApiFixture;
let expected: Uint8Array;
let etag: string;
const path = "/v1/volumes/web1/image";

beforeAll(async () => {
  fixture = await openApiFixture();
  await fixture.volumes.create("web1", SIZE);
  const live = await fixture.volumes.openLive("web1");
  expected = new Uint8Array(SIZE);
  for (const [offset, length] of [
    [512, 4096],
    [2 ** 20 - 512, 1024],
    [2 ** 21, 2 ** 20],
    [SIZE - 512, 512],
  ] as const) {
    const data = new Uint8Array(length).map((_, i) => (i * 7 + offset / 512 + 1) % 251);
    await live.write(offset, data, false);
    expected.set(data, offset);
  }
  await live.trim(2 ** 21 + 4096, 4096, false);
  expected.fill(0, 2 ** 21 + 4096, 2 ** 21 + 8192);
  etag = `"lsn-${await live.flush()}"`;
  await live.close();
});
afterAll(() => {
  expect(fixture.volumes.openCount()).toBe(0);
  fixture[Symbol.dispose]();
});

describe("GET image", () => {
  test("gives the whole with its size, LSN and ETag", async () => {
    const response = await fixture.ask(path);
    expect(response.status).toBe(200);
    expect(response.headers.get("content-length")).toBe(String(SIZE));
    expect(response.headers.get("accept-ranges")).toBe("bytes");
    expect(response.headers.get("etag")).toBe(etag);
    expect(response.headers.get("sternway-lsn")).toBe(etag.slice(5, -1));
    expect(Bun.hash(await response.bytes())).toBe(Bun.hash(expected));
  });

  const ranges: [header: string, start: number, end: number][] = [
    ["bytes=0-0", 0, 1],
    ["bytes=1-1", 1, 2],
    ["bytes=511-512", 511, 513],
    ["bytes=512-4607", 512, 4608],
    ["bytes=513-5000", 513, 5001],
    [`bytes=${2 ** 20 - 700}-${2 ** 20 + 700}`, 2 ** 20 - 700, 2 ** 20 + 701],
    [`bytes=${2 ** 21 + 4000}-${2 ** 21 + 9000}`, 2 ** 21 + 4000, 2 ** 21 + 9001],
    ["bytes=-1", SIZE - 1, SIZE],
    ["bytes=-513", SIZE - 513, SIZE],
    ["bytes=100-", 100, SIZE],
    [`bytes=${SIZE - 1}-${SIZE + 100}`, SIZE - 1, SIZE],
    ["bytes=-99999999999", 0, SIZE],
  ];
  for (const [header, start, end] of ranges) {
    test(`answers ${header} with exactly those bytes`, async () => {
      const response = await fixture.ask(path, { headers: { range: header } });
      expect(response.status).toBe(206);
      expect(response.headers.get("content-range")).toBe(`bytes ${start}-${end - 1}/${SIZE}`);
      expect(response.headers.get("content-length")).toBe(String(end - start));
      expect(Buffer.compare(await response.bytes(), expected.subarray(start, end))).toBe(0);
    });
  }

  test("answers a range past the end with 416 and the size", async () => {
    for (const header of [`bytes=${SIZE}-`, "bytes=-0"]) {
      const response = await fixture.ask(path, { headers: { range: header } });
      expect(response.status).toBe(416);
      expect(response.headers.get("content-range")).toBe(`bytes */${SIZE}`);
      expect(response.headers.get("content-type")).toBe("application/problem+json");
      expect(await response.json()).toMatchObject({ kind: "invalid", facts: { sizeBytes: SIZE } });
    }
  });

  test("answers the edges of the smallest volume", async () => {
    await fixture.volumes.create("small", 512);
    const ask = async (range: string): Promise<[number, string | null, number]> => {
      const response = await fixture.ask("/v1/volumes/small/image", { headers: { range } });
      const { length } = await response.bytes();
      return [response.status, response.headers.get("content-range"), response.status === 416 ? 0 : length];
    };
    expect(await ask("bytes=511-")).toEqual([206, "bytes 511-511/512", 1]);
    expect(await ask("bytes=0-511")).toEqual([206, "bytes 0-511/512", 512]);
    expect(await ask("bytes=0-512")).toEqual([206, "bytes 0-511/512", 512]);
    expect(await ask("bytes=512-")).toEqual([416, "bytes */512", 0]);
    expect(await ask("bytes=512-511")).toEqual([200, null, 512]);
    expect(await ask("bytes=-513")).toEqual([206, "bytes 0-511/512", 512]);
    await fixture.volumes.delete("small", { force: true });
  });

  test("answers several ranges with the whole", async () => {
    const response = await fixture.ask(path, { headers: { range: "bytes=0-1,5-6" } });
    expect(response.status).toBe(200);
    await response.body?.cancel();
  });

  test("heeds If-Range, If-None-Match and If-Match", async () => {
    const ask = async (headers: Record<string, string>): Promise<number> => {
      const response = await fixture.ask(path, { headers: { range: "bytes=0-9", ...headers } });
      await response.body?.cancel();
      return response.status;
    };
    expect(await ask({ "if-range": etag })).toBe(206);
    expect(await ask({ "if-range": '"lsn-1"' })).toBe(200);
    expect(await ask({ "if-range": "Fri, 20 Nov 2026 12:00:00 GMT" })).toBe(200);
    expect(await ask({ "if-none-match": `"x", W/${etag}` })).toBe(304);
    expect(await ask({ "if-none-match": '"lsn-1"' })).toBe(206);
    expect(await ask({ "if-range": `W/${etag}` })).toBe(200);
    expect(await ask({ "if-range": `${etag}, "x"` })).toBe(200);
    expect(await ask({ "if-none-match": "*" })).toBe(304);
    expect(await ask({ "if-match": '"lsn-1"' })).toBe(412);
    expect(await ask({ "if-match": `W/${etag}` })).toBe(412);
    expect(await ask({ "if-match": `"x", ${etag}` })).toBe(206);
    expect(await ask({ "if-match": "*" })).toBe(206);
    // If-Match is looked at first (13.2.2).
    expect(await ask({ "if-match": '"lsn-1"', "if-none-match": etag })).toBe(412);
    // A range past the end counts only where the range does.
    expect(await ask({ range: `bytes=${SIZE}-`, "if-range": '"lsn-1"' })).toBe(200);
    expect(await ask({ range: `bytes=${SIZE}-`, "if-none-match": etag })).toBe(304);
    expect(await ask({ range: `bytes=${SIZE}-`, "if-range": etag })).toBe(416);
    expect(await ask({ "if-match": etag })).toBe(206);
  });

  test("shows a past moment and keeps showing it", async () => {
    const first = await fixture.ask(`${path}?at=lsn:1`);
    expect((await first.bytes()).every((byte) => byte === 0)).toBe(true);
    expect(first.headers.get("etag")).toBe('"lsn-1"');
  });

  test("breaks off when a read meets damage, and frees the device", async () => {
    using broken = await openApiFixture();
    await broken.volumes.create("v", 8 * 2 ** 20);
    const live = await broken.volumes.openLive("v");
    await live.write(0, new Uint8Array(6 * 2 ** 20).fill(1), false);
    await live.close();
    broken.volumes.damageAt(5 * 2 ** 20);
    const response = await broken.ask("/v1/volumes/v/image");
    expect(response.status).toBe(200);
    await expect(response.bytes()).rejects.toThrow("damage at");
    await response.body?.cancel().catch(() => undefined);
    expect(broken.volumes.openCount()).toBe(0);
  });

  test("stops reading and frees the device when the client goes away", async () => {
    const response = await fixture.ask(path);
    const reader = response.body!.getReader();
    await reader.read();
    await reader.cancel();
    expect(fixture.volumes.openCount()).toBe(0);
  });

  test("refuses the 65th stream at a time, and takes it when one ended", async () => {
    const open = await Promise.all(Array.from({ length: 64 }, () => fixture.ask(path)));
    const refused = await fixture.ask(path);
    expect(refused.status).toBe(503);
    expect(await refused.json()).toMatchObject({ kind: "unavailable" });
    await open[0]!.body!.cancel();
    const taken = await fixture.ask(path);
    expect(taken.status).toBe(200);
    await Promise.all([taken, ...open.slice(1)].map((each) => each.body!.cancel()));
  });
});

describe("HEAD image", () => {
  test("tells the size and ignores Range", async () => {
    const response = await fixture.ask(path, { method: "HEAD", headers: { range: "bytes=0-9" } });
    expect(response.status).toBe(200);
    expect(response.headers.get("content-length")).toBe(String(SIZE));
    expect(response.headers.get("etag")).toBe(etag);
    expect(await response.text()).toBe("");
  });
});

describe("GET extents", () => {
  test("covers the device without gaps and sums up the data", async () => {
    const response = await fixture.ask("/v1/volumes/web1/extents");
    const lines = (await response.text())
      .trimEnd()
      .split("\n")
      .map((line) => JSON.parse(line));
    const end = lines.pop();
    let at = 0;
    let data = 0;
    for (const line of lines) {
      expect(line).toMatchObject({ line: "extent", offset: at });
      if (line.kind === "data") data += line.length;
      at += line.length;
    }
    expect(at).toBe(SIZE);
    expect(end).toMatchObject({ line: "end", sizeBytes: SIZE, dataBytes: data });
    expect(data).toBe(4096 + 1024 + 2 ** 20 - 4096 + 512);
  });

  test("refuses offsets off the sector grid or past the end", async () => {
    for (const query of ["offset=1", "length=100", `offset=${SIZE}`, `offset=${SIZE + 512}`]) {
      expect((await fixture.ask(`/v1/volumes/web1/extents?${query}`)).status).toBe(400);
    }
  });
});
