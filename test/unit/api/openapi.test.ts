import { expect, test } from "bun:test";
import { routes } from "../../../src/contract/contract.ts";
import { openApiFixture } from "../../support/api-fixture.ts";

interface Document {
  openapi: string;
  paths: Record<
    string,
    Record<
      string,
      { operationId: string; responses: Record<string, unknown>; parameters?: { name: string; in: string }[] }
    >
  >;
  components: { schemas: Record<string, unknown> };
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
