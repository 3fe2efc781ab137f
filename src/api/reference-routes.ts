/** The API's description, for programs at /openapi.json and for people at /docs. Made once, when somebody asks first: it does not change while the appliance runs. */
import type { OpenAPIHono } from "@hono/zod-openapi";
import type { ApiEnv } from "./appliance.ts";
import { openApiDocument, type OpenApiDocument } from "./openapi-document.ts";
import { REFERENCE_POLICY, referencePage } from "./reference-page.ts";

/** Comes after all routes that it is to list. */
export function registerReference(app: OpenAPIHono<ApiEnv>, version: string): void {
  let document: OpenApiDocument | undefined;
  let page: string | undefined;
  const made = (): OpenApiDocument => (document ??= openApiDocument(app, version));

  app.get("/openapi.json", (c) => c.json(made()));

  app.get("/docs", (c) =>
    c.html((page ??= referencePage(made())), 200, {
      "cache-control": "no-cache",
      "content-security-policy": REFERENCE_POLICY,
    }),
  );
}
