/**
 * Scripts around bookmarks: executables that an administrator placed in DATA/scripts on the appliance's machine. They are listed here and named in
 * the settings of machines and schedules; nothing of them can be changed or uploaded over the API.
 */
import { createRoute, z } from "@hono/zod-openapi";
import { bytesSchema, nameSchema } from "./fields.ts";
import { json, problem } from "./route-parts.ts";

/** Longer than a database takes to quiesce, and short enough for a file system that is frozen meanwhile. */
export const SCRIPT_SECONDS_MAX = 600;
export const SCRIPT_SECONDS_DEFAULT = 60;

const scriptName = nameSchema.openapi({ description: "the name of a file in DATA/scripts", example: "freeze" });

export const bookmarkScriptsSchema = z
  .strictObject({
    pre: scriptName
      .optional()
      .openapi({ description: "runs before the bookmark, such as one that freezes a database" }),
    post: scriptName.optional().openapi({ description: "runs after it, whatever came of it, once `pre` was started" }),
    timeoutSeconds: z
      .int()
      .min(1)
      .max(SCRIPT_SECONDS_MAX)
      .default(SCRIPT_SECONDS_DEFAULT)
      .openapi({ description: "how long each may take; then it gets TERM, and its process group KILL after 5 s" }),
    ifPreFails: z
      .enum(["no-bookmark", "crash-consistent"])
      .default("no-bookmark")
      .openapi({ description: "no bookmark at all, or one whose note says that it is crash-consistent only" }),
  })
  .refine(({ pre, post }) => pre !== undefined || post !== undefined, "must name at least one of pre and post")
  .openapi("BookmarkScripts");
export type BookmarkScripts = z.output<typeof bookmarkScriptsSchema>;

/** As answers show it. */
export const shownScriptsSchema = z
  .object({
    pre: z.string().optional(),
    post: z.string().optional(),
    timeoutSeconds: z.int(),
    ifPreFails: z.enum(["no-bookmark", "crash-consistent"]),
  })
  .openapi("ScriptsAroundBookmarks");

export const scriptRunSchema = z
  .object({
    script: z.string(),
    phase: z.enum(["pre", "post"]),
    result: z.enum(["ok", "failed", "timed-out", "stopped", "unfit"]),
    exitCode: z.int().optional().openapi({ description: "absent when a signal ended it, or it was not started" }),
    seconds: z.number().min(0),
    output: z.string().openapi({ description: "the end of what it printed, up to 8 KiB" }),
    droppedBytes: bytesSchema.openapi({ description: "printed before that, and not kept" }),
    reason: z.string().optional().openapi({ description: "why it is not `ok`, in words" }),
  })
  .openapi("ScriptRun");
export type WireScriptRun = z.output<typeof scriptRunSchema>;

export const scriptSchema = z
  .object({
    name: z.string(),
    owner: z.int().min(0).optional().openapi({ description: "user id of its owner" }),
    mode: z.string().optional().openapi({ example: "0755" }),
    sizeBytes: bytesSchema.optional(),
    fit: z.boolean().openapi({ description: "it would be run" }),
    reason: z.string().optional().openapi({ description: "why it would not be, and what to do about it" }),
  })
  .openapi("Script");
export const scriptListSchema = z
  .object({
    folder: z.string().openapi({ description: "where an administrator places them, on the appliance's machine" }),
    scripts: z.array(scriptSchema),
    reason: z.string().optional().openapi({ description: "why none of the folder would be run" }),
  })
  .openapi("ScriptList");
export type WireScriptList = z.output<typeof scriptListSchema>;

export const listScripts = createRoute({
  method: "get",
  path: "/v1/scripts",
  operationId: "listScripts",
  summary: "Scripts that may run around bookmarks, and whether each is fit to",
  tags: ["scripts"],
  request: { query: z.strictObject({}) },
  responses: { 200: json("the scripts, by name", scriptListSchema), default: problem },
});
