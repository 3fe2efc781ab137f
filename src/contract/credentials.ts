/**
 * Credentials of machines, with which the disks of one machine are reached through the block door (NBD): client certificates of the appliance's own authority, over TLS,
 * and users of the appliance's own system, over its local socket. A certificate is told once, with its private key; the appliance keeps its fingerprint alone.
 */
import { createRoute, z } from "@hono/zod-openapi";
import { nameSchema, timeSchema } from "./fields.ts";
import { json, jsonBody, problem } from "./route-parts.ts";
import { sendForJson, send, type ClientTarget } from "./transport.ts";

export const CREDENTIAL_DAYS_MAX = 825;
export const CREDENTIAL_DAYS_DEFAULT = 366;

/** The kernel's largest; the one above means nobody. */
export const UID_MAX = 2 ** 32 - 2;

export const credentialSchema = z
  .object({
    id: z.int().min(1),
    name: z.string(),
    fingerprint: z.string().optional().openapi({ description: "SHA-256 of the certificate; left out for a user" }),
    user: z
      .object({ name: z.string(), uid: z.int().min(0).max(UID_MAX) })
      .optional()
      .openapi({ description: "the user of the appliance's own system that it is for; left out for a certificate" }),
    readOnly: z.boolean().openapi({ description: "past moments alone; else the live disks too, to write" }),
    createdBy: z.string(),
    createdAt: timeSchema,
    expiresAt: timeSchema,
  })
  .openapi("Credential");
export type WireCredential = z.output<typeof credentialSchema>;
const credentialListSchema = z.object({ credentials: z.array(credentialSchema) }).openapi("CredentialList");

const madeCredentialSchema = credentialSchema
  .extend({
    certificatePem: z.string(),
    keyPem: z.string().openapi({ description: "the private key: kept nowhere else" }),
    authorityPem: z.string().openapi({ description: "by which a client knows this appliance" }),
  })
  .openapi("MadeCredential");
export type WireMadeCredential = z.output<typeof madeCredentialSchema>;

const userCredentialSchema = credentialSchema
  .extend({
    socketPath: z.string().optional().openapi({
      description: "where that user reaches the disks; left out: nbd.localSocket is not set, so nowhere yet",
    }),
  })
  .openapi("UserCredential");
export type WireUserCredential = z.output<typeof userCredentialSchema>;

/** What a new one may do, and for how long. */
interface CredentialWish {
  /** Whose it is, for people. */
  name: string;
  /** Default: true. */
  readOnly?: boolean;
  days?: number;
}

const none = { query: z.strictObject({}) };
const ofMachine = { params: z.strictObject({ name: nameSchema }), ...none };

export const listCredentials = createRoute({
  method: "get",
  path: "/v1/machines/{name}/credentials",
  operationId: "listCredentials",
  summary: "Who may reach a machine's disks through the block door",
  tags: ["machines"],
  request: ofMachine,
  responses: { 200: json("the credentials, oldest first", credentialListSchema), default: problem },
});

export const createCredential = createRoute({
  method: "post",
  path: "/v1/machines/{name}/credentials",
  operationId: "createCredential",
  summary: "Make a credential with which a machine's disks are reached through the block door",
  description:
    "A certificate, whose key is told once, in this answer; or, with `user`, for a user of the appliance's own system. One that may write, and one for a user, is made by administrators alone.",
  tags: ["machines"],
  request: {
    ...ofMachine,
    body: jsonBody(
      z
        .strictObject({
          name: nameSchema.openapi({ description: "whose it is, for people", example: "web1-host" }),
          readOnly: z.boolean().optional().openapi({ description: "default true" }),
          user: z
            .string()
            .regex(/^[A-Za-z0-9_][A-Za-z0-9_.@\\-]{0,62}\$?$/, "must be a user's name or number")
            .optional()
            .openapi({
              description: "a user of the appliance's own system, by name or number",
              example: "libvirt-qemu",
            }),
          days: z
            .int()
            .min(1)
            .max(CREDENTIAL_DAYS_MAX)
            .optional()
            .openapi({ description: `how long it holds; default ${CREDENTIAL_DAYS_DEFAULT}` }),
        })
        .openapi("CreateCredential"),
    ),
  },
  responses: {
    201: json("the credential, with its key", z.union([madeCredentialSchema, userCredentialSchema])),
    default: problem,
  },
});

export const deleteCredential = createRoute({
  method: "delete",
  path: "/v1/machines/{name}/credentials/{id}",
  operationId: "deleteCredential",
  summary: "Take a credential back; its open connections are ended",
  tags: ["machines"],
  request: {
    params: z.strictObject({
      name: nameSchema,
      id: z
        .string()
        .regex(/^[1-9]\d{0,14}$/, "must be a credential's number")
        .transform(Number)
        .openapi({ type: "integer", minimum: 1 }),
    }),
    ...none,
  },
  responses: { 204: { description: "it is taken back" }, default: problem },
});

/** The client's methods for them. */
export function credentialMethods(target: ClientTarget) {
  const path = (machine: string): string => `/v1/machines/${encodeURIComponent(machine)}/credentials`;
  return {
    credentials: async (machine: string) =>
      (await sendForJson(target, { method: "GET", path: path(machine) }, credentialListSchema)).credentials,
    createCredential: (machine: string, wish: CredentialWish) =>
      sendForJson(target, { method: "POST", path: path(machine), body: wish }, madeCredentialSchema),
    /** @param wish.user - of the appliance's own system, by name or number */
    createUserCredential: (machine: string, wish: CredentialWish & { user: string }) =>
      sendForJson(target, { method: "POST", path: path(machine), body: wish }, userCredentialSchema),
    async deleteCredential(machine: string, id: number): Promise<void> {
      await send(target, { method: "DELETE", path: `${path(machine)}/${id}` });
    },
  };
}
