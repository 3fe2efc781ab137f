import { afterAll, beforeAll, describe, expect, spyOn, test } from "bun:test";
import fc from "fast-check";
import { SternwayError } from "../../../src/base/errors.ts";
import { PROBLEM_TYPE, problemSchema, routes, type Problem } from "../../../src/contract/contract.ts";
import { allowedMethods } from "../../../src/api/problems.ts";
import { openApiFixture, type ApiFixture } from "../../support/api-fixture.ts";
import { jobEvents } from "../../support/job-events.ts";

let fixture: ApiFixture;
beforeAll(async () => {
  fixture = await openApiFixture();
  await fixture.volumes.create("web1", 2 ** 20);
});
afterAll(() => fixture[Symbol.dispose]());

async function problemIn(response: Response): Promise<Problem> {
  expect(response.headers.get("content-type")).toBe(PROBLEM_TYPE);
  const text = await response.text();
  expect(text).not.toContain(import.meta.dir);
  const problem = problemSchema.parse(JSON.parse(text));
  expect(problem.status).toBe(response.status);
  expect(problem.todo).not.toBe("");
  return problem;
}

const json = (method: string, body: unknown): RequestInit => ({
  method,
  headers: { "content-type": "application/json" },
  body: JSON.stringify(body),
});

describe("a bad request is refused with the field and the rule", () => {
  const table: [what: string, path: string, init: RequestInit | undefined, status: number, says: RegExp][] = [
    ["bad name in the path", "/v1/volumes/-x", undefined, 400, /path field name .*starting with a letter/],
    ["percent rubbish in the path", "/v1/volumes/%zz", undefined, 400, /path field name/],
    ["encoded slash", "/v1/volumes/a%2Fb", undefined, 400, /path field name/],
    ["unknown query", "/v1/volumes?size=3", undefined, 400, /[Uu]nrecognized key.*size/],
    ["limit of a page", "/v1/volumes?limit=1001", undefined, 400, /1000/],
    ["no place of a page", "/v1/volumes/web1/bookmarks?after=x", undefined, 400, /next/],
    ["query twice", "/v1/volumes/web1/moment?at=now&at=now", undefined, 400, /query field at/],
    ["missing query", "/v1/volumes/web1/moment", undefined, 400, /query field at/],
    ["no moment", "/v1/volumes/web1/moment?at=yesterday", undefined, 400, /yesterday.*lsn/],
    ["moment before history", "/v1/volumes/web1/moment?at=lsn:0", undefined, 404, /oldest moment/],
    ["moment after history", "/v1/volumes/web1/moment?at=lsn:99", undefined, 404, /99/],
    ["hex count", "/v1/volumes/web1/timeline?buckets=0x10", undefined, 400, /whole number/],
    ["too many buckets", "/v1/volumes/web1/timeline?buckets=10001", undefined, 400, /10000/],
    ["timeline backward", "/v1/volumes/web1/timeline?from=now&to=-1h", undefined, 400, /before/],
    ["no such volume", "/v1/volumes/web2", undefined, 404, /web2/],
    ["no such volume in a timeline", "/v1/volumes/web2/timeline", undefined, 404, /web2/],
    ["no such volume's image", "/v1/volumes/web2/image", undefined, 404, /web2/],
    ["no such bookmark", "/v1/volumes/web1/bookmarks/x", { method: "DELETE" }, 404, /bookmark x/],
    ["unknown field", "/v1/volumes", json("POST", { name: "a", sizeBytes: 512, size: 1 }), 400, /size/],
    ["odd size", "/v1/volumes", json("POST", { name: "a", sizeBytes: 513 }), 400, /sizeBytes .*multiple of 512/],
    ["huge size", "/v1/volumes", json("POST", { name: "a", sizeBytes: 2 ** 45 }), 400, /16 TiB/],
    ["size as text", "/v1/volumes", json("POST", { name: "a", sizeBytes: "1G" }), 400, /sizeBytes/],
    ["body is a list", "/v1/volumes", json("POST", []), 400, /body/],
    ["name taken", "/v1/volumes", json("POST", { name: "web1", sizeBytes: 512 }), 409, /web1/],
    ["no body", "/v1/volumes", { method: "POST" }, 400, /body|JSON/],
    ["broken JSON", "/v1/volumes", { ...json("POST", 1), body: "{" }, 400, /JSON/],
    ["not JSON", "/v1/volumes", { method: "POST", body: "name=a" }, 415, /JSON/],
    ["bad force", "/v1/volumes/web1?force=yes", { method: "DELETE" }, 400, /force/],
    ["branch onto itself", "/v1/volumes/web1/branches", json("POST", { name: "web1", at: "now" }), 409, /web1/],
    ["long note", "/v1/volumes/web1/bookmarks", json("POST", { name: "b", note: "x".repeat(1001) }), 400, /note/],
    ["no route", "/v2/volumes", undefined, 404, /nothing at \/v2\/volumes/],
    ["wrong method", "/v1/volumes/web1", { method: "PUT" }, 405, /DELETE, GET, HEAD, PATCH/],
  ];
  for (const [what, path, init, status, says] of table) {
    test(what, async () => {
      const response = await fixture.ask(path, init);
      expect(response.status).toBe(status);
      const problem = await problemIn(response);
      expect(problem.detail).toMatch(says);
    });
  }

  test("405 names the methods in Allow", async () => {
    const response = await fixture.ask("/v1/volumes", { method: "DELETE" });
    expect(response.headers.get("allow")).toBe("GET, HEAD, POST");
  });
});

test("a request of any shape is never answered with 5xx, nor with an error that is not a problem document", async () => {
  const shapes = Object.values(routes).filter((route) => route.path !== "/metrics");
  const word = fc.oneof(
    fc.constantFrom("web1", "now", "lsn:1", "-15m", "true", "0", "5", "", "a b", "../..", "%00", "bookmark:x"),
    fc.string({ maxLength: 80 }),
  );
  const key = fc.oneof(
    fc.constantFrom(
      "name",
      "at",
      "to",
      "from",
      "force",
      "sizeBytes",
      "offset",
      "length",
      "limit",
      "after",
      "__proto__",
    ),
    fc.string({ maxLength: 10 }),
  );
  const value = fc.oneof(word, fc.jsonValue(), fc.integer(), fc.constant(2 ** 53), fc.constant(1e300));
  const request = fc.record({
    route: fc.constantFrom(...shapes),
    params: fc.tuple(word, word),
    query: fc.array(fc.tuple(key, word), { maxLength: 3 }),
    body: fc.oneof(
      fc.dictionary(key, value, { maxKeys: 4 }).map((object) => JSON.stringify(object)),
      fc.string(),
    ),
    type: fc.constantFrom("application/json", "text/plain", "application/json; charset=utf-8"),
    range: fc.option(fc.string({ unit: fc.constantFrom(..."bytes=0123456789-,") }), { nil: undefined }),
  });
  const seed = Number(process.env["SEED"] ?? Math.floor(Math.random() * 2 ** 31));
  await fc.assert(
    fc.asyncProperty(request, async ({ route, params, query, body, type, range }) => {
      const path = route.path
        .replace("{name}", encodeURIComponent(params[0]))
        .replace("{bookmark}", encodeURIComponent(params[1]));
      const method = route.method.toUpperCase();
      const withBody = method === "POST" || method === "PATCH";
      const response = await fixture.ask(`${path}?${new URLSearchParams(query).toString()}`, {
        method,
        headers: { ...(withBody ? { "content-type": type } : {}), ...(range === undefined ? {} : { range }) },
        ...(withBody ? { body } : {}),
      });
      expect(response.status).toBeLessThan(500);
      if (response.status >= 400 && method !== "HEAD") await problemIn(response);
      else await response.body?.cancel();
    }),
    { numRuns: 1500, seed },
  );
  // The run may have deleted or grown it.
  if (!fixture.volumes.list().some((info) => info.name === "web1")) await fixture.volumes.create("web1", 2 ** 20);
  expect(fixture.volumes.openCount()).toBe(0);
});

describe("errors of the engine", () => {
  test("keep their kind and facts, and get the status of their kind", async () => {
    const kinds = { unavailable: 503, corrupt: 500, fenced: 503, denied: 403, internal: 500 } as const;
    for (const [kind, status] of Object.entries(kinds)) {
      using failing = await openApiFixture({
        vault: () => Promise.reject(new SternwayError(kind as keyof typeof kinds, "told", { at: 7 })),
      });
      const response = await failing.ask("/v1/vault");
      expect(response.status).toBe(status);
      expect(await problemIn(response)).toMatchObject({
        kind: kind as keyof typeof kinds,
        detail: "told",
        facts: { at: 7 },
      });
    }
  });

  test("a full disk is 507", async () => {
    using failing = await openApiFixture({
      vault: () => Promise.reject(new SternwayError("unavailable", "full", { code: "ENOSPC" })),
    });
    expect((await failing.ask("/v1/vault")).status).toBe(507);
  });

  test("a defect tells nothing of itself but is logged", async () => {
    using failing = await openApiFixture({ vault: () => Promise.reject(new TypeError("secret detail")) });
    const problem = await problemIn(await failing.ask("/v1/vault"));
    expect(problem).toMatchObject({ kind: "internal", status: 500 });
    expect(JSON.stringify(problem)).not.toContain("secret detail");
    expect(failing.logged.join("")).toContain("secret detail");
  });

  test("in the middle of a job become its last line", async () => {
    using failing = await openApiFixture({
      async *check() {
        yield { line: "progress", what: "packs", done: 1, total: 2 };
        throw new SternwayError("corrupt", "manifest 7 is damaged", { manifest: 7 });
      },
    });
    const { events } = await jobEvents(failing, await failing.ask("/v1/check", json("POST", {})));
    expect(events.at(-2)?.data).toMatchObject({
      line: "failed",
      problem: { kind: "corrupt", facts: { manifest: 7 } },
    });
    expect(failing.context.catalog.jobs({ limit: 1 })[0]).toMatchObject({
      state: "failed",
      error: "manifest 7 is damaged",
    });
  });
});

test("allowedMethods() takes no long path apart once for each route", () => {
  const routes = Array.from({ length: 500 }, (_, i) => ({ method: "GET", path: `/v1/things${i}/:name` }));
  const long = "/a".repeat(4_000);
  const split = spyOn(String.prototype, "split");
  try {
    expect(allowedMethods(routes, long)).toEqual([]);
    expect(split.mock.contexts.filter((text) => String(text) === long).length).toBe(1);
  } finally {
    split.mockRestore();
  }
  expect(allowedMethods(routes, "/v1/things7/x")).toEqual(["GET", "HEAD"]);
});
