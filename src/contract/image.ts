/**
 * A volume's bytes as of a moment, and which of them were ever written. `now` is resolved once, at the start: the ETag
 * is that LSN, so a download goes on later with `If-Range`, or simply with `at=lsn:N`.
 */
import { createRoute, z } from "@hono/zod-openapi";
import { bytesSchema, momentSchema, queryInteger, resolvedMomentSchema, volumeParams } from "./fields.ts";
import { problemSchema } from "./problem.ts";
import { lines, problem } from "./route-parts.ts";

/** Response headers that tell the moment which the image shows. */
export const IMAGE_LSN_HEADER = "sternway-lsn";
export const IMAGE_TIME_HEADER = "sternway-time";

const imageRequest = {
  params: volumeParams,
  query: z.strictObject({ at: momentSchema.optional() }),
};
const bytes = { "application/octet-stream": { schema: z.string().openapi({ format: "binary" }) } };

export const getImage = createRoute({
  method: "get",
  path: "/v1/volumes/{name}/image",
  operationId: "getImage",
  summary: "The volume's bytes as of a moment (default `now`), whole or one range",
  description: "Range: one `bytes` range (first-last, first-, -suffix). Several ranges are answered with the whole.",
  tags: ["image"],
  request: imageRequest,
  responses: {
    200: { description: "the whole image", content: bytes },
    206: { description: "the range", content: bytes },
    304: { description: "If-None-Match named this very LSN" },
    416: { ...problem, description: "no byte of the range exists; Content-Range tells the size" },
    default: problem,
  },
});

export const headImage = createRoute({
  ...getImage,
  method: "head",
  operationId: "headImage",
  summary: "The same without the bytes: size, LSN and time",
  responses: { 200: { description: "size, LSN and time in the headers" }, default: { description: "any error" } },
});

export const extentLineSchema = z
  .discriminatedUnion("line", [
    z.object({
      line: z.literal("extent"),
      offset: bytesSchema,
      length: bytesSchema,
      kind: z.enum(["data", "zero", "hole"]),
    }),
    z.object({ line: z.literal("end"), sizeBytes: bytesSchema, dataBytes: bytesSchema, moment: resolvedMomentSchema }),
    z.object({ line: z.literal("failed"), problem: problemSchema }),
  ])
  .openapi("ExtentLine");
export type ExtentLine = z.output<typeof extentLineSchema>;

export const listExtents = createRoute({
  method: "get",
  path: "/v1/volumes/{name}/extents",
  operationId: "listExtents",
  summary: "Which bytes hold data, as of a moment; one JSON object per line, then a line `end`",
  tags: ["image"],
  request: {
    params: volumeParams,
    query: z.strictObject({
      at: momentSchema.optional(),
      offset: queryInteger(0, Number.MAX_SAFE_INTEGER).optional(),
      length: queryInteger(1, Number.MAX_SAFE_INTEGER).optional(),
    }),
  },
  responses: { 200: lines("extents in order, without gaps", extentLineSchema), default: problem },
});
