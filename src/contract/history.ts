/** What changes a volume's course: rollback, branches, bookmarks; and the difference between two moments. */
import { createRoute, z } from "@hono/zod-openapi";
import { bytesSchema, lsnSchema, momentSchema, nameSchema, resolvedMomentSchema, volumeParams } from "./fields.ts";
import { countSchema, timeSchema } from "./fields.ts";
import { nextPlace, placeQuery } from "./pages.ts";
import { problemSchema } from "./problem.ts";
import { json, jsonBody, lines, problem } from "./route-parts.ts";
import { volumeListSchema, volumeSchema } from "./volumes.ts";

export const rollbackSchema = z
  .object({
    lsn: lsnSchema.openapi({ description: "LSN of the rollback itself" }),
    to: resolvedMomentSchema,
    undo: z
      .string()
      .openapi({ description: "the moment just before it: roll back to it to undo this", example: "lsn:41" }),
  })
  .openapi("Rollback");

export const rollbackVolume = createRoute({
  method: "post",
  path: "/v1/volumes/{name}/rollback",
  operationId: "rollbackVolume",
  summary: "Set the present back to a moment; needs force while a client is attached",
  tags: ["history"],
  request: {
    params: volumeParams,
    query: z.strictObject({}),
    body: jsonBody(z.strictObject({ to: momentSchema, force: z.boolean().optional() }).openapi("RollbackVolume")),
  },
  responses: { 200: json("done, durably", rollbackSchema), default: problem },
});

export const listBranches = createRoute({
  method: "get",
  path: "/v1/volumes/{name}/branches",
  operationId: "listBranches",
  summary: "Volumes that branched off this one",
  tags: ["history"],
  request: { params: volumeParams, query: placeQuery },
  responses: { 200: json("the branches", volumeListSchema), default: problem },
});

export const createBranch = createRoute({
  method: "post",
  path: "/v1/volumes/{name}/branches",
  operationId: "createBranch",
  summary: "A new writable volume that starts as this one at a moment",
  tags: ["history"],
  request: {
    params: volumeParams,
    query: z.strictObject({}),
    body: jsonBody(
      z
        .strictObject({
          name: nameSchema,
          at: momentSchema,
          vault: nameSchema.optional().openapi({ description: "a branch stays in its vault: another one is refused" }),
        })
        .openapi("CreateBranch"),
    ),
  },
  responses: { 201: json("the new volume", volumeSchema), default: problem },
});

export const bookmarkSchema = z
  .object({ name: nameSchema, lsn: lsnSchema, time: timeSchema, createdAt: timeSchema, note: z.string() })
  .openapi("Bookmark");
export type WireBookmark = z.output<typeof bookmarkSchema>;
export const bookmarkListSchema = z
  .object({ bookmarks: z.array(bookmarkSchema), next: nextPlace })
  .openapi("BookmarkList");

export const listBookmarks = createRoute({
  method: "get",
  path: "/v1/volumes/{name}/bookmarks",
  operationId: "listBookmarks",
  summary: "Bookmarks of a volume",
  tags: ["bookmarks"],
  request: { params: volumeParams, query: placeQuery },
  responses: { 200: json("the bookmarks, oldest first", bookmarkListSchema), default: problem },
});

export const createBookmark = createRoute({
  method: "post",
  path: "/v1/volumes/{name}/bookmarks",
  operationId: "createBookmark",
  summary: "Name a moment (default `now`, which is made durable first)",
  tags: ["bookmarks"],
  request: {
    params: volumeParams,
    query: z.strictObject({}),
    body: jsonBody(
      z
        .strictObject({ name: nameSchema, at: momentSchema.optional(), note: z.string().max(1_000).optional() })
        .openapi("CreateBookmark"),
    ),
  },
  responses: { 201: json("the bookmark", bookmarkSchema), default: problem },
});

export const deleteBookmark = createRoute({
  method: "delete",
  path: "/v1/volumes/{name}/bookmarks/{bookmark}",
  operationId: "deleteBookmark",
  summary: "Forget a bookmark; the moment itself stays",
  tags: ["bookmarks"],
  request: { params: z.strictObject({ name: nameSchema, bookmark: nameSchema }), query: z.strictObject({}) },
  responses: { 204: { description: "it is gone" }, default: problem },
});

export const diffLineSchema = z
  .discriminatedUnion("line", [
    z.object({ line: z.literal("range"), offset: bytesSchema, length: bytesSchema }),
    z.object({
      line: z.literal("end"),
      ranges: countSchema,
      bytes: bytesSchema,
      from: resolvedMomentSchema,
      to: resolvedMomentSchema,
    }),
    z.object({ line: z.literal("failed"), problem: problemSchema }),
  ])
  .openapi("DiffLine");
export type DiffLine = z.output<typeof diffLineSchema>;

export const getDiff = createRoute({
  method: "get",
  path: "/v1/volumes/{name}/diff",
  operationId: "getDiff",
  summary: "Ranges written differently between two moments; one JSON object per line, then a line `end`",
  tags: ["history"],
  request: {
    params: volumeParams,
    query: z.strictObject({ from: momentSchema, to: momentSchema.optional() }),
  },
  responses: { 200: lines("ranges in order; never misses a difference", diffLineSchema), default: problem },
});
