/**
 * Values made from a schema: such as it should take, and such as it should not. All are plain data, so that a failing one can be printed, and shrunk.
 */
import { z } from "@hono/zod-openapi";
import fc from "fast-check";

/** What z.toJSONSchema gives, as far as it matters here. */
export interface Shape {
  type?: string;
  enum?: unknown[];
  const?: unknown;
  anyOf?: Shape[];
  oneOf?: Shape[];
  allOf?: Shape[];
  properties?: Record<string, Shape>;
  required?: string[];
  items?: Shape | false;
  additionalProperties?: Shape | boolean;
  propertyNames?: Shape;
  pattern?: string;
  minimum?: number;
  maximum?: number;
  multipleOf?: number;
  minLength?: number;
  maxLength?: number;
  minItems?: number;
  maxItems?: number;
}

/** Names of things that are there in the fixture, so that requests get further than to "no such thing". */
const THERE = [
  "web1",
  "db1",
  "default",
  "web",
  "now",
  "lsn:1",
  "-1s",
  "bookmark:b1",
  "b1",
  "1",
  "20",
  "2026-11-20T12:00:00Z",
  "2026-11-21T12:00:00.5+01:00",
  "1h",
  "UTC",
];
const UNICODE = fc.string({ unit: "binary", maxLength: 40 });

/** Values that belong nowhere. */
export const nonsense: fc.Arbitrary<unknown> = fc.oneof(
  fc.constantFrom<unknown>(null, true, false, 0, -1, -0, 0.5, 1e308, -1e308, 2 ** 53, -(2 ** 53), 2 ** 31, 1e21),
  fc.constantFrom<unknown>(
    "",
    " ",
    "\u0000",
    "a\u0000b",
    "\r\nx: y",
    "../../etc/passwd",
    "..",
    ".",
    "/",
    "%00",
    "\ud800",
    "\u202e",
    "__proto__",
    "constructor",
  ),
  fc.constantFrom<unknown>("NaN", "1e9", "0x10", "-0", "+1", " 1", "1 ", "٣", "１２", "true ", "TRUE", "null"),
  fc.constantFrom<unknown>(
    "-999999999999d",
    "lsn:99999999999999999999",
    "lsn:-1",
    "bookmark:",
    "0000-00-00T00:00:00Z",
    "9999-99-99T99:99:99Z",
    "+275760-09-13T00:00:00Z",
  ),
  fc.constantFrom<unknown>([], {}, [[]], [null], { a: {} }, { toString: 1 }, { length: 1e9 }),
  fc.nat({ max: 3 }).map((size) => "x".repeat(10 ** size * 5)),
  fc.constantFrom(10, 1000, 5000).map((depth) => deep(depth)),
  UNICODE,
  fc.jsonValue({ maxDepth: 3 }),
);

function deep(depth: number): unknown {
  let value: unknown = 1;
  for (let i = 0; i < depth; i++) value = i % 2 === 0 ? [value] : { a: value };
  return value;
}

/** Values that a schema should take. Not all are: refinements are not seen, which is welcome. */
export function fitting(shape: Shape, depth = 0): fc.Arbitrary<unknown> {
  const choices = shape.anyOf ?? shape.oneOf;
  if (choices) return fc.oneof(...choices.map((each) => fitting(each, depth)));
  if (shape.allOf?.[0]) return fitting({ ...shape.allOf[0], ...shape.allOf[1] }, depth);
  if (shape.const !== undefined) return fc.constant(shape.const);
  if (shape.enum) return fc.constantFrom(...shape.enum);
  switch (shape.type) {
    case "string":
      return fittingText(shape);
    case "integer":
    case "number":
      return fittingNumber(shape);
    case "boolean":
      return fc.boolean();
    case "null":
      return fc.constant(null);
    case "array":
      return fc.array(fitting(shape.items === false ? {} : (shape.items ?? {}), depth + 1), {
        minLength: shape.minItems ?? 0,
        maxLength: Math.min(shape.maxItems ?? 4, 6),
      });
    case "object":
      return fittingObject(shape, depth);
    default:
      return depth > 4 ? fc.constant("x") : fc.oneof(fc.constantFrom(...THERE), nonsense);
  }
}

function fittingText({ pattern, minLength = 0, maxLength = 64 }: Shape): fc.Arbitrary<string> {
  if (pattern === undefined) {
    const any = fc.string({ minLength, maxLength: Math.max(minLength, Math.min(maxLength, 64)) });
    return fc.oneof({ weight: 4, arbitrary: fc.constantFrom(...THERE) }, { weight: 1, arbitrary: any });
  }
  const rule = new RegExp(pattern);
  const there = THERE.filter((text) => rule.test(text));
  const known = fc.constantFrom(...(there.length === 0 ? THERE : there));
  try {
    return fc.oneof({ weight: 3, arbitrary: known }, { weight: 1, arbitrary: fc.stringMatching(rule) });
  } catch {
    // What the generator cannot read (look-ahead) is left to the names that are there.
    return known;
  }
}

function fittingNumber({ type, minimum = 0, maximum = 2 ** 40, multipleOf }: Shape): fc.Arbitrary<number> {
  if (type === "number" && !Number.isInteger(minimum)) return fc.double({ min: minimum, max: maximum, noNaN: true });
  const step = multipleOf ?? 1;
  const least = Math.ceil(Math.max(minimum, Number.MIN_SAFE_INTEGER) / step);
  const most = Math.floor(Math.min(maximum, Number.MAX_SAFE_INTEGER) / step);
  return fc.oneof(fc.integer({ min: least, max: most }), fc.constantFrom(least, most)).map((value) => value * step);
}

/** Texts whose grammar no schema tells. */
const GRAMMAR: Record<string, readonly string[]> = {
  at: ["now", "lsn:1", "bookmark:b1"],
  from: ["2026-11-20T12:00:00Z", "lsn:1", "now"],
  to: ["2026-11-21T12:00:00Z", "now", "lsn:2"],
};

function fittingObject(
  { properties = {}, required = [], additionalProperties }: Shape,
  depth: number,
): fc.Arbitrary<unknown> {
  const fields = Object.fromEntries(
    Object.entries(properties).map(([name, each]) => {
      const known = each.type === "string" && each.pattern === undefined ? GRAMMAR[name] : undefined;
      return [name, known ? fc.constantFrom(...known) : fitting(each, depth + 1)];
    }),
  );
  const needed = required.filter((name) => name in fields);
  const optional = Object.keys(fields).filter((name) => !needed.includes(name));
  // A few at a time: of many, one would always be wrong.
  const some = fc.oneof(fc.subarray(optional, { maxLength: Math.min(2, optional.length) }), fc.constant(optional));
  const known = some.chain((names) =>
    fc.record(Object.fromEntries([...needed, ...names].map((name) => [name, fields[name] ?? fc.constant(null)]))),
  );
  if (typeof additionalProperties !== "object" || depth > 4) return known;
  return fc.dictionary(fc.constantFrom(...THERE), fitting(additionalProperties, depth + 1), { maxKeys: 4 });
}

/** Makes one thing wrong somewhere in a value. */
export function spoilt(value: unknown): fc.Arbitrary<unknown> {
  const here = nonsense;
  if (typeof value !== "object" || value === null) return here;
  const keys = Object.keys(value);
  const extra = fc.tuple(fc.oneof(fc.constantFrom("__proto__", "constructor", "x", "", "name "), UNICODE), nonsense);
  const more = extra.map(([key, what]) => ({ ...(value as object), ...Object.fromEntries([[key, what]]) }));
  if (keys.length === 0) return fc.oneof(here, more);
  const inside = fc.constantFrom(...keys).chain((key) =>
    fc
      .oneof(
        { weight: 3, arbitrary: nonsense },
        { weight: 2, arbitrary: fc.constant(undefined) },
        {
          weight: 2,
          arbitrary: fc.constant(null).chain(() => spoilt((value as Record<string, unknown>)[key])),
        },
      )
      .map((what) => (Array.isArray(value) ? value.with(Number(key), what) : { ...value, [key]: what })),
  );
  return fc.oneof({ weight: 4, arbitrary: inside }, { weight: 1, arbitrary: more }, { weight: 1, arbitrary: here });
}

/** What a schema asks of its input; undefined: there is none. */
export function shapeOf(schema: z.ZodType | undefined): Shape | undefined {
  return schema && (z.toJSONSchema(schema, { io: "input", unrepresentable: "any" }) as Shape);
}
