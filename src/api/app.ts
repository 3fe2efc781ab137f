/**
 * The door of the room: the HTTP API as one function from request to response. Every answer that is not a success is a
 * problem document; a stack trace never leaves the process.
 */
import { OpenAPIHono } from "@hono/zod-openapi";
import { routes } from "../contract/contract.ts";
import type { ApiContext, ApiEnv } from "./appliance.ts";
import { registerApplianceRoutes } from "./appliance-routes.ts";
import { guard } from "./guard.ts";
import { registerHistoryRoutes } from "./history-routes.ts";
import { registerImageRoutes } from "./image-routes.ts";
import { allowedMethods, failedValidation, problemResponse, unknownRoute } from "./problems.ts";
import { registerReceivedRoutes } from "./received-routes.ts";
import { registerScrubRoutes } from "./scrub-routes.ts";
import { registerRetentionRoutes } from "./retention-routes.ts";
import { registerTierRoutes } from "./tier-routes.ts";
import { registerTimelineRoutes } from "./timeline-routes.ts";
import { registerVaultRoutes } from "./vault-routes.ts";
import { registerVolumeRoutes } from "./volume-routes.ts";

export type {
  ApiContext,
  ApiEnv,
  Appliance,
  ReceivedAdmin,
  RetentionAdmin,
  ScrubAdmin,
  TierAdmin,
  VaultAdmin,
} from "./appliance.ts";
export { listenPeers } from "./peer-server.ts";
export type { OpenObject, PeerPlaces, ReceivedPlace } from "./peer-places.ts";
export { listenHttp, type HttpAddress, type HttpListener } from "./http-server.ts";

/** Answers one request. Never rejects. */
export type Answer = (request: Request, via: ApiEnv["Bindings"]["via"]) => Promise<Response>;

/** Builds the API. It holds nothing that needs closing. */
export function createApi(context: ApiContext): Answer {
  const app = new OpenAPIHono<ApiEnv>({ defaultHook: failedValidation });
  app.use(guard);
  registerVolumeRoutes(app, context);
  registerTimelineRoutes(app, context);
  registerImageRoutes(app, context);
  registerHistoryRoutes(app, context);
  registerRetentionRoutes(app, context);
  registerVaultRoutes(app, context);
  registerTierRoutes(app, context);
  registerReceivedRoutes(app, context);
  registerApplianceRoutes(app, context);
  registerScrubRoutes(app, context);
  // Answered by the route of GET; registered so that the document lists it.
  app.openAPIRegistry.registerPath(routes.headImage);

  let document: object | undefined;
  app.get("/openapi.json", (c) => {
    document ??= app.getOpenAPI31Document({
      openapi: "3.1.0",
      info: {
        title: "Sternway",
        version: context.version,
        description: "Volumes whose every write is kept, and which can be read as of any past moment.",
      },
    });
    return c.json(document);
  });
  app.notFound((c) => unknownRoute(c.req.raw, allowedMethods(app.routes, c.req.path)));
  app.onError((error, c) => {
    const response = problemResponse(error);
    if (response.status >= 500)
      context.log.error({ err: error, method: c.req.method, path: c.req.path }, "request failed");
    return response;
  });

  return async (request, via) => {
    const response = await app.fetch(request, { via });
    context.metrics.httpRequests.inc({ method: metricMethod(request.method), status: String(response.status) });
    return response;
  };
}

/** A label of a few values, whatever a client invents. */
function metricMethod(method: string): string {
  return ["GET", "HEAD", "POST", "PATCH", "DELETE"].includes(method) ? method : "other";
}
