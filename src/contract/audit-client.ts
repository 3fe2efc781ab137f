/** The client's part about the audit. */
import { SternwayError } from "../base/errors.ts";
import { auditKeySchema, auditListSchema } from "./audit.ts";
import { send, sendForJson, type ClientTarget } from "./transport.ts";

/** What entries must fit, and which page of them. Times are RFC 3339. */
export interface AuditListQuery {
  before?: number | undefined;
  limit?: number | undefined;
  who?: string | undefined;
  action?: string | undefined;
  subject?: string | undefined;
  result?: "done" | "refused" | "failed" | undefined;
  from?: string | undefined;
  to?: string | undefined;
}

export function auditClient(target: ClientTarget) {
  return {
    /** One page, newest first. */
    audit: (query: AuditListQuery = {}) =>
      sendForJson(target, { method: "GET", path: "/v1/audit", query: { ...query } }, auditListSchema),
    auditKey: () => sendForJson(target, { method: "GET", path: "/v1/audit/key" }, auditKeySchema),
    /** The bytes of an export; pull-driven. Cancel it to stop early. */
    async auditExport(signal?: AbortSignal): Promise<ReadableStream<Uint8Array>> {
      const { body } = await send(target, { method: "GET", path: "/v1/audit/export", signal });
      if (body) return body;
      throw new SternwayError("internal", "the export came without a body");
    },
  };
}
