/**
 * The door of the room: the HTTP API as one function from request to response. Every answer that is not a success is a
 * problem document; a stack trace never leaves the process.
 */
import { OpenAPIHono } from "@hono/zod-openapi";
import { routes } from "../contract/contract.ts";
import type { ApiContext, ApiEnv } from "./appliance.ts";
import { registerAccessRoutes } from "./access-routes.ts";
import { auditRequests } from "./audit-requests.ts";
import { registerAuditRoutes } from "./audit-routes.ts";
import { authenticated, authorised, named } from "./authority.ts";
import { registerApplianceRoutes } from "./appliance-routes.ts";
import { registerConsoleRoutes } from "./console-routes.ts";
import { registerCredentialRoutes } from "./credential-routes.ts";
import { registerDoorRoutes } from "./door-routes.ts";
import { guard } from "./guard.ts";
import { registerHistoryRoutes } from "./history-routes.ts";
import { idempotency } from "./idempotency.ts";
import { registerImageRoutes } from "./image-routes.ts";
import { registerJobRoutes } from "./job-routes.ts";
import { registerNotifyRoutes } from "./notify-routes.ts";
import { preconditions } from "./preconditions.ts";
import { registerMachineRoutes } from "./machine-routes.ts";
import { allowedMethods, failedValidation, problemResponse, unknownRoute } from "./problems.ts";
import { addressRates, principalRates } from "./rates.ts";
import { registerReference } from "./reference-routes.ts";
import { registerReceivedRoutes } from "./received-routes.ts";
import { registerScheduleRoutes } from "./schedule-routes.ts";
import { registerReportRoutes } from "./report-routes.ts";
import { registerScrubRoutes } from "./scrub-routes.ts";
import { registerSessionRoutes } from "./session-routes.ts";
import { registerSignalRoutes } from "./signal-routes.ts";
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
export { JobRunner } from "./job-runner.ts";
export { sendableSourcesOf } from "./report-sources.ts";
export { listenPeers } from "./peer-server.ts";
export type { OpenObject, PeerPlaces, ReceivedPlace } from "./peer-places.ts";
export type { Ownership } from "./authority.ts";
export type { CredentialMaker } from "./credential-routes.ts";
export { listenHttp, type HttpAddress, type HttpListener, type HttpTls } from "./http-server.ts";

/** Answers one request. Never rejects. */
export type Answer = (request: Request, env: ApiEnv["Bindings"]) => Promise<Response>;

/** Builds the API. It holds nothing that needs closing. */
export function createApi(context: ApiContext): Answer {
  const app = new OpenAPIHono<ApiEnv>({ defaultHook: failedValidation });
  app.use(auditRequests(context));
  app.use(guard);
  registerConsoleRoutes(app, context);
  named(app);
  const { clock } = context.jobs;
  app.use(addressRates(clock, context.rates));
  app.use(authenticated(context));
  app.use(principalRates(clock, context.rates));
  authorised(app, context);
  app.use(idempotency(clock));
  app.use(preconditions(app));
  registerVolumeRoutes(app, context);
  registerTimelineRoutes(app, context);
  registerImageRoutes(app, context);
  registerHistoryRoutes(app, context);
  registerRetentionRoutes(app, context);
  registerCredentialRoutes(app, context);
  registerVaultRoutes(app, context);
  registerTierRoutes(app, context);
  registerReceivedRoutes(app, context);
  registerApplianceRoutes(app, context);
  registerDoorRoutes(app, context);
  registerScrubRoutes(app, context);
  registerSignalRoutes(app, context);
  registerJobRoutes(app, context);
  registerNotifyRoutes(app, context);
  registerReportRoutes(app, context);
  registerAccessRoutes(app, context);
  registerSessionRoutes(app, context);
  registerAuditRoutes(app, context);
  registerMachineRoutes(app, context);
  registerScheduleRoutes(app, context);
  // Answered by the route of GET; registered so that the document lists it.
  app.openAPIRegistry.registerPath(routes.headImage);

  registerReference(app, context.version);
  app.notFound((c) => unknownRoute(c.req.raw, allowedMethods(app.routes, c.req.path)));
  app.onError((error, c) => {
    const response = problemResponse(error);
    if (response.status >= 500)
      context.log.error({ err: error, method: c.req.method, path: c.req.path }, "request failed");
    return response;
  });

  return async (request, env) => {
    const response = await app.fetch(request, env);
    context.metrics.httpRequests.inc({ method: metricMethod(request.method), status: String(response.status) });
    return response;
  };
}

/** A label of a few values, whatever a client invents. */
function metricMethod(method: string): string {
  return ["GET", "HEAD", "POST", "PATCH", "DELETE"].includes(method) ? method : "other";
}
