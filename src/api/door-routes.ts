/** Where the disks are reached. */
import type { OpenAPIHono } from "@hono/zod-openapi";
import { routes } from "../contract/contract.ts";
import type { ApiContext, ApiEnv } from "./appliance.ts";

export function registerDoorRoutes(app: OpenAPIHono<ApiEnv>, { doors }: Pick<ApiContext, "doors">): void {
  app.openapi(routes.getDoors, (c) => c.json(doors(), 200));
}
