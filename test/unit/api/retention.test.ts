import { expect, test } from "bun:test";
import { openApiFixture, type ApiFixture } from "../../support/api-fixture.ts";
import { jobEvents } from "../../support/job-events.ts";

const HOUR = 3600;

/** A volume with a write an hour, for two days. */
async function withHistory(fixture: ApiFixture): Promise<void> {
  const { volumes } = fixture;
  await volumes.create("web1", 2 ** 20);
  const device = await volumes.openLive("web1");
  for (let i = 0; i < 48; i++) {
    await device.write(0, new Uint8Array(4096).fill(i), false);
    volumes.advance(HOUR * 1e6);
  }
  await device.close();
}

const send = (method: string, body: unknown): RequestInit => ({
  method,
  headers: { "content-type": "application/json" },
  body: JSON.stringify(body),
});

async function json(response: Response): Promise<Record<string, unknown>> {
  return (await response.json()) as Record<string, unknown>;
}

test("PUT retention refuses a policy that lets go of something at once, unless that is asked for", async () => {
  using fixture = await openApiFixture();
  await withHistory(fixture);
  const path = "/v1/volumes/web1/retention";
  const policy = { allSeconds: 24 * HOUR, hourlySeconds: 36 * HOUR };
  const refused = await fixture.ask(path, send("PUT", policy));
  expect(refused.status).toBe(409);
  expect(await json(refused)).toMatchObject({ kind: "conflict", facts: { writes: 23 } });
  expect(await json(await fixture.ask(path))).not.toHaveProperty("policy");

  const plan = await json(await fixture.ask(`${path}/plan`, send("POST", { policy })));
  expect(plan).toMatchObject({ writes: 23, pointCount: 11, lockHolds: false, goingPoints: [] });
  expect(plan["freedBytes"]).toBeGreaterThan(0);

  const set = await fixture.ask(path, send("PUT", { ...policy, expire: true }));
  expect(set.status).toBe(200);
  expect(await json(set)).toMatchObject({
    policy: { ...policy, dailySeconds: 0, weeklySeconds: 0, monthlySeconds: 0 },
    points: [],
    lockSeconds: 0,
    timeZone: "UTC",
  });
  expect(fixture.context.catalog.events({ limit: 1 })).toMatchObject([{ kind: "retention-set", subject: "web1" }]);
  expect(await json(await fixture.ask(path, { method: "DELETE" }))).not.toHaveProperty("policy");
});

test("PUT retention takes a policy that lets go of nothing yet without further ado", async () => {
  using fixture = await openApiFixture();
  await withHistory(fixture);
  expect((await fixture.ask("/v1/volumes/web1/retention", send("PUT", { allSeconds: 72 * HOUR }))).status).toBe(200);
});

test.each([{}, { allSeconds: 0 }, { allSeconds: 1.5 }, { allSeconds: 60, yearlySeconds: 1 }, { allSeconds: 1e12 }])(
  "PUT retention refuses %p",
  async (body) => {
    using fixture = await openApiFixture();
    await fixture.volumes.create("web1", 2 ** 20);
    expect((await fixture.ask("/v1/volumes/web1/retention", send("PUT", body))).status).toBe(400);
  },
);

test("a lock can be lengthened and not shortened", async () => {
  using fixture = await openApiFixture();
  await withHistory(fixture);
  const lock = async (seconds: number): Promise<Response> =>
    await fixture.ask("/v1/volumes/web1/retention/lock", send("PUT", { seconds }));
  expect(await json(await lock(24 * HOUR))).toMatchObject({ lockSeconds: 24 * HOUR });
  expect((await lock(23 * HOUR)).status).toBe(409);
  expect((await lock(0)).status).toBe(400);
  expect((await lock(25 * HOUR)).status).toBe(200);
  const plan = await fixture.ask("/v1/volumes/web1/retention/plan", send("POST", { policy: { allSeconds: HOUR } }));
  expect(await json(plan)).toMatchObject({ lockHolds: true });
});

test("holds are made, listed and released", async () => {
  using fixture = await openApiFixture();
  await withHistory(fixture);
  const made = await fixture.ask("/v1/volumes/web1/holds", send("POST", { name: "case", at: "lsn:9", note: "why" }));
  expect(made.status).toBe(201);
  expect(await json(made)).toMatchObject({ name: "case", lsn: 9, note: "why" });
  expect((await fixture.ask("/v1/volumes/web1/holds", send("POST", { name: "case" }))).status).toBe(409);
  expect(await json(await fixture.ask("/v1/volumes/web1/holds"))).toMatchObject({ holds: [{ name: "case" }] });
  expect((await fixture.ask("/v1/volumes/web1/holds/case", { method: "DELETE" })).status).toBe(204);
  expect((await fixture.ask("/v1/volumes/web1/holds/case", { method: "DELETE" })).status).toBe(404);
});

test("POST /v1/gc is a job whose lines tell what is done", async () => {
  using fixture = await openApiFixture();
  const { lines } = await jobEvents(fixture, await fixture.ask("/v1/gc", send("POST", {})));
  expect(lines).toEqual(["progress", "collected", "end"]);
  expect(fixture.context.catalog.jobs({ limit: 1 })).toMatchObject([{ kind: "gc", state: "done" }]);
});
