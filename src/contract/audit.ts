/** The audit: who did what to what, from where, with what result. It is read and exported here; verifying needs no appliance (`sternway audit verify`). */
import { createRoute, z } from "@hono/zod-openapi";
import { parseTime } from "../base/units.ts";
import { lsnSchema, queryInteger, timeSchema } from "./fields.ts";
import { json, lines, problem } from "./route-parts.ts";

export const AUDIT_PAGE_MAX = 1_000;
export const AUDIT_PAGE_DEFAULT = 100;

const hashSchema = z.string().openapi({ description: "SHA-256, hexadecimal" });
const headSchema = z.object({ seq: lsnSchema.openapi({ description: "number of the line" }), hash: hashSchema });

export const auditEntrySchema = z
  .object({
    seq: z.int().min(1).openapi({ description: "number of the line; signatures take some" }),
    time: timeSchema,
    who: z
      .string()
      .openapi({ description: "the account; `root` over the control socket, `-` for nobody", example: "ann" }),
    role: z.string(),
    by: z.string().openapi({ description: "how they signed in: control, session, token; `-` for not at all" }),
    from: z.string().openapi({ description: "address of the other side; empty on this machine's own sockets" }),
    action: z.string().openapi({ description: "the operation's id, or a word", example: "rollbackVolume" }),
    subject: z.string().openapi({
      description: "what it was done to; of a volume in an encrypted vault, the vault and a print of the name",
      example: "web1",
    }),
    about: z.string().optional().openapi({ description: "the subject in plain names, where its vault is open" }),
    result: z.enum(["done", "refused", "failed"]),
    detail: z.record(z.string(), z.union([z.string(), z.number(), z.boolean()])).optional(),
    previous: hashSchema,
    hash: hashSchema,
  })
  .openapi("AuditEntry");
export type WireAuditEntry = z.output<typeof auditEntrySchema>;

export const auditListSchema = z
  .object({
    entries: z.array(auditEntrySchema),
    next: z.int().optional().openapi({
      description: "pass as `before`; a page may be empty and still have it, when what is looked for is rare",
    }),
  })
  .openapi("AuditList");

export const auditKeySchema = z
  .object({
    fingerprint: z.string().openapi({ description: "SHA-256 of the public key, hexadecimal: note it down elsewhere" }),
    publicKey: z.string().openapi({ description: "Ed25519, SPKI in base64" }),
    head: headSchema.openapi({ description: "the newest line: noted down, it proves later that nothing was cut off" }),
    trouble: z.string().optional().openapi({ description: "why entries cannot be written at this time" }),
  })
  .openapi("AuditKey");
export type WireAuditKey = z.output<typeof auditKeySchema>;

const text = z.string().min(1).max(256);
const queryTime = z
  .string()
  .max(64)
  .refine((given) => parseTime(given) !== undefined, "must be an RFC 3339 time with a zone");

export const listAudit = createRoute({
  method: "get",
  path: "/v1/audit",
  operationId: "listAudit",
  summary: "Entries of the audit, newest first",
  tags: ["audit"],
  request: {
    query: z.strictObject({
      before: queryInteger(1, Number.MAX_SAFE_INTEGER).optional(),
      limit: queryInteger(1, AUDIT_PAGE_MAX).optional(),
      who: text.optional(),
      action: text.optional(),
      subject: text.optional().openapi({ description: "`web1` finds its bookmarks and holds too" }),
      result: z.enum(["done", "refused", "failed"]).optional(),
      from: queryTime.optional().openapi({ description: "at or after this time" }),
      to: queryTime.optional().openapi({ description: "before this time" }),
    }),
  },
  responses: { 200: json("one page", auditListSchema), default: problem },
});

export const exportAudit = createRoute({
  method: "get",
  path: "/v1/audit/export",
  operationId: "exportAudit",
  summary: "The whole audit with its signatures, as JSON lines, for keeping elsewhere",
  description:
    "The first line names the public key, the last one repeats the head; between them are the lines as they were written. `sternway audit verify FILE` checks it.",
  tags: ["audit"],
  request: { query: z.strictObject({}) },
  responses: { 200: lines("the audit", z.object({})), default: problem },
});

export const getAuditKey = createRoute({
  method: "get",
  path: "/v1/audit/key",
  operationId: "getAuditKey",
  summary: "The key that signs the audit, and the newest line",
  tags: ["audit"],
  request: { query: z.strictObject({}) },
  responses: { 200: json("the key", auditKeySchema), default: problem },
});
