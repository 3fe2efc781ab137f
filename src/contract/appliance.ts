/** The appliance itself: health, vault, check, disks, events. */
import { createRoute, z } from "@hono/zod-openapi";
import { bytesSchema, countSchema, lsnSchema, nameSchema, timeSchema } from "./fields.ts";
import { JOB_DESCRIPTION, jobStarted } from "./jobs.ts";
import { pageQuery } from "./pages.ts";
import { problemSchema } from "./problem.ts";
import { json, jsonBody, problem } from "./route-parts.ts";

export { PAGE_MAX } from "./pages.ts";

const none = { query: z.strictObject({}) };

export const healthSchema = z
  .object({
    status: z.enum(["ok", "degraded", "stopping"]),
    version: z.string(),
    startedAt: timeSchema,
    reasons: z.array(z.string()).openapi({ description: "why it is not `ok`, in words" }),
  })
  .openapi("Health");
export type Health = z.output<typeof healthSchema>;

export const getHealth = createRoute({
  method: "get",
  path: "/healthz",
  operationId: "getHealth",
  summary: "Whether the appliance serves; 503 when it does not",
  tags: ["appliance"],
  request: none,
  responses: { 200: json("it serves", healthSchema), 503: json("it does not", healthSchema), default: problem },
});

export const getMetrics = createRoute({
  method: "get",
  path: "/metrics",
  operationId: "getMetrics",
  summary: "Metrics in the Prometheus text format",
  tags: ["appliance"],
  request: none,
  responses: { 200: { description: "metrics", content: { "text/plain": { schema: z.string() } } }, default: problem },
});

/** How a vault that is only read here keeps up with its tier. */
export const followSchema = z
  .object({
    everySeconds: countSchema.openapi({ description: "between two looks; 0: it looks when it is refreshed" }),
    currentAt: timeSchema.optional().openapi({
      description: "when the tier said last that it has nothing newer; absent: not since the vault was opened",
    }),
    newestAt: timeSchema
      .optional()
      .openapi({ description: "the newest write that can be read; absent: there is none" }),
    reason: z.string().optional().openapi({ description: "why the last look failed" }),
    olderViews: countSchema.openapi({ description: "older states that somebody is still reading from" }),
  })
  .openapi("Follow");
export type WireFollow = z.output<typeof followSchema>;

export const vaultStatusSchema = z
  .object({
    id: z.string(),
    state: z.enum(["writable", "read-only"]),
    reason: z.string().optional().openapi({ description: "why it is read-only" }),
    epoch: countSchema,
    lastLsn: lsnSchema,
    durableLsn: lsnSchema,
    sealedLsn: lsnSchema.openapi({ description: "up to here history is in packs and layers" }),
    volumeCount: countSchema,
    journalUsedBytes: bytesSchema,
    journalSizeBytes: bytesSchema,
    storedBytes: bytesSchema.openapi({ description: "packs and layers on disk" }),
    packCount: countSchema,
    layerCount: countSchema,
    freeBytes: bytesSchema,
    totalBytes: bytesSchema,
    follow: followSchema.optional().openapi({ description: "of a vault that was opened from a tier to be read" }),
  })
  .openapi("VaultStatus");
export type VaultStatus = z.output<typeof vaultStatusSchema>;

export const getVault = createRoute({
  method: "get",
  path: "/v1/vault",
  operationId: "getVault",
  summary: "How the vault `default` stands; /v1/vaults tells of all",
  tags: ["appliance"],
  request: none,
  responses: { 200: json("the vault", vaultStatusSchema), default: problem },
});

export const checkLineSchema = z
  .discriminatedUnion("line", [
    z.object({ line: z.literal("progress"), what: z.string(), done: countSchema, total: countSchema }),
    z.object({
      line: z.literal("finding"),
      severity: z.enum(["damage", "warning"]),
      subject: z.string().openapi({ description: "the object: a pack, a layer, a journal file, a volume" }),
      message: z.string(),
      facts: z.record(z.string(), z.union([z.string(), z.number(), z.boolean()])),
    }),
    z.object({ line: z.literal("end"), findings: countSchema, objects: countSchema, bytes: bytesSchema }),
    z.object({ line: z.literal("failed"), problem: problemSchema }),
  ])
  .openapi("CheckLine");
export type CheckLine = z.output<typeof checkLineSchema>;

export const startCheck = createRoute({
  method: "post",
  path: "/v1/check",
  operationId: "startCheck",
  summary: "Verify the vaults beside their service, as a job",
  description: `${JOB_DESCRIPTION} Its lines are CheckLine. One check runs at a time.`,
  tags: ["appliance"],
  request: {
    ...none,
    body: jsonBody(
      z
        .strictObject({
          volume: nameSchema.optional().openapi({ description: "only what this volume needs" }),
          vault: nameSchema
            .optional()
            .openapi({ description: "only this vault; a closed one is refused, not passed over" }),
          quick: z
            .boolean()
            .optional()
            .openapi({ description: "structure and checksums of metadata; no block is read" }),
        })
        .openapi("StartCheck"),
    ),
  },
  responses: { 202: jobStarted, default: problem },
});
export type CheckRequest = {
  volume?: string | undefined;
  vault?: string | undefined;
  quick?: boolean | undefined;
};

const mountSchema = z.object({
  path: z.string(),
  fsType: z.string(),
  sizeBytes: bytesSchema.optional(),
  usedBytes: bytesSchema.optional(),
  freeBytes: bytesSchema.optional(),
});
const partitionSchema = z.object({
  name: z.string(),
  path: z.string(),
  sizeBytes: bytesSchema,
  mounts: z.array(mountSchema),
});
export const diskListSchema = z
  .object({
    disks: z.array(
      partitionSchema.extend({
        model: z.string().optional(),
        serial: z.string().optional(),
        removable: z.boolean(),
        readOnly: z.boolean(),
        rotational: z.boolean(),
        logicalBlockBytes: bytesSchema,
        partitions: z.array(partitionSchema),
      }),
    ),
    store: mountSchema
      .extend({ dataDir: z.string(), reserveBytes: bytesSchema, low: z.boolean() })
      .openapi({ description: "the file system that holds the data folder" }),
    vaults: z
      .array(mountSchema.extend({ vault: z.string(), dir: z.string(), low: z.boolean() }))
      .openapi({ description: "the file system that holds each vault" }),
    warnings: z.array(z.string()).openapi({ description: "what could not be found out, in words" }),
  })
  .openapi("DiskList");
export type DiskList = z.output<typeof diskListSchema>;

export const listDisks = createRoute({
  method: "get",
  path: "/v1/disks",
  operationId: "listDisks",
  summary: "The machine's disks, and the space that the vaults have",
  tags: ["appliance"],
  request: none,
  responses: { 200: json("the disks", diskListSchema), default: problem },
});

export const eventSchema = z
  .object({
    id: z.int().min(1),
    time: timeSchema,
    level: z.enum(["info", "warning", "alert"]),
    kind: z.string().openapi({ example: "space-low" }),
    subject: z.string(),
    message: z.string(),
  })
  .openapi("Event");
export const eventListSchema = z
  .object({ events: z.array(eventSchema), next: z.int().optional().openapi({ description: "pass as `before`" }) })
  .openapi("EventList");

export const listEvents = createRoute({
  method: "get",
  path: "/v1/events",
  operationId: "listEvents",
  summary: "Events and alerts, newest first",
  tags: ["appliance"],
  request: { query: pageQuery },
  responses: { 200: json("one page", eventListSchema), default: problem },
});
