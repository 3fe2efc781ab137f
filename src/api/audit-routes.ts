/** Routes of the audit: reading and exporting it. */
import type { OpenAPIHono } from "@hono/zod-openapi";
import type { AuditEntry } from "../audit/audit.ts";
import { parseTime } from "../base/units.ts";
import { AUDIT_PAGE_DEFAULT, type WireAuditEntry } from "../contract/audit.ts";
import { LINES_TYPE, routes } from "../contract/contract.ts";
import type { ApiContext, ApiEnv } from "./appliance.ts";

/** How a name is written where it must not be seen. */
const PRINT = /#[0-9a-f]{16}/g;

export function registerAuditRoutes(app: OpenAPIHono<ApiEnv>, context: ApiContext): void {
  const { audit } = context;

  app.openapi(routes.listAudit, async (c) => {
    const { subject, from, to, limit = AUDIT_PAGE_DEFAULT, ...rest } = c.req.valid("query");
    const page = await audit.list({
      ...rest,
      limit,
      subjects: subject === undefined ? undefined : audit.spellings(subject),
      from: from === undefined ? undefined : parseTime(from),
      to: to === undefined ? undefined : parseTime(to),
    });
    return c.json({ ...page, entries: named(context, page.entries) }, 200);
  });

  app.openapi(routes.exportAudit, async (c) => {
    const body = streamOf(await audit.export());
    return c.body(body, 200, {
      "content-type": LINES_TYPE,
      "content-disposition": 'attachment; filename="sternway-audit.jsonl"',
    });
  });

  app.openapi(routes.getAuditKey, (c) => {
    const { trouble } = audit;
    return c.json({ ...audit.key, head: audit.head, ...(trouble === undefined ? {} : { trouble }) }, 200);
  });
}

/** Entries with the plain names of what is there now: whoever asks may see them, the files must not show them. */
function named({ audit, volumes }: ApiContext, entries: readonly AuditEntry[]): WireAuditEntry[] {
  if (!entries.some((entry) => entry.subject.includes("#"))) return [...entries];
  const names = new Map(volumes.list().map(({ name }) => [audit.printOf(name), name]));
  return entries.map((entry) => {
    const about = entry.subject.replace(PRINT, (print) => names.get(print) ?? print);
    return about === entry.subject ? entry : { ...entry, about };
  });
}

function streamOf(source: AsyncGenerator<Uint8Array, void, undefined>): ReadableStream<Uint8Array> {
  return new ReadableStream<Uint8Array>({
    async pull(controller) {
      const { done, value } = await source.next();
      if (done) controller.close();
      else controller.enqueue(value);
    },
    async cancel() {
      await source.return();
    },
  });
}
