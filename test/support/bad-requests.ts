/**
 * Requests made from a route's own schemas: right ones, and ones that are wrong in every way a client, or somebody who means harm, can think of. Everything is
 * plain text, so that a failing one can be printed, and shrunk by fast-check.
 */
import type { z } from "@hono/zod-openapi";
import fc from "fast-check";
import { routes, type OperationId } from "../../src/contract/contract.ts";
import { fitting, nonsense, shapeOf, spoilt, type Shape } from "./schema-values.ts";

export interface BadRequest {
  method: string;
  /** Path and query, as they go on the wire. */
  target: string;
  headers: Record<string, string>;
  /** As Latin-1, byte by byte; absent: none. */
  body?: string;
}

/** A query: right, or with something wrong, given twice, or not even text. */
function queryText(shape: Shape | undefined): fc.Arbitrary<string> {
  const right = shape ? fitting(shape) : fc.constant({});
  const names = Object.keys(shape?.properties ?? { x: {} });
  const name = fc.constantFrom(...names, "x");
  return fc.oneof(
    { weight: 3, arbitrary: right.map(encodedQuery) },
    { weight: 3, arbitrary: right.chain(spoilt).map(encodedQuery) },
    {
      weight: 1,
      arbitrary: fc
        .tuple(name, nonsense, nonsense)
        .map(([key, a, b]) => `${key}=${percent(textOf(a))}&${key}=${percent(textOf(b))}`),
    },
    { weight: 1, arbitrary: name.map((key) => `${key}[]=1&${key}[a]=2&${key}`) },
    {
      weight: 1,
      arbitrary: fc
        .tuple(name, fc.constantFrom("%", "%zz", "%ff", "%00", "%ed%a0%80", "&&&=", "a=b=c", "?"))
        .map(([key, bad]) => `${key}=${bad}`),
    },
  );
}

function encodedQuery(value: unknown): string {
  if (typeof value !== "object" || value === null) return "";
  return Object.entries(value)
    .filter(([, each]) => each !== undefined)
    .map(([key, each]) => `${percent(key)}=${percent(textOf(each))}`)
    .join("&");
}

/** Names that are there, by what the path is about. */
const NAMED: readonly [prefix: string, names: readonly string[]][] = [
  ["/v1/volumes/", ["web1", "db1"]],
  ["/v1/vaults/", ["default"]],
  ["/v1/machines/", ["web"]],
  ["/v1/accounts/", ["ann"]],
  ["/v1/channels/", ["hook"]],
  ["/v1/rules/", ["all"]],
  ["/v1/schedules/", ["nightly"]],
  ["/v1/jobs/", ["1", "2"]],
];

function rightPath(template: string): fc.Arbitrary<string> {
  const names = NAMED.find(([prefix]) => template.startsWith(prefix))?.[1] ?? ["1"];
  let nth = 0;
  const parts = template
    .split("/")
    .map((part) =>
      part.startsWith("{") ? fc.constantFrom(...(nth++ === 0 ? names : ["b1", "1"])) : fc.constant(part),
    );
  return fc.tuple(...parts).map((each) => each.join("/"));
}

function pathText(template: string): fc.Arbitrary<string> {
  const parts = template.split("/").map((part) =>
    part.startsWith("{")
      ? fc.oneof(
          { weight: 6, arbitrary: fc.constantFrom("web1", "db1", "default", "web", "1", "b1", "nothing") },
          { weight: 2, arbitrary: nonsense.map((value) => percent(textOf(value)).slice(0, 4000)) },
          {
            weight: 1,
            arbitrary: fc.constantFrom(
              "%",
              "%zz",
              "%ff",
              "%00",
              "%2e%2e",
              "%2f",
              "..%2f..",
              "%ed%a0%80",
              ";",
              "*",
              "a".repeat(4000),
            ),
          },
        )
      : fc.constant(part),
  );
  return fc.tuple(...parts).map((each) => each.join("/"));
}

/** A body as bytes: JSON that is right or wrong, or no JSON at all. */
function bodyText(shape: Shape | undefined): fc.Arbitrary<string | undefined> {
  const right = shape ? fitting(shape) : fc.constant({});
  const json = (value: unknown): string => latin(JSON.stringify(value) ?? "");
  return fc.oneof(
    { weight: 3, arbitrary: right.map(json) },
    { weight: 6, arbitrary: right.chain(spoilt).map(json) },
    { weight: 2, arbitrary: nonsense.map(json) },
    { weight: 1, arbitrary: right.chain((value) => fc.nat(200).map((cut) => json(value).slice(0, cut))) },
    {
      weight: 1,
      arbitrary: fc.constantFrom(
        "",
        "{",
        '{"a":1,}',
        "\ufeff{}",
        '{"name":"a","name":"b"}',
        "\xff\xfe",
        "[".repeat(20_000),
        '"\\ud800"',
        "1e999",
        "{}{}",
      ),
    },
    { weight: 1, arbitrary: fc.constant(undefined) },
  );
}

const headerValues: fc.Arbitrary<Record<string, string>> = fc.oneof(
  { weight: 4, arbitrary: fc.constant({}) },
  {
    weight: 3,
    arbitrary: fc.record(
      {
        range: fc.constantFrom(
          "bytes=0-0",
          "bytes=5-1",
          "bytes=-1",
          "bytes=0-",
          "bytes=0-1,4-5",
          "lines=1-2",
          "bytes=99999999999999999999-",
          "bytes=a-b",
          "x".repeat(2000),
        ),
        "if-match": fc.constantFrom("*", '"x"', 'W/"x"', "x", '"', '"lsn-1"', ",,,", '"a","b"'),
        "if-none-match": fc.constantFrom("*", '"x"', "x", '"a","b"'),
        "idempotency-key": fc.constantFrom("k", "", " ", "\xe9", "x".repeat(200), "a b"),
        "last-event-id": fc.constantFrom("0", "-1", "x", "99999999999999999999", ""),
        authorization: fc.constantFrom("Bearer", "Bearer x", "Basic eDp4", "Bearer swt_", "x".repeat(2000)),
        cookie: fc.constantFrom("sternway=x", "sternway=", "sternway=%00; sternway=y", ";;;", "x".repeat(2000)),
        accept: fc.constantFrom("text/html", "*/*", "x"),
        "content-encoding": fc.constantFrom("gzip", "x"),
        origin: fc.constantFrom("null", "http://evil.example", "x"),
      },
      { requiredKeys: [] },
    ) as fc.Arbitrary<Record<string, string>>,
  },
);
const contentType = fc.oneof(
  { weight: 8, arbitrary: fc.constant("application/json") },
  {
    weight: 1,
    arbitrary: fc.constantFrom(
      "text/plain",
      "application/x-www-form-urlencoded",
      "multipart/form-data",
      "application/json; charset=x",
      "application/problem+json",
      "x",
      'multipart/form-data; boundary="',
      "application/JSON",
    ),
  },
);

/** What of a request is wrong; the rest is right, so that it gets as far as it can. */
const WRONG = ["nothing", "path", "query", "headers", "body", "body", "all"] as const;

/** Requests to one operation. */
export function requestsTo(operation: OperationId): fc.Arbitrary<BadRequest> {
  const { method, path, request } = routes[operation] as {
    method: string;
    path: string;
    request?: { query?: z.ZodType; body?: { content: Record<string, { schema: z.ZodType }> } };
  };
  const takesBody = method !== "get" && method !== "head";
  const query = shapeOf(request?.query);
  const body = shapeOf(request?.body?.content["application/json"]?.schema);
  const none = fc.constant(undefined);
  return fc.constantFrom(...WRONG).chain((wrong) => {
    const is = (part: (typeof WRONG)[number]): boolean => wrong === part || wrong === "all";
    const rightBody = takesBody && body ? fitting(body).map((value) => latin(JSON.stringify(value))) : none;
    return fc
      .tuple(
        is("path") ? pathText(path) : rightPath(path),
        is("query") ? queryText(query) : query ? fitting(query).map(encodedQuery) : fc.constant(""),
        is("headers") ? headerValues : fc.constant({}),
        is("headers") ? contentType : fc.constant("application/json"),
        takesBody && is("body") ? bodyText(body) : rightBody,
      )
      .map(([at, asked, headers, type, content]) => ({
        method: method.toUpperCase(),
        target: asked === "" ? at : `${at}?${asked}`,
        headers: content === undefined ? headers : { ...headers, "content-type": type },
        ...(content === undefined ? {} : { body: content }),
      }));
  });
}

const textOf = (value: unknown): string =>
  (typeof value === "string" ? value : (JSON.stringify(value) ?? "")).slice(0, 5000);
const latin = (text: string): string => Buffer.from(text, "utf8").toString("latin1");
const percent = (text: string): string => encodeURIComponent(text.toWellFormed());
