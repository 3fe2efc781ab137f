/**
 * Tiers of vaults, and vaults that are opened from a tier. Secrets are in files, which the daemon reads: neither a request nor a URL carries one.
 */
import { createRoute, z } from "@hono/zod-openapi";
import { bytesSchema, countSchema, lsnSchema, nameSchema, timeSchema } from "./fields.ts";
import { JOB_DESCRIPTION, jobStarted } from "./jobs.ts";
import { problemSchema } from "./problem.ts";
import { json, jsonBody, problem } from "./route-parts.ts";
import { vaultKeySchema, vaultSchema } from "./vaults.ts";

const TIER_NAME = /^[a-z0-9][a-z0-9-]{0,31}$/;
export const tierNameSchema = z
  .string()
  .regex(TIER_NAME, "must be 1 to 32 of a-z 0-9 -, starting with a letter or digit")
  .openapi({ example: "offsite" });

const pathSchema = z.string().max(4096).regex(/^\//, "must be an absolute path: the daemon reads it");

export const TIER_MODES = ["sync", "continuous", "scheduled"] as const;
export const TIER_STATES = ["connecting", "unsynchronised", "online", "offline", "foreign", "overtaken"] as const;

/** Where and how. */
const place = {
  url: z.string().min(1).max(1024).openapi({
    description:
      "`file:///path`, `s3://bucket/prefix?endpoint=…&region=…` or `https://host:port/name`; without any secret",
    example: "s3://backups/web?endpoint=https://s3.example.org&region=eu-1",
  }),
  secretFile: pathSchema.optional().openapi({
    description:
      "S3: lines `accessKeyId=` and `secretAccessKey=`; peer: the token. Default: the environment of the daemon",
  }),
  caFile: pathSchema
    .optional()
    .openapi({ description: "PEM: who signs the place's certificate, besides the usual ones" }),
  bandwidth: z.string().max(200).optional().openapi({ example: "08:00-18:00=5MiB/s,*=unlimited" }),
};

export const addTierSchema = z
  .strictObject({
    name: tierNameSchema,
    ...place,
    mode: z.enum(TIER_MODES).default("continuous").openapi({
      description:
        "`sync`: a flush is answered when this tier has it, too; `continuous`: as soon as it is sealed, the rest within the RPO; `scheduled`: at times",
    }),
    schedule: z
      .string()
      .max(100)
      .optional()
      .openapi({ description: "hourly, daily, weekly, monthly, or a cron expression" }),
    rpoSeconds: z.number().min(0.1).max(86_400).default(5).openapi({ description: "how far it may lag behind" }),
    backlogBytesMax: z
      .int()
      .min(2 ** 20)
      .optional()
      .openapi({
        description:
          "when more than half of this waits for it, writers are slowed, until they go at its pace; default: this machine keeps everything anyway, so never",
      }),
  })
  .openapi("AddTier");
export type AddTier = z.output<typeof addTierSchema>;

export const tierSchema = z
  .object({
    vault: nameSchema,
    name: tierNameSchema,
    url: z.string(),
    mode: z.enum(TIER_MODES),
    schedule: z.string().optional(),
    rpoSeconds: z.number(),
    bandwidth: z.string().optional(),
    backlogBytesMax: z.int().optional(),
    state: z.enum(TIER_STATES).openapi({
      description:
        "`foreign`: another installation writes there; `overtaken`: another one took the vault over; `unsynchronised`: it is being brought up",
    }),
    since: timeSchema.optional(),
    reason: z.string().optional().openapi({ description: "why it is not online" }),
    revision: countSchema.optional().openapi({ description: "number of the newest manifest there" }),
    reachedLsn: lsnSchema.openapi({ description: "everything up to here can be had from it" }),
    lagSeconds: z.number().min(0),
    lagBytes: bytesSchema.openapi({ description: "what is here and not there" }),
    progress: z.object({ doneBytes: bytesSchema, totalBytes: bytesSchema }).optional(),
    objectsPut: countSchema,
    bytesPut: bytesSchema,
    attempts: countSchema.openapi({ description: "requests tried since the vault was opened" }),
    failures: countSchema,
  })
  .openapi("Tier");
export type WireTier = z.output<typeof tierSchema>;

export const tierListSchema = z.object({ tiers: z.array(tierSchema) }).openapi("TierList");

export const syncLineSchema = z
  .discriminatedUnion("line", [
    z.object({ line: z.literal("tier"), tier: tierSchema }),
    z.object({
      line: z.literal("end"),
      lsn: lsnSchema.openapi({ description: "every tier asked for has everything up to here" }),
    }),
    z.object({ line: z.literal("failed"), problem: problemSchema }),
  ])
  .openapi("SyncLine");
export type SyncLine = z.output<typeof syncLineSchema>;

export const verifyLineSchema = z
  .discriminatedUnion("line", [
    z.object({ line: z.literal("progress"), objects: countSchema, objectsTotal: countSchema, bytes: bytesSchema }),
    z.object({ line: z.literal("finding"), object: z.string(), message: z.string(), repaired: z.boolean() }),
    z.object({
      line: z.literal("end"),
      objects: countSchema,
      bytes: bytesSchema,
      findings: countSchema,
      repaired: countSchema,
    }),
    z.object({ line: z.literal("failed"), problem: problemSchema }),
  ])
  .openapi("VerifyLine");
export type WireVerifyLine = z.output<typeof verifyLineSchema>;

export const openVaultSchema = z
  .strictObject({
    name: nameSchema.openapi({ description: "what the vault is to be called here" }),
    tier: tierNameSchema.default("origin").openapi({ description: "what the tier is to be called here" }),
    ...place,
    key: vaultKeySchema.optional().openapi({ description: "of an encrypted vault" }),
    takeOver: z
      .boolean()
      .optional()
      .openapi({ description: "become its writer: whoever wrote to it before no longer may" }),
    followSeconds: z.int().min(0).max(86_400).optional().openapi({
      description: "while it is only read here: how often to look whether the tier has more; 0: never; default: 30",
    }),
  })
  .openapi("OpenVault");
export type OpenVault = z.output<typeof openVaultSchema>;

const vaultParams = z.strictObject({ name: nameSchema });
const tierParams = z.strictObject({ name: nameSchema, tier: tierNameSchema });
const none = z.strictObject({});

export const listTiers = createRoute({
  method: "get",
  path: "/v1/vaults/{name}/tiers",
  operationId: "listTiers",
  summary: "The tiers of a vault and how far they are, in the order in which they are read from",
  tags: ["tiers"],
  request: { params: vaultParams, query: none },
  responses: { 200: json("the tiers", tierListSchema), default: problem },
});

export const addTier = createRoute({
  method: "post",
  path: "/v1/vaults/{name}/tiers",
  operationId: "addTier",
  summary: "Make a place a tier of a vault; copying begins in the background. Control socket only",
  tags: ["tiers"],
  request: { params: vaultParams, query: none, body: jsonBody(addTierSchema) },
  responses: { 201: json("the tier", tierSchema), default: problem },
});

export const removeTier = createRoute({
  method: "delete",
  path: "/v1/vaults/{name}/tiers/{tier}",
  operationId: "removeTier",
  summary: "Let go of a tier; what it holds stays there. Control socket only",
  tags: ["tiers"],
  request: { params: tierParams, query: none },
  responses: { 204: { description: "it is no tier any more" }, default: problem },
});

export const syncTiers = createRoute({
  method: "post",
  path: "/v1/vaults/{name}/tiers/sync",
  operationId: "syncTiers",
  summary: "Bring tiers up to everything written so far, and wait for it, as a job",
  description: `${JOB_DESCRIPTION} Its lines are SyncLine. Cancelling it stops the waiting, not the copying.`,
  tags: ["tiers"],
  request: {
    params: vaultParams,
    query: none,
    body: jsonBody(z.strictObject({ tier: tierNameSchema.optional() }).openapi("SyncTiers")),
  },
  responses: { 202: jobStarted, default: problem },
});

export const verifyTier = createRoute({
  method: "post",
  path: "/v1/vaults/{name}/tiers/{tier}/verify",
  operationId: "verifyTier",
  summary: "Read everything that a tier should hold, and compare it, as a job",
  description: `${JOB_DESCRIPTION} Its lines are VerifyLine.`,
  tags: ["tiers"],
  request: {
    params: tierParams,
    query: none,
    body: jsonBody(
      z
        .strictObject({
          repair: z.boolean().optional().openapi({ description: "put anew what is damaged or missing there" }),
        })
        .openapi("VerifyTier"),
    ),
  },
  responses: { 202: jobStarted, default: problem },
});

export const openVaultFrom = createRoute({
  method: "post",
  path: "/v1/vaults/open",
  operationId: "openVaultFrom",
  summary: "Open a vault from a tier, for reading, or as its writer. Control socket only",
  tags: ["tiers"],
  request: { query: none, body: jsonBody(openVaultSchema) },
  responses: { 201: json("the vault, open", vaultSchema), default: problem },
});

const keyBody = (name: string) => jsonBody(z.strictObject({ key: vaultKeySchema.optional() }).openapi(name));

export const takeOverVault = createRoute({
  method: "post",
  path: "/v1/vaults/{name}/take-over",
  operationId: "takeOverVault",
  summary: "Become the writer of a vault that was opened from a tier. Control socket only",
  tags: ["tiers"],
  request: { params: vaultParams, query: none, body: keyBody("TakeOverVault") },
  responses: { 200: json("the vault, writable", vaultSchema), default: problem },
});

export const refreshVault = createRoute({
  method: "post",
  path: "/v1/vaults/{name}/refresh",
  operationId: "refreshVault",
  summary: "Read anew what the tier holds of a vault that was opened from it for reading. Control socket only",
  tags: ["tiers"],
  request: { params: vaultParams, query: none, body: keyBody("RefreshVault") },
  responses: { 200: json("the vault as its tier has it now", vaultSchema), default: problem },
});
