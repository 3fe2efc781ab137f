/** Routes of growth and reports. */
import type { OpenAPIHono } from "@hono/zod-openapi";
import { routes } from "../contract/contract.ts";
import { REPORT_KINDS, REPORT_TYPES } from "../contract/reports.ts";
import { growthOf, makeReport, rangeOf, renderReport, reportMail, REPORTS } from "../report/report.ts";
import type { ApiContext, ApiEnv } from "./appliance.ts";
import { reportSourcesOf, sendableSourcesOf } from "./report-sources.ts";

const WEEK = 7 * 86_400e6;

export function registerReportRoutes(app: OpenAPIHono<ApiEnv>, context: ApiContext): void {
  const sources = reportSourcesOf(context);

  app.openapi(routes.getGrowth, async (c) => {
    const { vault, ...range } = c.req.valid("query");
    if (vault !== undefined) await context.appliance.vaults.show(vault);
    return c.json(growthOf(sources, rangeOf(range, sources.now(), WEEK), vault), 200);
  });

  app.openapi(routes.listReports, (c) => {
    const reports = REPORT_KINDS.map((kind) => ({ kind, title: REPORTS[kind].title, about: REPORTS[kind].about }));
    return c.json({ reports }, 200);
  });

  app.openapi(routes.getReport, async (c) => {
    const { kind } = c.req.valid("param");
    const { format = "json", ...range } = c.req.valid("query");
    const report = await makeReport(kind, rangeOf(range, sources.now()), sources);
    if (format === "json") return c.json(report, 200);
    const name = `sternway-${kind}-${report.to.slice(0, 10)}.${format}`;
    return c.body(renderReport(report, format, sources.zone), 200, {
      "content-type": REPORT_TYPES[format],
      "content-disposition": `${format === "csv" ? "attachment" : "inline"}; filename="${name}"`,
      // Beside the policy in the page itself, for whoever opens it from here; what is made is nobody's but the asker's.
      "content-security-policy": "default-src 'none'; style-src 'unsafe-inline'; sandbox",
      "x-content-type-options": "nosniff",
      "cache-control": "no-store",
    });
  });

  app.openapi(routes.sendReport, async (c) => {
    const { kind } = c.req.valid("param");
    const { channel, ...range } = c.req.valid("json");
    context.notifier.directory.channel(channel);
    const report = await makeReport(kind, rangeOf(range, sources.now()), await sendableSourcesOf(context));
    context.notifier.sendReport(channel, reportMail(report, sources.zone));
    return c.body(null, 202);
  });
}
