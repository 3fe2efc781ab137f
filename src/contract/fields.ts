/**
 * The scalars of the API, written once: names, sizes, LSNs, times and moments, as JSON and as query parameters.
 *
 * Sizes and offsets are bytes as integers; LSNs are integers; times are RFC 3339 in UTC with microseconds; a moment is
 * text (`now`, `lsn:N`, `bookmark:NAME`, RFC 3339, `-15m`) whose grammar belongs to the room that resolves it.
 * Requests are strict (an unknown field is refused, so that a misspelt option never silently does nothing); responses
 * are open (a client ignores fields that it does not know).
 */
import { z } from "@hono/zod-openapi";
import { parseTime, SECTOR_SIZE, VOLUME_SIZE_MAX } from "../base/units.ts";

const NAME = /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/;
const NAME_RULE = "1 to 64 of a-z A-Z 0-9 . _ -, starting with a letter or digit";

/** A volume's or bookmark's name. */
export const nameSchema = z
  .string()
  .regex(NAME, `must be ${NAME_RULE}`)
  .openapi({ description: NAME_RULE, example: "web1" });

/** A device's size as a client may ask for it. */
export const sizeBytesSchema = z
  .int()
  .min(SECTOR_SIZE, `must be at least ${SECTOR_SIZE} bytes`)
  .max(VOLUME_SIZE_MAX, `must be at most ${VOLUME_SIZE_MAX} bytes (16 TiB)`)
  .multipleOf(SECTOR_SIZE, `must be a multiple of ${SECTOR_SIZE}`)
  .openapi({ description: "bytes", example: 10_737_418_240 });

/** Any count of bytes that we report. */
export const bytesSchema = z.int().min(0);
/** Any count that we report. */
export const countSchema = z.int().min(0);

export const lsnSchema = z
  .int()
  .min(0)
  .openapi({ description: "log sequence number; 0 is before everything", example: 123_456 });

/** A time that we report. */
export const timeSchema = z
  .string()
  .refine((text) => parseTime(text) !== undefined, "must be an RFC 3339 time")
  .openapi({ format: "date-time", example: "2026-11-20T21:31:05.123456Z" });

/** A moment as people write it. 96 characters hold the longest: `bookmark:` and a name of 64. */
export const momentSchema = z.string().min(1, "must not be empty").max(96, "must be at most 96 characters").openapi({
  description: "`now`, `lsn:N`, `bookmark:NAME`, an RFC 3339 time with a zone, or an age such as `-15m`",
  example: "-15m",
});

/** A moment of one volume, resolved. */
export const resolvedMomentSchema = z
  .object({
    lsn: lsnSchema,
    time: timeSchema.openapi({ description: "wall time of the last write at or before it" }),
    flushPoint: z.boolean().openapi({ description: "a client's FLUSH was answered exactly here" }),
  })
  .openapi("Moment");
export type WireMoment = z.output<typeof resolvedMomentSchema>;

/** A whole number in a query, in decimal digits only: `""`, `1e3` and `0x10` are refused. */
export function queryInteger(min: number, max: number) {
  return z
    .string()
    .regex(/^\d{1,16}$/, "must be a whole number")
    .transform(Number)
    .pipe(z.int().min(min).max(max))
    .openapi({ type: "integer", minimum: min, maximum: max });
}

/** `true` or `false` in a query. */
export const queryBoolean = z.enum(["true", "false"]).transform((text) => text === "true");

/**
 * A part of a volume's history, cut into intervals.
 * @param without - what stands in for `from` when it is left out, in words
 * @param bucketsMax - intervals that one answer may have
 */
export function spanQuery(without: string, bucketsMax: number) {
  return z.strictObject({
    from: momentSchema.optional().openapi({ description: `a moment; ${without} if left out` }),
    to: momentSchema.optional().openapi({ description: "a moment; now if left out" }),
    buckets: queryInteger(1, bucketsMax).optional(),
  });
}

/** The path of everything that belongs to one volume. */
export const volumeParams = z.strictObject({ name: nameSchema });
