/**
 * Machines: volumes that belong together and are restored to one moment. A machine is a note about volumes, kept in the catalog; bookmarks,
 * rollbacks and branches of one are those of its volumes, kept in their vaults, and need no machine to be found or used.
 */
import { createRoute, z } from "@hono/zod-openapi";
import { lsnSchema, momentSchema, nameSchema, resolvedMomentSchema, timeSchema } from "./fields.ts";
import { bookmarkSchema } from "./history.ts";
import { json, jsonBody, problem } from "./route-parts.ts";
import { bookmarkScriptsSchema, scriptRunSchema, shownScriptsSchema } from "./scripts.ts";
import { volumeSchema } from "./volumes.ts";

/** A server with more disks than this is not one that is restored by hand. */
export const MACHINE_VOLUMES_MAX = 64;

const descriptionSchema = z.string().max(1_000);
const machineVolumesSchema = z
  .array(nameSchema)
  .min(1, "must name at least one volume")
  .max(MACHINE_VOLUMES_MAX, `must name at most ${MACHINE_VOLUMES_MAX} volumes`)
  .refine((names) => new Set(names).size === names.length, "must name each volume once")
  .openapi({ description: "a volume belongs to one machine at most", example: ["db-system", "db-data"] });

export const machineSchema = z
  .object({
    name: nameSchema,
    description: z.string(),
    createdAt: timeSchema,
    volumes: z.array(volumeSchema).openapi({ description: "in the machine's own order; those that can be had now" }),
    missing: z
      .array(z.object({ vault: z.string(), createdLsn: lsnSchema, createdAt: timeSchema, reason: z.string() }))
      .openapi({ description: "members that cannot be had: their vault is closed, or they were deleted" }),
    scripts: shownScriptsSchema.optional().openapi({ description: "run around each bookmark of its present" }),
  })
  .openapi("Machine");
export type WireMachine = z.output<typeof machineSchema>;
export const machineListSchema = z.object({ machines: z.array(machineSchema) }).openapi("MachineList");

export const machineParams = z.strictObject({ name: nameSchema });
const none = { query: z.strictObject({}) };
const ofMachine = { params: machineParams, ...none };
const approximateSchema = z
  .boolean()
  .optional()
  .openapi({ description: "although its volumes would not be at one moment of their vault" });

export const listMachines = createRoute({
  method: "get",
  path: "/v1/machines",
  operationId: "listMachines",
  summary: "All machines",
  tags: ["machines"],
  request: none,
  responses: { 200: json("the machines, by name", machineListSchema), default: problem },
});

export const createMachine = createRoute({
  method: "post",
  path: "/v1/machines",
  operationId: "createMachine",
  summary: "Note that volumes belong together",
  tags: ["machines"],
  request: {
    ...none,
    body: jsonBody(
      z
        .strictObject({
          name: nameSchema,
          description: descriptionSchema.optional(),
          volumes: machineVolumesSchema,
          scripts: bookmarkScriptsSchema.optional(),
        })
        .openapi("CreateMachine"),
    ),
  },
  responses: { 201: json("the new machine", machineSchema), default: problem },
});

export const getMachine = createRoute({
  method: "get",
  path: "/v1/machines/{name}",
  operationId: "getMachine",
  summary: "One machine",
  tags: ["machines"],
  request: ofMachine,
  responses: { 200: json("the machine", machineSchema), default: problem },
});

export const changeMachine = createRoute({
  method: "patch",
  path: "/v1/machines/{name}",
  operationId: "changeMachine",
  summary: "Change a machine's description, volumes or scripts; what is left out stays",
  tags: ["machines"],
  request: {
    ...ofMachine,
    body: jsonBody(
      z
        .strictObject({
          description: descriptionSchema.optional(),
          volumes: machineVolumesSchema.optional(),
          scripts: bookmarkScriptsSchema.nullable().optional().openapi({ description: "null: none any more" }),
        })
        .openapi("ChangeMachine"),
    ),
  },
  responses: { 200: json("the machine", machineSchema), default: problem },
});

export const deleteMachine = createRoute({
  method: "delete",
  path: "/v1/machines/{name}",
  operationId: "deleteMachine",
  summary: "Forget that the volumes belong together; they and their history stay as they are",
  tags: ["machines"],
  request: ofMachine,
  responses: { 204: { description: "it is forgotten" }, default: problem },
});

export const machineMomentSchema = z
  .object({
    isOne: z
      .boolean()
      .openapi({ description: "in each vault all volumes are at one LSN; false: retention kept different moments" }),
    volumes: z.array(resolvedMomentSchema.extend({ volume: nameSchema, vault: z.string() })),
  })
  .openapi("MachineMoment");
export type WireMachineMoment = z.output<typeof machineMomentSchema>;

export const resolveMachineMoment = createRoute({
  method: "get",
  path: "/v1/machines/{name}/moment",
  operationId: "resolveMachineMoment",
  summary: "The LSN of each volume that a moment means",
  tags: ["machines"],
  request: { params: machineParams, query: z.strictObject({ at: momentSchema }) },
  responses: { 200: json("the moment", machineMomentSchema), default: problem },
});

export const machineBookmarkSchema = z
  .object({
    name: nameSchema,
    createdAt: timeSchema.openapi({ description: "of the first of them" }),
    isOne: z.boolean(),
    volumes: z.array(bookmarkSchema.extend({ volume: nameSchema })),
  })
  .openapi("MachineBookmark");
export type WireMachineBookmark = z.output<typeof machineBookmarkSchema>;
export const machineBookmarkListSchema = z
  .object({ bookmarks: z.array(machineBookmarkSchema) })
  .openapi("MachineBookmarkList");

export const listMachineBookmarks = createRoute({
  method: "get",
  path: "/v1/machines/{name}/bookmarks",
  operationId: "listMachineBookmarks",
  summary: "Bookmarks that all volumes of a machine have",
  tags: ["machines"],
  request: ofMachine,
  responses: { 200: json("the bookmarks, oldest first", machineBookmarkListSchema), default: problem },
});

export const madeMachineBookmarkSchema = machineBookmarkSchema
  .extend({
    consistency: z.enum(["application", "crash"]),
    scripts: z.array(scriptRunSchema),
  })
  .openapi("MadeMachineBookmark");
export type WireMadeMachineBookmark = z.output<typeof madeMachineBookmarkSchema>;

export const createMachineBookmark = createRoute({
  method: "post",
  path: "/v1/machines/{name}/bookmarks",
  operationId: "createMachineBookmark",
  summary: "Give one moment of all volumes one name; all of them or none",
  description: "The present (the default) is made durable first; the machine's scripts run around it.",
  tags: ["machines"],
  request: {
    ...ofMachine,
    body: jsonBody(
      z
        .strictObject({
          name: nameSchema,
          at: momentSchema.optional(),
          note: z.string().max(500).optional(),
          scripts: z.boolean().optional().openapi({ description: "false: without the machine's scripts" }),
          approximate: approximateSchema,
        })
        .openapi("CreateMachineBookmark"),
    ),
  },
  responses: { 201: json("the bookmark", madeMachineBookmarkSchema), default: problem },
});

export const deleteMachineBookmark = createRoute({
  method: "delete",
  path: "/v1/machines/{name}/bookmarks/{bookmark}",
  operationId: "deleteMachineBookmark",
  summary: "Forget a bookmark of all volumes that have it; the moment itself stays",
  tags: ["machines"],
  request: { params: z.strictObject({ name: nameSchema, bookmark: nameSchema }), ...none },
  responses: { 204: { description: "it is gone" }, default: problem },
});

export const machineRollbackSchema = z
  .object({
    outcome: z.enum(["done", "partly"]).openapi({ description: "partly: look at each volume's state" }),
    undo: z.string().openapi({ description: "the moment before: roll back to it to undo this", example: "bookmark:x" }),
    volumes: z.array(
      z.object({
        volume: nameSchema,
        vault: z.string(),
        state: z.enum(["rolled-back", "failed", "untouched"]),
        to: resolvedMomentSchema,
        undo: z.string().openapi({ description: "the moment of this volume just before" }),
        error: z.string().optional(),
      }),
    ),
  })
  .openapi("MachineRollback");
export type WireMachineRollback = z.output<typeof machineRollbackSchema>;

export const rollbackMachine = createRoute({
  method: "post",
  path: "/v1/machines/{name}/rollback",
  operationId: "rollbackMachine",
  summary: "Set all volumes back to one moment; needs force while a client is attached",
  description:
    "Everything is checked before anything is changed, and the state before is bookmarked. When a volume fails in the middle, those before it are rolled back and those after it are not: 207, with the state of each.",
  tags: ["machines"],
  request: {
    ...ofMachine,
    body: jsonBody(
      z
        .strictObject({ to: momentSchema, force: z.boolean().optional(), approximate: approximateSchema })
        .openapi("RollbackMachine"),
    ),
  },
  responses: {
    200: json("done, durably", machineRollbackSchema),
    207: json("partly done: each volume says what it is", machineRollbackSchema),
    default: problem,
  },
});

export const machineBranchesSchema = z
  .object({ volumes: z.array(volumeSchema).openapi({ description: "the new volumes, in the machine's order" }) })
  .openapi("MachineBranches");

export const branchMachine = createRoute({
  method: "post",
  path: "/v1/machines/{name}/branches",
  operationId: "branchMachine",
  summary: "New writable volumes that start as all of a machine's at one moment; all of them or none",
  tags: ["machines"],
  request: {
    ...ofMachine,
    body: jsonBody(
      z
        .strictObject({
          at: momentSchema,
          prefix: z
            .string()
            .max(32)
            .optional()
            .openapi({ description: "before each volume's name", example: "trial-" }),
          suffix: z.string().max(32).optional().openapi({ description: "after each volume's name", example: "-trial" }),
          approximate: approximateSchema,
        })
        .refine(({ prefix = "", suffix = "" }) => prefix !== "" || suffix !== "", "must have a prefix or a suffix")
        .openapi("BranchMachine"),
    ),
  },
  responses: { 201: json("the new volumes", machineBranchesSchema), default: problem },
});
