import { expect, test } from "bun:test";
import type { OpenApiDocument } from "../../../src/api/openapi-document.ts";
import { referencePage } from "../../../src/api/reference-page.ts";
import { routes, type OperationId } from "../../../src/contract/contract.ts";
import { NEEDS, type Right } from "../../../src/contract/rights.ts";
import { openApiFixture } from "../../support/api-fixture.ts";

interface ListedOperation {
  path: string;
  method: string;
  operationId: OperationId;
  summary: string;
  parameters?: { name?: string; in?: string; $ref?: string }[];
  responses: Record<string, object>;
  security?: object[];
  "x-right": string;
}

interface Document {
  openapi: string;
  paths: Record<
    string,
    Record<
      string,
      { operationId: string; responses: Record<string, unknown>; parameters?: { name: string; in: string }[] }
    >
  >;
  components: { schemas: Record<string, unknown>; securitySchemes: Record<string, unknown> };
}

test("/openapi.json lists every route of the contract and every route of the contract is answered", async () => {
  using fixture = await openApiFixture();
  const response = await fixture.ask("/openapi.json");
  expect(response.headers.get("content-type")).toStartWith("application/json");
  const document = (await response.json()) as Document;
  expect(document.openapi).toBe("3.1.0");
  const listed = Object.entries(document.paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]) => `${operation.operationId} ${method} ${path}`),
  );
  expect(listed.sort()).toEqual(
    Object.values(routes)
      .map((r) => `${r.operationId} ${r.method} ${r.path}`)
      .sort(),
  );

  await fixture.volumes.create("v", 2 ** 20);
  await fixture.volumes.bookmark("v", "b", { kind: "now" }, "");
  const unanswered = [];
  for (const route of Object.values(routes)) {
    const path = route.path.replace("{name}", "none").replace("{bookmark}", "none");
    const answer = await fixture.ask(path, { method: route.method.toUpperCase() });
    // 404 of an unknown route says "nothing at"; 405 says that only other methods are there.
    const text = await answer.text();
    if (answer.status === 405 || text.includes("there is nothing at")) unanswered.push(route.operationId);
  }
  expect(unanswered).toEqual([]);
});

test("/openapi.json has no dangling reference and describes every path parameter", async () => {
  using fixture = await openApiFixture();
  const document = (await (await fixture.ask("/openapi.json")).json()) as Document;
  const references = [...JSON.stringify(document).matchAll(/"\$ref":"#\/components\/schemas\/([^"]+)"/g)].map(
    (m) => m[1]!,
  );
  expect(references.length).toBeGreaterThan(10);
  expect(references.filter((name) => !(name in document.components.schemas))).toEqual([]);
  for (const [path, methods] of Object.entries(document.paths)) {
    const inPath = [...path.matchAll(/\{(.+?)\}/g)].map((match) => match[1]!);
    for (const operation of Object.values(methods)) {
      const described = (operation.parameters ?? []).filter((each) => each.in === "path").map((each) => each.name);
      expect(described).toEqual(inPath);
      expect(Object.keys(operation.responses)).toContain("default");
    }
  }
});

test("/openapi.json is sound: every reference resolves, ids are unique, every operation says who may use it", async () => {
  using fixture = await openApiFixture();
  const document = (await (await fixture.ask("/openapi.json")).json()) as Record<string, unknown> & Document;
  const resolve = (reference: string): unknown => {
    expect(reference).toStartWith("#/");
    const parts = reference.slice(2).split("/");
    return parts.reduce<unknown>((at, part) => (at as Record<string, unknown> | undefined)?.[part], document);
  };
  const references = [...JSON.stringify(document).matchAll(/"\$ref":"([^"]+)"/g)].map((match) => match[1]!);
  expect(references.filter((reference) => resolve(reference) === undefined)).toEqual([]);

  const operations = Object.entries(document.paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]) => ({ path, method, ...operation }) as ListedOperation),
  );
  expect(new Set(operations.map((each) => each.operationId)).size).toBe(operations.length);
  for (const each of operations) {
    expect(each.summary).not.toBe("");
    expect(NEEDS[each.operationId].right).toBe(each["x-right"] as Right);
    expect(each.security === undefined).toBe(each["x-right"] !== "anyone");
    const statuses = Object.keys(each.responses);
    expect(statuses).toContain("429");
    expect(statuses.includes("401")).toBe(each["x-right"] !== "anyone");
    expect(statuses.some((status) => /^[23]/.test(status))).toBe(true);
    for (const { name } of (each.parameters ?? []).filter((one) => one.in === "path")) {
      expect(each.path).toContain(`{${name}}`);
    }
    const shared = (each.parameters ?? []).flatMap((one) => one.$ref?.split("/").at(-1) ?? []);
    expect(shared.includes("IdempotencyKey")).toBe(each.method === "post");
    expect(shared.includes("IfMatch")).toBe(
      ["put", "patch", "delete"].includes(each.method) || each.path.endsWith("/rollback"),
    );
  }
  expect(Object.keys(document.components.securitySchemes)).toEqual(["token", "session"]);
});

test("every route of long work answers 202, and the shapes of its lines are in the document", async () => {
  using fixture = await openApiFixture();
  const document = (await (await fixture.ask("/openapi.json")).json()) as Document;
  const long = ["startCheck", "startScrub", "runGc", "syncTiers", "verifyTier"];
  for (const operation of Object.values(document.paths).flatMap((methods) => Object.values(methods))) {
    if (!long.includes(operation.operationId)) continue;
    expect(Object.keys(operation.responses)).toContain("202");
    expect(operation.responses).not.toHaveProperty("200");
  }
  for (const name of ["CheckLine", "ScrubLine", "GcLine", "SyncLine", "VerifyLine"]) {
    expect(document.components.schemas).toHaveProperty(name);
  }
});

test("/docs names every operation and schema once, runs nothing and loads nothing", async () => {
  using fixture = await openApiFixture();
  const document = (await (await fixture.ask("/openapi.json")).json()) as Document;
  const response = await fixture.ask("/docs");
  expect(response.headers.get("content-type")).toStartWith("text/html");
  const policy = response.headers.get("content-security-policy") ?? "";
  expect(policy).toStartWith("default-src 'none'; style-src 'sha256-");
  const page = await response.text();
  const style = /<style>([^]*?)<\/style>/.exec(page)?.[1] ?? "";
  expect(policy).toContain(new Bun.CryptoHasher("sha256").update(style).digest("base64"));
  expect(page).not.toMatch(/<script|<link|<img|<iframe|<form|\son\w+=|\sstyle=|url\(|@import|javascript:/i);
  const ids = [...page.matchAll(/\sid="([^"]+)"/g)].map((match) => match[1]!);
  expect(new Set(ids).size).toBe(ids.length);
  for (const id of [
    ...Object.keys(routes),
    ...Object.keys(document.components.schemas).map((name) => `schema-${name}`),
  ]) {
    expect(ids).toContain(id);
  }
  const targets = [...page.matchAll(/href="([^"]+)"/g)].map((match) => match[1]!);
  expect(targets.filter((target) => !target.startsWith("#")).every((target) => target === "/openapi.json")).toBe(true);
  expect(targets.filter((target) => target.startsWith("#") && !ids.includes(target.slice(1)))).toEqual([]);
  expect(page).not.toMatch(/undefined|\[object Object\]|NaN/);
  // Tables, lists and articles close as they open.
  for (const tag of ["article", "table", "tr", "td", "ul", "li", "dl", "div", "details", "section", "span"]) {
    expect([tag, page.split(`<${tag}`).length]).toEqual([tag, page.split(`</${tag}>`).length]);
  }
});

test("/docs shows text of the document as text", () => {
  const document = openApiLike("<img src=x onerror=alert(1)> & `a<b`");
  const page = referencePage(document);
  expect(page).not.toContain("<img");
  expect(page).toContain("&lt;img src=x onerror=alert(1)&gt; &amp; <code>a&lt;b</code>");
});

function openApiLike(text: string): OpenApiDocument {
  const schema = { type: "object", description: text, properties: { [text]: { type: "string", example: text } } };
  return {
    openapi: "3.1.0",
    info: { title: text, version: text, description: text },
    security: [],
    paths: {
      "/v1/x": {
        post: {
          operationId: "createVolume",
          summary: text,
          description: text,
          tags: ["x"],
          parameters: [{ name: "q", in: "query", required: true, description: text, schema: { type: "string" } }],
          requestBody: { content: { "application/json": { schema } } },
          responses: { 200: { description: text, content: { "application/json": { schema } } } },
        },
      },
    },
    components: {
      schemas: { X: schema },
      parameters: {},
      responses: {},
      securitySchemes: { token: { description: text } },
    },
  };
}
