/**
 * Who asks, and whether they may: two middlewares before every handler. The first finds out who it is, by the door the request came through and what it carries;
 * the second, one for each operation of the table of routes, refuses what the table of rights does not allow. A route that no table knows is reached by nobody.
 */
import type { OpenAPIHono } from "@hono/zod-openapi";
import type { Context, MiddlewareHandler } from "hono";
import { SternwayError } from "../base/errors.ts";
import { problemOf, routes, type OperationId } from "../contract/contract.ts";
import { NEEDS, ROLE_RIGHTS, type Need, type Principal } from "../contract/rights.ts";
import type { ApiContext, ApiEnv } from "./appliance.ts";
import { respond } from "./problems.ts";

/** Which volume belongs to which machine. */
export interface Ownership {
  machineOf(volume: string): string | undefined;
  /** Of all volumes at once, by their names. */
  owners(): ReadonlyMap<string, string>;
}

/** Over the control socket only root and the daemon's own user come. */
const ROOT: Principal = { name: "root", role: "administrator", machines: [], by: "control" };

/** Sets the principal. @param context.access - knows sessions and tokens */
export function authenticated({ access }: Pick<ApiContext, "access">): MiddlewareHandler<ApiEnv> {
  return async (c, next) => {
    const { via, from, secure } = c.env;
    if (via === "control") {
      c.set("principal", ROOT);
    } else {
      const { method } = c.req;
      const found = await access.authenticate({ method, headers: c.req.raw.headers, secure, from });
      if (found?.refused) return refusedResponse(found.refused);
      if (found) c.set("principal", found.principal);
    }
    return await next();
  };
}

/** Names the operation of each route of the table, for what comes after. */
export function named(app: OpenAPIHono<ApiEnv>): void {
  forEachRoute(app, (operation) => async (c, next) => {
    c.set("operation", operation);
    await next();
  });
}

/** Refuses what the principal may not do. */
export function authorised(app: OpenAPIHono<ApiEnv>, { ownership }: Pick<ApiContext, "ownership">): void {
  forEachRoute(app, (operation) => async (c, next) => {
    const refusal = refusalOf(NEEDS[operation], c, ownership);
    return refusal ? refusedResponse(refusal) : await next();
  });
}

function forEachRoute(app: OpenAPIHono<ApiEnv>, make: (operation: OperationId) => MiddlewareHandler<ApiEnv>): void {
  for (const [operation, route] of Object.entries(routes)) {
    app.on(route.method.toUpperCase(), route.getRoutingPath(), make(operation as OperationId));
  }
}

function refusalOf(need: Need, c: Context<ApiEnv>, ownership: Ownership): SternwayError | undefined {
  if (need.right === "anyone") return undefined;
  const principal = c.get("principal");
  if (!principal) return new SternwayError("denied", "nobody has signed in", { status: 401 });
  const { name, role } = principal;
  if (!ROLE_RIGHTS[role].includes(need.right)) {
    return new SternwayError("denied", `${name} has the role ${role}, which does not allow this`, {
      role,
      right: need.right,
    });
  }
  if (role !== "self-service" || need.right === "signed-in" || isWithin(need, c, principal, ownership))
    return undefined;
  const what =
    need.scope === "appliance" ? "the appliance is not for the role self-service" : "that is not one of your machines";
  return new SternwayError("denied", what, { role });
}

function isWithin(need: Need, c: Context<ApiEnv>, principal: Principal, ownership: Ownership): boolean {
  if (need.scope === "filtered") return true;
  const subject = c.req.param("name");
  if (subject === undefined || need.scope === "appliance") return false;
  return need.scope === "machine" ? seesMachine(principal, subject) : seesVolume(principal, subject, ownership);
}

/** Whether a machine is among those that a principal sees. */
export function seesMachine(principal: Principal | undefined, machine: string): boolean {
  return principal !== undefined && (principal.role !== "self-service" || principal.machines.includes(machine));
}

/** Whether a volume belongs to what a principal sees. */
export function seesVolume(principal: Principal | undefined, volume: string, ownership: Ownership): boolean {
  if (principal?.role !== "self-service") return principal !== undefined;
  const machine = ownership.machineOf(volume);
  return machine !== undefined && principal.machines.includes(machine);
}

/** The same for a list of volumes, whose owners are looked up once. */
export function seenVolumes(principal: Principal | undefined, ownership: Ownership): (volume: string) => boolean {
  if (principal?.role !== "self-service") return () => principal !== undefined;
  const owners = ownership.owners();
  return (volume) => {
    const machine = owners.get(volume);
    return machine !== undefined && principal.machines.includes(machine);
  };
}

/** 401 asks to sign in; 403 says that it would not help. */
function refusedResponse(error: SternwayError): Response {
  if (error.facts["status"] === 401)
    return respond(problemOf(error, { status: 401 }), { "www-authenticate": 'Bearer realm="sternway"' });
  const isRole = error.facts["role"] !== undefined;
  return respond(problemOf(error, isRole ? { todo: "Ask an administrator of this appliance." } : {}));
}
