/** Reports: what there is to show of a day, a week or any range, as JSON, CSV, or a page that stands by itself. */
import { createRoute, z } from "@hono/zod-openapi";
import { countSchema, nameSchema, timeSchema } from "./fields.ts";
import { instantSchema } from "./growth.ts";
import { json, jsonBody, problem } from "./route-parts.ts";

export const REPORT_KINDS = ["protection", "restores", "verification", "growth", "compliance"] as const;
export type ReportKind = (typeof REPORT_KINDS)[number];
/** Of a report that a schedule sends: so much before the day on which it is sent, in whole days. */
export const REPORT_SPANS = ["day", "week", "month"] as const;
export type ReportSpan = (typeof REPORT_SPANS)[number];
export const REPORT_FORMATS = ["json", "csv", "html"] as const;
export type ReportFormat = (typeof REPORT_FORMATS)[number];

export const REPORT_TYPES: Record<ReportFormat, string> = {
  json: "application/json",
  csv: "text/csv; charset=utf-8",
  html: "text/html; charset=utf-8",
};

/** What a column holds: bytes and counts are whole numbers, times RFC 3339, `seconds` and `percent` numbers. */
export const COLUMN_TYPES = ["text", "bytes", "count", "seconds", "percent", "time", "yes-no"] as const;

const cellSchema = z.union([z.string(), z.number(), z.boolean(), z.null()]);
export const reportSchema = z
  .object({
    kind: z.enum(REPORT_KINDS),
    title: z.string(),
    appliance: z.string(),
    version: z.string(),
    from: timeSchema,
    to: timeSchema,
    madeAt: timeSchema,
    findings: z
      .array(z.object({ level: z.enum(["good", "warning", "bad"]), text: z.string() }))
      .openapi({ description: "in words, the worst first" }),
    sections: z.array(
      z.object({
        title: z.string(),
        about: z.string().optional(),
        columns: z.array(z.object({ key: z.string(), title: z.string(), type: z.enum(COLUMN_TYPES) })),
        rows: z.array(z.record(z.string(), cellSchema)),
        left: countSchema.optional().openapi({ description: "rows that are too many to be listed" }),
        charts: z
          .array(
            z.object({
              title: z.string(),
              series: z.array(
                z.object({
                  name: z.string(),
                  points: z
                    .array(z.tuple([z.number(), z.number()]))
                    .openapi({ description: "[seconds since 1970, bytes]" }),
                }),
              ),
            }),
          )
          .optional(),
      }),
    ),
  })
  .openapi("Report");
export type WireReport = z.output<typeof reportSchema>;
export type ReportSection = WireReport["sections"][number];
export type ReportCell = z.output<typeof cellSchema>;

export const reportListSchema = z
  .object({ reports: z.array(z.object({ kind: z.enum(REPORT_KINDS), title: z.string(), about: z.string() })) })
  .openapi("ReportList");

const none = z.strictObject({});
const tags = ["reports"];
const kindParams = z.strictObject({ kind: z.enum(REPORT_KINDS) });
const range = {
  from: instantSchema.optional().openapi({ description: "default: a day before `to`" }),
  to: instantSchema.optional().openapi({ description: "default: now" }),
};

export const listReports = createRoute({
  method: "get",
  path: "/v1/reports",
  operationId: "listReports",
  summary: "The reports that there are",
  tags,
  request: { query: none },
  responses: { 200: json("the reports", reportListSchema), default: problem },
});

export const getReport = createRoute({
  method: "get",
  path: "/v1/reports/{kind}",
  operationId: "getReport",
  summary: "One report: JSON, CSV, or HTML that needs nothing else and prints well",
  tags,
  request: {
    params: kindParams,
    query: z.strictObject({
      ...range,
      format: z.enum(REPORT_FORMATS).optional().openapi({ description: "default: json" }),
    }),
  },
  responses: {
    200: {
      description: "the report",
      content: {
        "application/json": { schema: reportSchema },
        "text/csv": { schema: z.string() },
        "text/html": { schema: z.string() },
      },
    },
    default: problem,
  },
});

export const sendReport = createRoute({
  method: "post",
  path: "/v1/reports/{kind}/send",
  operationId: "sendReport",
  summary: "Send a report through a notification channel; a mail carries it as a page, and as CSV beside it",
  tags,
  request: {
    params: kindParams,
    query: none,
    body: jsonBody(z.strictObject({ channel: nameSchema, ...range }).openapi("SendReport")),
  },
  responses: { 202: { description: "it is queued; GET /v1/deliveries tells what becomes of it" }, default: problem },
});
