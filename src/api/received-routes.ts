/** Routes of the places kept for other appliances. A token is told once, to whoever asked for it. */
import type { OpenAPIHono } from "@hono/zod-openapi";
import { routes } from "../contract/contract.ts";
import type { ApiContext, ApiEnv } from "./appliance.ts";
import { recordEvent } from "./record.ts";

export function registerReceivedRoutes(app: OpenAPIHono<ApiEnv>, context: ApiContext): void {
  const { received } = context.appliance;
  const tell = (level: "info" | "warning", kind: string, subject: string, message: string): void =>
    recordEvent(context, { level, kind, subject, message });

  app.openapi(routes.listReceived, async (c) => c.json(await received.list(), 200));

  app.openapi(routes.addReceived, async (c) => {
    const { name, quotaBytes } = c.req.valid("json");
    const made = await received.add(name, quotaBytes);
    tell("info", "received-added", name, `place ${name} was made for another appliance`);
    return c.json(made, 201);
  });

  app.openapi(routes.renewReceived, async (c) => {
    const { name } = c.req.valid("param");
    const made = await received.renew(name);
    tell("warning", "received-renewed", name, `place ${name} has a new token; the old one is refused`);
    return c.json(made, 200);
  });

  app.openapi(routes.removeReceived, async (c) => {
    const { name } = c.req.valid("param");
    await received.remove(name);
    tell("warning", "received-removed", name, `place ${name} and all that it kept for another appliance were deleted`);
    return c.body(null, 204);
  });
}
