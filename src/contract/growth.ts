/** Growth: what vaults stored and volumes received over time, and when space ends if it goes on like that. */
import { createRoute, z } from "@hono/zod-openapi";
import { bytesSchema, nameSchema, timeSchema } from "./fields.ts";
import { json, problem } from "./route-parts.ts";

/** A time in a query. */
export const instantSchema = z
  .string()
  .max(40)
  .regex(
    /^(?:now|-(?:\d{1,6}[smhdw])+|\d{4}-\d\d-\d\d[Tt ]\S+)$/,
    "must be an RFC 3339 time with a zone, or an age such as -7d",
  )
  .openapi({ description: "an RFC 3339 time with a zone, an age such as `-7d`, or `now`", example: "-7d" });

const rate = z.number().openapi({ description: "bytes a day by which free space shrinks; below zero: it grows" });

export const forecastSchema = z
  .discriminatedUnion("kind", [
    z.object({ kind: z.literal("not-enough-data"), haveDays: z.number(), needDays: z.number() }),
    z.object({ kind: z.literal("not-growing"), bytesPerDay: rate }),
    z.object({
      kind: z.literal("ends"),
      bytesPerDay: rate,
      at: timeSchema.openapi({ description: "when free space ends if it goes on like that" }),
      daysLeft: z.number().min(0),
      earliest: timeSchema.openapi({ description: "of nine in ten pairs of days" }),
      latest: timeSchema.optional().openapi({ description: "absent: it may never end" }),
    }),
  ])
  .openapi("SpaceForecast");
export type WireForecast = z.output<typeof forecastSchema>;

export const growthSchema = z
  .object({
    from: timeSchema,
    to: timeSchema,
    rhythm: z.enum(["hour", "day"]).openapi({ description: "what a point stands for; it begins at its time" }),
    vaults: z.array(
      z.object({
        vault: z.string(),
        points: z.array(
          z.object({
            time: timeSchema,
            storedBytes: bytesSchema.optional(),
            liveBytes: bytesSchema
              .optional()
              .openapi({ description: "of what is stored, what some volume needs; counted once a day" }),
            freeBytes: bytesSchema.optional(),
            totalBytes: bytesSchema.optional().openapi({ description: "size of the file system that holds the vault" }),
          }),
        ),
        forecast: forecastSchema.openapi({ description: "from the last 28 days, whatever the range asked for" }),
      }),
    ),
    volumes: z
      .array(
        z.object({ volume: z.string(), points: z.array(z.object({ time: timeSchema, writtenBytes: bytesSchema })) }),
      )
      .openapi({ description: "what clients wrote; volumes of encrypted vaults are not recorded one by one" }),
  })
  .openapi("Growth");
export type WireGrowth = z.output<typeof growthSchema>;

export const getGrowth = createRoute({
  method: "get",
  path: "/v1/growth",
  operationId: "getGrowth",
  summary: "What was stored and written over time, and when space ends",
  tags: ["reports"],
  request: {
    query: z.strictObject({
      vault: nameSchema.optional(),
      from: instantSchema.optional().openapi({ description: "default: 7 days before `to`" }),
      to: instantSchema.optional().openapi({ description: "default: now" }),
    }),
  },
  responses: { 200: json("growth", growthSchema), default: problem },
});
