/**
 * Vaults: list, create, show, lock, unlock, delete, forget. A key comes as the path of a file, which the daemon reads, or as a
 * passphrase in the body; it is kept in no event, no error and no log.
 */
import { createRoute, z } from "@hono/zod-openapi";
import { vaultStatusSchema } from "./appliance.ts";
import { nameSchema } from "./fields.ts";
import { json, jsonBody, problem } from "./route-parts.ts";

/** The longest path that Linux takes (PATH_MAX). */
const PATH_LENGTH_MAX = 4096;
const PASSPHRASE_LENGTH_MAX = 1024;

/** What unlocks a vault. Never logged, never kept. */
export const vaultKeySchema = z
  .union([
    z.strictObject({
      keyFile: z
        .string()
        .max(PATH_LENGTH_MAX)
        .regex(/^\//, "must be an absolute path: the daemon reads it")
        .openapi({ description: "absolute path of a file that the daemon reads" }),
    }),
    z.strictObject({ passphrase: z.string().min(1, "must not be empty").max(PASSPHRASE_LENGTH_MAX) }),
  ])
  .openapi("VaultKey");
export type VaultKey = z.output<typeof vaultKeySchema>;

export const VAULT_STATES = ["writable", "read-only", "locked", "closed", "damaged", "missing", "unavailable"] as const;

export const vaultSchema = z
  .object({
    name: nameSchema,
    state: z.enum(VAULT_STATES).openapi({
      description:
        "`writable` and `read-only` are open; `locked` waits for its key, `closed` was closed by somebody, `damaged`, `missing` and `unavailable` could not be opened",
    }),
    reason: z.string().optional().openapi({ description: "why it is not writable, in words" }),
    encrypted: z.boolean().optional().openapi({ description: "absent where it cannot be known" }),
    volumes: z.array(z.string()).openapi({
      description: "its volumes; of a closed vault, as last seen; of a locked one none, since their names are secret",
    }),
    volumeCount: z.int().min(0).openapi({ description: "how many volumes it has; of a closed vault, as last seen" }),
    status: vaultStatusSchema.optional().openapi({ description: "of an open vault" }),
  })
  .openapi("Vault");
export type WireVault = z.output<typeof vaultSchema>;

export const vaultListSchema = z.object({ vaults: z.array(vaultSchema) }).openapi("VaultList");

const bytes = z.number().int().nonnegative();

export const volumeSpaceSchema = z
  .object({
    volume: z.string(),
    uniqueBytes: bytes.openapi({ description: "stored for this volume alone: what deleting it gives back in the end" }),
    sharedBytes: bytes.openapi({ description: "stored for it and for others of its vault" }),
    mappedBytes: bytes.openapi({ description: "what all its kept versions of blocks would take each by itself, raw" }),
  })
  .openapi("VolumeSpace");

export const vaultSpaceSchema = z
  .object({
    vault: z.string(),
    storedBytes: bytes.openapi({ description: "of all packs" }),
    liveBytes: bytes.openapi({ description: "of them, what some volume needs" }),
    deadBytes: bytes.openapi({ description: "of them, what no volume needs: collecting gives it back where it pays" }),
    volumes: z.array(volumeSpaceSchema),
  })
  .openapi("VaultSpace");
export type WireVaultSpace = z.output<typeof vaultSpaceSchema>;

const vaultParams = z.strictObject({ name: nameSchema });
const none = z.strictObject({});
const answer = { 200: json("how it stands now", vaultSchema), default: problem };

export const listVaults = createRoute({
  method: "get",
  path: "/v1/vaults",
  operationId: "listVaults",
  summary: "All vaults, also those that could not be opened",
  tags: ["vaults"],
  request: { query: none },
  responses: { 200: json("the vaults; `default` first, then by name", vaultListSchema), default: problem },
});

export const createVault = createRoute({
  method: "post",
  path: "/v1/vaults",
  operationId: "createVault",
  summary: "Make a vault; whether it is encrypted is decided here for good",
  tags: ["vaults"],
  request: {
    query: none,
    body: jsonBody(
      z
        .strictObject({
          name: nameSchema,
          encrypt: vaultKeySchema.optional().openapi({
            description: "encrypt it at rest, and unlock it by this key",
          }),
        })
        .openapi("CreateVault"),
    ),
  },
  responses: { 201: json("the new vault, open", vaultSchema), default: problem },
});

export const getVaultNamed = createRoute({
  method: "get",
  path: "/v1/vaults/{name}",
  operationId: "getVaultNamed",
  summary: "One vault",
  tags: ["vaults"],
  request: { params: vaultParams, query: none },
  responses: answer,
});

export const getVaultSpace = createRoute({
  method: "get",
  path: "/v1/vaults/{name}/space",
  operationId: "getVaultSpace",
  summary: "Who needs what is stored: counted exactly, which reads the vault's whole map and takes a while",
  tags: ["vaults"],
  request: { params: vaultParams, query: none },
  responses: { 200: json("as of what is sealed; the journal is not among it", vaultSpaceSchema), default: problem },
});

export const lockVault = createRoute({
  method: "post",
  path: "/v1/vaults/{name}/lock",
  operationId: "lockVault",
  summary: "Close a vault and forget its key; needs force while anybody uses its volumes. Control socket only",
  tags: ["vaults"],
  request: {
    params: vaultParams,
    query: none,
    body: jsonBody(z.strictObject({ force: z.boolean().optional() }).openapi("LockVault")),
  },
  responses: answer,
});

export const unlockVault = createRoute({
  method: "post",
  path: "/v1/vaults/{name}/unlock",
  operationId: "unlockVault",
  summary: "Open a vault that is closed; an encrypted one needs its key. Control socket only",
  tags: ["vaults"],
  request: {
    params: vaultParams,
    query: none,
    body: jsonBody(z.strictObject({ key: vaultKeySchema.optional() }).openapi("UnlockVault")),
  },
  responses: answer,
});

export const deleteVault = createRoute({
  method: "post",
  path: "/v1/vaults/{name}/delete",
  operationId: "deleteVault",
  summary: "Delete an open vault with all that it stores, for good. Control socket only",
  tags: ["vaults"],
  request: {
    params: vaultParams,
    query: none,
    body: jsonBody(
      z
        .strictObject({
          confirm: z.string().optional().openapi({
            description: "the vault's name once more: deletes its volumes as well; locks and holds refuse that",
          }),
        })
        .openapi("DeleteVault"),
    ),
  },
  responses: { 204: { description: "it is gone" }, default: problem },
});

export const forgetVault = createRoute({
  method: "delete",
  path: "/v1/vaults/{name}",
  operationId: "forgetVault",
  summary: "Strike a missing vault off the list, so that its volumes' names are free again; deletes nothing",
  tags: ["vaults"],
  request: { params: vaultParams, query: none },
  responses: { 204: { description: "it is listed no more" }, default: problem },
});
