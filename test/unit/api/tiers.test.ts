import { expect, test } from "bun:test";
import { SternwayError } from "../../../src/base/errors.ts";
import { openApiFixture } from "../../support/api-fixture.ts";
import { jobEvents } from "../../support/job-events.ts";
import { fakeTiers } from "../../support/fake-tiers.ts";

const post = (body: unknown): RequestInit => ({
  method: "POST",
  headers: { "content-type": "application/json" },
  body: JSON.stringify(body),
});

test("GET /v1/vaults/NAME/tiers tells how far each is", async () => {
  using fixture = await openApiFixture();
  const response = await fixture.ask("/v1/vaults/default/tiers");
  expect(await response.json()).toMatchObject({ tiers: [{ vault: "default", name: "offsite", state: "online" }] });
});

test("POST /v1/vaults/NAME/tiers fills in what is left out, and keeps an event", async () => {
  const asked: unknown[] = [];
  using fixture = await openApiFixture({
    tiers: {
      ...fakeTiers,
      add: async (vault, tier) => {
        asked.push([vault, tier]);
        return await fakeTiers.add(vault, tier);
      },
    },
  });
  const response = await fixture.ask("/v1/vaults/pay/tiers", post({ name: "usb", url: "file:///mnt/usb" }));
  expect(response.status).toBe(201);
  expect(asked).toEqual([["pay", { name: "usb", url: "file:///mnt/usb", mode: "continuous", rpoSeconds: 5 }]]);
  expect(fixture.context.catalog.events({ limit: 1 })[0]).toMatchObject({ kind: "tier-added", subject: "pay/usb" });
});

test.each([
  ["a name with a slash", { name: "a/b", url: "file:///x" }],
  ["an unknown mode", { name: "a", url: "file:///x", mode: "often" }],
  ["a relative secret file", { name: "a", url: "file:///x", secretFile: "keys" }],
  ["a misspelt field", { name: "a", url: "file:///x", rpo: 5 }],
  ["no URL", { name: "a" }],
])("POST /v1/vaults/NAME/tiers refuses %s", async (_what, body) => {
  using fixture = await openApiFixture();
  expect((await fixture.ask("/v1/vaults/default/tiers", post(body))).status).toBe(400);
});

test("what changes where a vault is kept, or who writes to it, is refused to all but administrators", async () => {
  using fixture = await openApiFixture();
  const requests: [string, RequestInit][] = [
    ["/v1/vaults/default/tiers", post({ name: "usb", url: "file:///mnt/usb" })],
    ["/v1/vaults/default/tiers/usb", { method: "DELETE" }],
    ["/v1/vaults/open", post({ name: "copy", url: "file:///mnt/usb" })],
    ["/v1/vaults/copy/take-over", post({})],
    ["/v1/vaults/copy/refresh", post({})],
  ];
  for (const [path, init] of requests) {
    for (const role of ["self-service", "auditor"] as const) {
      const response = await fixture.askAs({ role }, path, init);
      expect([path, response.status]).toEqual([path, 403]);
    }
  }
});

test("POST …/verify is a job that says what is left", async () => {
  using fixture = await openApiFixture({
    tiers: {
      ...fakeTiers,
      async *verify() {
        yield { line: "finding", object: "layers/1", message: "it is missing", repaired: false };
        yield { line: "end", objects: 1, bytes: 1, findings: 1, repaired: 0 };
      },
    },
  });
  const started = await fixture.ask("/v1/vaults/default/tiers/offsite/verify", post({}));
  const { lines } = await jobEvents(fixture, started);
  expect(lines).toEqual(["finding", "end"]);
  const [job] = fixture.context.catalog.jobs({ limit: 1 });
  expect(job).toMatchObject({ kind: "verify-tier", subject: "default/offsite", state: "failed" });
});

test("a tier of somebody else's is 503 with the kind fenced, and what to do", async () => {
  using fixture = await openApiFixture({
    tiers: {
      ...fakeTiers,
      // eslint-disable-next-line require-yield
      async *sync() {
        throw new SternwayError("fenced", "another installation writes there");
      },
    },
  });
  const response = await fixture.ask("/v1/vaults/default/tiers/sync", post({}));
  expect(response.status).toBe(503);
  expect(await response.json()).toMatchObject({ kind: "fenced" });
});
