/**
 * One entry in the audit for each request that changes something, reads content, or was refused. It stands before every other middleware, so that it sees what any
 * of them answered, and looks at who asked and for what when the answer is there. What changed something is answered when its entry is durable, or when
 * it is clear that the audit cannot be kept; a change whose entry a crash took was not answered for.
 *
 * An entry of work that goes on after its answer (a job, a stream) says that it was begun; jobs tell how they end.
 *
 * Of a body the entry names the fields, and shows the values of those in {@link SHOWN} alone: nothing else can be a secret by mistake.
 *
 * Reading in pieces and refused attempts come by the thousand: those like one that was just entered are counted ({@link Repeats}).
 */
import type { Context, MiddlewareHandler } from "hono";
import { Repeats, type AuditDetail, type AuditFacts, type AuditResult } from "../audit/audit.ts";
import { routes, type OperationId } from "../contract/contract.ts";
import { NEEDS } from "../contract/rights.ts";
import type { ApiContext, ApiEnv } from "./appliance.ts";

/** Fields of bodies whose values are shown. */
const SHOWN = [
  "name",
  "volume",
  "machine",
  "vault",
  "tier",
  "role",
  "at",
  "to",
  "from",
  "force",
  "expire",
  "repair",
  "sizeBytes",
  "seconds",
  "days",
] as const;
/** They look like reading by their method and are more: these sign in, or take the audit away. */
const BY_READING: ReadonlySet<OperationId> = new Set(["finishOidc", "exportAudit"] as const);

const UNKNOWN = "(unknown)";
const READING = new Set(["GET", "HEAD", "OPTIONS"]);
const FIELDS_CHARS_MAX = 200;

/** @param context.audit - takes the entries */
export function auditRequests({
  audit,
  now,
  metrics,
  access,
}: Pick<ApiContext, "audit" | "now" | "metrics" | "access">): MiddlewareHandler<ApiEnv> {
  const repeats = new Repeats();
  return async (c, next) => {
    await next();
    for (const facts of repeats.over(now())) void audit.append(facts);
    const operation = c.get("operation") as OperationId | undefined;
    const refused = c.res.status === 401 || c.res.status === 403 || c.get("isRefused") === true;
    const changes = operation !== undefined && changesSomething(operation, c.req.method);
    const reads = operation !== undefined && c.req.method !== "HEAD" && NEEDS[operation].right === "data";
    if (!refused && !changes && !reads) return;
    const result = refused ? "refused" : c.res.status >= 400 ? "failed" : "done";
    const facts = await factsOf(c, operation, result, (name) => access.accounts.has(name));
    if (refused) metrics.refusedRequests.inc();
    if (changes && !refused) await audit.append(facts);
    else if (repeats.isNew(facts, now())) void audit.append(facts);
  };
}

/** Of those that need only to see, none changes anything: a plan or a preview is asked for with a body. */
function changesSomething(operation: OperationId, method: string): boolean {
  return READING.has(method) ? BY_READING.has(operation) : NEEDS[operation].right !== "view";
}

async function factsOf(
  c: Context<ApiEnv>,
  operation: OperationId | undefined,
  result: AuditResult,
  isAccount: (name: string) => boolean,
): Promise<AuditFacts> {
  const principal = c.get("principal");
  const body = await bodyOf(c);
  // What was typed as a name may be a password: only names that exist are told.
  const { name: typed } = body;
  if (operation === "signIn" && !(typeof typed === "string" && isAccount(typed))) body["name"] = UNKNOWN;
  const { path, method } = c.req;
  const detail: AuditDetail = { status: c.res.status };
  const names = Object.keys(body);
  if (names.length > 0) detail["fields"] = names.join(" ").slice(0, FIELDS_CHARS_MAX);
  for (const name of SHOWN) {
    const value = body[name] ?? c.req.query(name);
    if (typeof value === "string" || typeof value === "number" || typeof value === "boolean") detail[name] = value;
  }
  const account = c.get("account");
  if (account !== undefined) detail["account"] = account;
  const named = account ?? detail["name"] ?? detail["volume"] ?? detail["machine"] ?? detail["vault"];
  const inPath = operation === undefined ? undefined : subjectIn(routes[operation].path, path);
  return {
    who: principal?.name ?? "-",
    role: principal?.role ?? "-",
    by: principal?.by ?? "-",
    from: c.env.from,
    action: operation ?? "request",
    subject: operation === undefined ? `${method} ${path}` : (inPath ?? String(named ?? "appliance")),
    result,
    detail,
  };
}

/** What stands in the places of a path that a route leaves open, such as `web1/case-4711`; undefined: it leaves none. */
function subjectIn(template: string, path: string): string | undefined {
  const given = path.split("/");
  const open = template.split("/").flatMap((part, i) => (part.startsWith("{") ? [decoded(given[i] ?? "")] : []));
  return open.length === 0 ? undefined : open.join("/");
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    // A path that is not well-formed was refused; it is told as it came.
    return text;
  }
}

/** The body's fields; none when it has none or is not JSON. Hono keeps what was read, so that it can be read again. */
async function bodyOf(c: Context<ApiEnv>): Promise<Record<string, unknown>> {
  if (READING.has(c.req.method) || c.req.header("content-type")?.includes("json") !== true) return {};
  try {
    const body: unknown = await c.req.json();
    return typeof body === "object" && body !== null && !Array.isArray(body) ? (body as Record<string, unknown>) : {};
  } catch {
    // What is not JSON was refused, and has no fields.
    return {};
  }
}
