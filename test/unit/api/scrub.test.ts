import { expect, test } from "bun:test";
import { SternwayError } from "../../../src/base/errors.ts";
import type { ScrubAdmin } from "../../../src/api/app.ts";
import { openApiFixture } from "../../support/api-fixture.ts";
import { jobEvents } from "../../support/job-events.ts";

const post = (body: object): RequestInit => ({
  method: "POST",
  headers: { "content-type": "application/json" },
  body: JSON.stringify(body),
});

function scrubbing(run: ScrubAdmin["run"]): ScrubAdmin {
  return { status: () => ({ cycleDays: 30, vaults: [] }), run };
}

test("GET /v1/scrub tells how the scrub stands", async () => {
  using api = await openApiFixture();
  const response = await api.ask("/v1/scrub");
  expect(response.status).toBe(200);
  expect(await response.json()).toEqual({ cycleDays: 30, vaults: [] });
});

test("POST /v1/scrub is a job that fails when something stays damaged", async () => {
  const asked: object[] = [];
  using api = await openApiFixture({
    scrub: scrubbing(async function* (request) {
      asked.push(request);
      yield { line: "progress", what: "vault default", done: 1, total: 2 };
      yield { line: "repair", subject: "pack 7", restored: { journal: 2 }, freed: 0, lost: 1 };
      yield { line: "end", objects: 2, bytes: 8192, findings: 1, restored: 2, damaged: 1 };
    }),
  });
  const { lines } = await jobEvents(api, await api.ask("/v1/scrub", post({ full: true })));
  expect(lines).toEqual(["progress", "repair", "end"]);
  expect(asked).toEqual([{ full: true }]);
  expect(api.context.catalog.jobs({ limit: 1 })[0]).toMatchObject({ kind: "scrub", state: "failed", subject: "vault" });
});

test("POST /v1/scrub answers with a problem when it cannot begin", async () => {
  using api = await openApiFixture({
    // eslint-disable-next-line require-yield -- it fails before its first line
    scrub: scrubbing(async function* () {
      throw new SternwayError("conflict", "it runs already");
    }),
  });
  expect((await api.ask("/v1/scrub", post({}))).status).toBe(409);
  expect((await api.ask("/v1/scrub", post({ speed: 9 }))).status).toBe(400);
});
