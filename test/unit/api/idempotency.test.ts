import { expect, test } from "bun:test";
import { z } from "@hono/zod-openapi";
import { TELLS_SECRETS } from "../../../src/api/idempotency.ts";
import { routes } from "../../../src/contract/contract.ts";
import { openApiFixture, type ApiFixture } from "../../support/api-fixture.ts";

const post = (body: unknown, key: string): RequestInit => ({
  method: "POST",
  headers: { "content-type": "application/json", "idempotency-key": key },
  body: JSON.stringify(body),
});
const volume = { name: "web1", sizeBytes: 2 ** 20 };

async function told(response: Response) {
  const text = await response.text();
  return { status: response.status, body: text === "" ? null : (JSON.parse(text) as Record<string, unknown>) };
}

test("the same key, principal, path and body gives the first answer again, and nothing is done twice", async () => {
  using api = await openApiFixture();
  const first = await api.ask("/v1/volumes", post(volume, "k1"));
  expect(first.status).toBe(201);
  const again = await api.ask("/v1/volumes", post(volume, "k1"));
  expect(again.headers.get("idempotency-replayed")).toBe("true");
  expect(again.headers.get("location")).toBe("/v1/volumes/web1");
  expect(await told(again)).toEqual(await told(first));
  expect(api.volumes.list()).toHaveLength(1);
  expect((await api.ask("/v1/volumes", post(volume, "k2"))).status).toBe(409);
  const [started, restarted] = [await api.ask("/v1/gc", post({}, "k1")), await api.ask("/v1/gc", post({}, "k1"))];
  expect((await told(restarted)).body).toMatchObject({ id: (await told(started)).body!["id"] });
  expect(api.context.catalog.jobs({ limit: 9 })).toHaveLength(1);
});

test("another body with the same key is 422, another principal's key is another one", async () => {
  using api = await openApiFixture();
  await api.ask("/v1/volumes", post(volume, "k"));
  const other = await api.ask("/v1/volumes", post({ ...volume, sizeBytes: 2 ** 21 }, "k"));
  expect(await told(other)).toMatchObject({ status: 422, body: { kind: "invalid" } });
  const somebody = await api.askAs({ role: "administrator", name: "anna" }, "/v1/volumes", post(volume, "k"));
  expect(somebody.status).toBe(409);
  expect(somebody.headers.get("idempotency-replayed")).toBeNull();
});

test("a key whose first request still runs is 409", async () => {
  const gate = Promise.withResolvers<void>();
  using api = await openApiFixture({ vault: async () => await Promise.reject(new Error("not asked for")) });
  const { create } = api.volumes;
  api.volumes.create = async (...args) => {
    await gate.promise;
    return await create(...args);
  };
  const first = api.ask("/v1/volumes", post(volume, "k"));
  await new Promise((resolve) => setImmediate(resolve));
  const second = await api.ask("/v1/volumes", post(volume, "k"));
  expect(second.headers.get("retry-after")).toBe("1");
  expect(await told(second)).toMatchObject({ status: 409, body: { detail: expect.stringContaining("still runs") } });
  gate.resolve();
  expect((await first).status).toBe(201);
  expect((await api.ask("/v1/volumes", post(volume, "k"))).status).toBe(201);
});

test("a refusal is remembered as well; a failure of the appliance is not", async () => {
  using api = await openApiFixture();
  await api.ask("/v1/volumes", post(volume, "a"));
  expect((await api.ask("/v1/volumes", post(volume, "b"))).status).toBe(409);
  await api.volumes.delete("web1", { force: true });
  expect((await api.ask("/v1/volumes", post(volume, "b"))).status).toBe(409);
  const { create } = api.volumes;
  api.volumes.create = () => Promise.reject(new Error("a defect"));
  expect((await api.ask("/v1/volumes", post(volume, "c"))).status).toBe(500);
  api.volumes.create = create;
  expect((await api.ask("/v1/volumes", post(volume, "c"))).status).toBe(201);
});

test("a body with a mistake in it leaves the key to the body without", async () => {
  using api = await openApiFixture();
  expect((await api.ask("/v1/volumes", post({ ...volume, name: "no name" }, "m"))).status).toBe(400);
  expect((await api.ask("/v1/volumes", post(volume, "m"))).status).toBe(201);
});

test("of an answer with a secret only its having been given is remembered", async () => {
  using api = await openApiFixture();
  expect((await api.ask("/v1/received", post({ name: "peer" }, "k"))).status).toBe(201);
  const again = await told(await api.ask("/v1/received", post({ name: "peer" }, "k")));
  expect(again).toMatchObject({ status: 409, body: { detail: expect.stringContaining("not kept") } });
  expect(JSON.stringify(again)).not.toContain("swp1");
});

test("every operation whose answer has a field of a secret's name is among those", () => {
  const SECRET = /token|csrf|secret|password|keypem|recovery|^uri$|^codes?$/i;
  const telling = Object.entries(routes).filter(([, route]) => {
    if (route.method !== "post") return false;
    return Object.values(route.responses as Record<string, { content?: Record<string, { schema: unknown }> }>).some(
      ({ content }) => {
        const schema = content?.["application/json"]?.schema;
        return schema instanceof z.ZodObject && Object.keys(schema.shape).some((name) => SECRET.test(name));
      },
    );
  });
  expect(telling.map(([operation]) => operation).filter((operation) => !TELLS_SECRETS.has(operation))).toEqual([]);
});

test.each(["", " ", "a b", "ä", "x".repeat(129)])("the key %p is refused", async (key) => {
  using api = await openApiFixture();
  const answer = await api.ask("/v1/volumes", post(volume, encodeKey(key)));
  expect(answer.status).toBe(400);
});

/** Headers carry bytes: what is not ASCII goes as Latin-1. */
const encodeKey = (key: string): string => (key.trim() === "" ? "é" : key);

test("nobody's keys are remembered, nor those of other methods", async () => {
  using api: ApiFixture = await openApiFixture();
  await api.volumes.create("web1", 2 ** 20);
  const init = { method: "DELETE", headers: { "idempotency-key": "k" } };
  expect((await api.ask("/v1/volumes/web1", init)).status).toBe(204);
  expect((await api.ask("/v1/volumes/web1", init)).status).toBe(404);
});
