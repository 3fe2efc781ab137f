import { expect, test } from "bun:test";
import { SternwayError } from "../../../src/base/errors.ts";
import { openApiFixture, type ApiFixture } from "../../support/api-fixture.ts";

const send = (method: string, body: unknown, headers: Record<string, string> = {}): RequestInit => ({
  method,
  headers: { "content-type": "application/json", ...headers },
  body: JSON.stringify(body),
});

async function withVolume(): Promise<ApiFixture> {
  const api = await openApiFixture();
  await api.volumes.create("web1", 2 ** 20);
  return api;
}

async function etagOf(api: ApiFixture, path: string): Promise<string> {
  const etag = (await api.ask(path)).headers.get("etag");
  expect(etag).toMatch(/^"[\w-]{22}\.[\w-]{22}"$/);
  return etag!;
}

async function write(api: ApiFixture): Promise<void> {
  const live = await api.volumes.openLive("web1");
  await live.write(0, new Uint8Array(4096).fill(1), false);
  await live.flush();
  await live.close();
}

test("GET gives a tag, and If-None-Match with it gives 304 until anything changes", async () => {
  using api = await withVolume();
  const etag = await etagOf(api, "/v1/volumes/web1");
  const ask = async (tags: string, method = "GET") =>
    await api.ask("/v1/volumes/web1", { method, headers: { "if-none-match": tags } });
  for (const tags of [etag, `W/${etag}`, `"other", ${etag}`, "*"]) {
    const same = await ask(tags);
    expect([same.status, same.headers.get("etag"), await same.text()]).toEqual([304, etag, ""]);
  }
  expect((await ask(etag, "HEAD")).status).toBe(304);
  expect((await ask('"other"')).status).toBe(200);
  await write(api);
  expect((await ask(etag)).status).toBe(200);
});

test("If-Match lets through what was not changed by anybody, though clients wrote to it", async () => {
  using api = await withVolume();
  const etag = await etagOf(api, "/v1/volumes/web1");
  await write(api);
  const grown = await api.ask("/v1/volumes/web1", send("PATCH", { sizeBytes: 2 ** 21 }, { "if-match": etag }));
  expect(grown.status).toBe(200);
  const again = await api.ask("/v1/volumes/web1", send("PATCH", { sizeBytes: 2 ** 22 }, { "if-match": etag }));
  expect(again.status).toBe(412);
  expect(again.headers.get("etag")).toBe(await etagOf(api, "/v1/volumes/web1"));
  expect(await again.json()).toMatchObject({ kind: "conflict", status: 412 });
  expect(api.volumes.get("web1").sizeBytes).toBe(2 ** 21);
});

test.each(['"x"', "W/TAG", "x", "", '"lsn-1"'])("If-Match %p does not match", async (header) => {
  using api = await withVolume();
  const etag = await etagOf(api, "/v1/volumes/web1");
  const headers = { "if-match": header.replace("TAG", etag) };
  expect((await api.ask("/v1/volumes/web1", { method: "DELETE", headers })).status).toBe(412);
  expect(api.volumes.list()).toHaveLength(1);
});

test("If-Match * and the tag in a list match", async () => {
  using api = await withVolume();
  const change = async (tags: string) =>
    (await api.ask("/v1/volumes/web1", send("PATCH", { sizeBytes: 2 ** 21 }, { "if-match": tags }))).status;
  expect(await change("*")).toBe(200);
  expect(await change(`"x", ${await etagOf(api, "/v1/volumes/web1")}`)).toBe(200);
});

test("retention, its lock, rollback, bookmarks and holds go by the resource that they change", async () => {
  using api = await withVolume();
  await write(api);
  const path = "/v1/volumes/web1";
  const retention = await etagOf(api, `${path}/retention`);
  api.volumes.advance(5e6);
  const policy = { allSeconds: 864_000 };
  const set = async (tag: string) => await api.ask(`${path}/retention`, send("PUT", policy, { "if-match": tag }));
  expect((await set(retention)).status).toBe(200);
  expect((await set(retention)).status).toBe(412);
  const lock = async (tag: string) =>
    await api.ask(`${path}/retention/lock`, send("PUT", { seconds: 60 }, { "if-match": tag }));
  expect((await lock(retention)).status).toBe(412);
  expect((await lock(await etagOf(api, `${path}/retention`))).status).toBe(200);

  const volume = await etagOf(api, path);
  const back = async () => await api.ask(`${path}/rollback`, send("POST", { to: "lsn:1" }, { "if-match": volume }));
  expect((await back()).status).toBe(200);
  expect((await back()).status).toBe(412);

  await api.ask(`${path}/bookmarks`, send("POST", { name: "a" }));
  const bookmarks = await etagOf(api, `${path}/bookmarks`);
  await api.ask(`${path}/bookmarks`, send("POST", { name: "b" }));
  const headers = { "if-match": bookmarks };
  expect((await api.ask(`${path}/bookmarks/a`, { method: "DELETE", headers })).status).toBe(412);
});

test("of two writers with the same tag one wins", async () => {
  using api = await withVolume();
  const etag = await etagOf(api, "/v1/volumes/web1");
  const sizes = [21, 22, 23, 24, 25].map((power) => 2 ** power);
  const answers = await Promise.all(
    sizes.map(
      async (sizeBytes) => await api.ask("/v1/volumes/web1", send("PATCH", { sizeBytes }, { "if-match": etag })),
    ),
  );
  expect(answers.map(({ status }) => status).sort((a, b) => a - b)).toEqual([200, 412, 412, 412, 412]);
});

test("one who asks without If-Match does not slip in between", async () => {
  using api = await withVolume();
  const etag = await etagOf(api, "/v1/volumes/web1");
  const [with_, without] = await Promise.all([
    api.ask("/v1/volumes/web1", send("PATCH", { sizeBytes: 2 ** 21 }, { "if-match": etag })),
    api.ask("/v1/volumes/web1", send("PATCH", { sizeBytes: 2 ** 22 })),
  ]);
  expect([with_.status, without.status]).toEqual([200, 200]);
  expect(api.volumes.get("web1").sizeBytes).toBe(2 ** 22);
});

test("what is not there is 404 whatever If-Match says, and who may not ask is told nothing", async () => {
  using api = await withVolume();
  const headers = { "if-match": '"x"' };
  expect((await api.ask("/v1/volumes/web2", { method: "DELETE", headers })).status).toBe(404);
  expect((await api.askAs({ role: "auditor" }, "/v1/volumes/web1", { method: "DELETE", headers })).status).toBe(403);
});

test("If-None-Match * changes nothing that is there", async () => {
  using api = await withVolume();
  const change = send("PATCH", { sizeBytes: 2 ** 21 }, { "if-none-match": "*" });
  expect((await api.ask("/v1/volumes/web1", change)).status).toBe(412);
  expect((await api.ask("/v1/volumes/web2", change)).status).toBe(404);
});

test("a condition that cannot be looked at is not fulfilled", async () => {
  using api = await withVolume();
  api.volumes.get = () => {
    throw new SternwayError("unavailable", "its vault is locked");
  };
  const headers = { "if-match": "*" };
  expect((await api.ask("/v1/volumes/web1", { method: "DELETE", headers })).status).toBe(503);
  expect(api.volumes.list()).toHaveLength(1);
});

test("more writers than may wait are turned away, and the rest has its turn", async () => {
  using api = await withVolume();
  const gate = Promise.withResolvers<void>();
  const { resize } = api.volumes;
  api.volumes.resize = async (...args) => {
    await gate.promise;
    return await resize(...args);
  };
  const asked = Array.from({ length: 33 }, () => api.ask("/v1/volumes/web1", send("PATCH", { sizeBytes: 2 ** 21 })));
  expect((await asked[32]!).status).toBe(503);
  gate.resolve();
  const statuses = (await Promise.all(asked)).map(({ status }) => status);
  expect(statuses.filter((status) => status === 200)).toHaveLength(32);
});
