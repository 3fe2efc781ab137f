/** Volumes: list, create, show, resize, delete; and a moment of one, resolved. */
import { createRoute, z } from "@hono/zod-openapi";
import {
  bytesSchema,
  countSchema,
  lsnSchema,
  momentSchema,
  nameSchema,
  queryBoolean,
  resolvedMomentSchema,
  sizeBytesSchema,
  timeSchema,
  volumeParams,
} from "./fields.ts";
import { nextPlace, placeQuery } from "./pages.ts";
import { json, jsonBody, problem } from "./route-parts.ts";

export const volumeSchema = z
  .object({
    name: nameSchema,
    vault: z.string(),
    sizeBytes: bytesSchema,
    createdAt: timeSchema,
    createdLsn: lsnSchema,
    lastLsn: lsnSchema.openapi({ description: "newest write, trim or mark" }),
    lastWriteAt: timeSchema,
    lastFlushLsn: lsnSchema,
    attached: countSchema.openapi({ description: "client sessions on the live volume now" }),
    bookmarkCount: countSchema,
    origin: z
      .object({ volume: z.string(), lsn: lsnSchema })
      .optional()
      .openapi({ description: "for a branch: where its history began" }),
    rolledBack: z
      .object({ toLsn: lsnSchema, atLsn: lsnSchema, at: timeSchema })
      .optional()
      .openapi({ description: "the newest rollback" }),
  })
  .openapi("Volume");
export type WireVolume = z.output<typeof volumeSchema>;

export const volumeListSchema = z.object({ volumes: z.array(volumeSchema), next: nextPlace }).openapi("VolumeList");

export const listVolumes = createRoute({
  method: "get",
  path: "/v1/volumes",
  operationId: "listVolumes",
  summary: "All volumes",
  tags: ["volumes"],
  request: { query: placeQuery },
  responses: { 200: json("the volumes, by name", volumeListSchema), default: problem },
});

export const createVolume = createRoute({
  method: "post",
  path: "/v1/volumes",
  operationId: "createVolume",
  summary: "Create an empty volume",
  tags: ["volumes"],
  request: {
    query: z.strictObject({}),
    body: jsonBody(
      z
        .strictObject({
          name: nameSchema,
          sizeBytes: sizeBytesSchema,
          vault: nameSchema.optional().openapi({ description: "default: `default`", example: "default" }),
        })
        .openapi("CreateVolume"),
    ),
  },
  responses: { 201: json("the new volume", volumeSchema), default: problem },
});

export const getVolume = createRoute({
  method: "get",
  path: "/v1/volumes/{name}",
  operationId: "getVolume",
  summary: "One volume",
  tags: ["volumes"],
  request: { params: volumeParams, query: z.strictObject({}) },
  responses: { 200: json("the volume", volumeSchema), default: problem },
});

export const resizeVolume = createRoute({
  method: "patch",
  path: "/v1/volumes/{name}",
  operationId: "resizeVolume",
  summary: "Resize; shrinking while a client is attached needs force",
  tags: ["volumes"],
  request: {
    params: volumeParams,
    query: z.strictObject({}),
    body: jsonBody(
      z.strictObject({ sizeBytes: sizeBytesSchema, force: z.boolean().optional() }).openapi("ResizeVolume"),
    ),
  },
  responses: { 200: json("the volume", volumeSchema), default: problem },
});

export const deleteVolume = createRoute({
  method: "delete",
  path: "/v1/volumes/{name}",
  operationId: "deleteVolume",
  summary: "Delete a volume and its history; needs force while a client is attached",
  tags: ["volumes"],
  request: { params: volumeParams, query: z.strictObject({ force: queryBoolean.optional() }) },
  responses: { 204: { description: "it is gone" }, default: problem },
});

export const resolveMoment = createRoute({
  method: "get",
  path: "/v1/volumes/{name}/moment",
  operationId: "resolveMoment",
  summary: "The LSN that a moment means",
  tags: ["moments"],
  request: { params: volumeParams, query: z.strictObject({ at: momentSchema }) },
  responses: { 200: json("the moment", resolvedMomentSchema), default: problem },
});
