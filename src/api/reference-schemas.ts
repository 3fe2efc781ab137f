/** Schemas of the OpenAPI document for people: as tables of fields, and as examples. */
import { escapeHtml } from "../base/html.ts";
import type { OpenApiDocument, Schema } from "./openapi-document.ts";
import { markup } from "./reference-text.ts";

/** Deeper than any of ours; a schema that holds itself ends here. */
const DEPTH_MAX = 8;

export function isRef(value: object): value is { $ref: string } {
  return "$ref" in value;
}

/** The last part of a reference. */
export function nameOf({ $ref }: { $ref: string }): string {
  return $ref.slice($ref.lastIndexOf("/") + 1);
}

/** What a value looks like: its type and limits, then its fields. */
export function schemaHtml(schema: Schema, depth = 0): string {
  const note = schema.description === undefined ? "" : ` ${markup(schema.description)}`;
  const branches = branchesOf(schema);
  const inner =
    depth >= DEPTH_MAX ? "" : branches.length > 0 ? branchesHtml(branches, depth) : fieldsHtml(schema, depth);
  return `<span class="type">${typeText(schema)}</span>${note}${limits(schema)}${inner}`;
}

function branchesOf({ oneOf, anyOf }: Schema): Schema[] {
  return oneOf ?? anyOf ?? [];
}

function branchesHtml(branches: Schema[], depth: number): string {
  return `<ul class="branches">${branches.map((each) => `<li>${schemaHtml(each, depth + 1)}</li>`).join("")}</ul>`;
}

function fieldsHtml(schema: Schema, depth: number): string {
  const parts = schema.allOf?.filter((part) => !isRef(part)) ?? [];
  if (parts.length > 0) return parts.map((part) => schemaHtml(part, depth + 1)).join("");
  const object = schema.items ?? schema;
  const properties = Object.entries(object.properties ?? {});
  if (schema.items && branchesOf(schema.items).length > 0) return branchesHtml(branchesOf(schema.items), depth);
  if (properties.length === 0) return "";
  const required = new Set(object.required);
  const rows = properties.map(([name, field]) => {
    const optional = required.has(name) ? "" : ' <span class="optional">optional</span>';
    return `<tr><th scope="row"><code>${escapeHtml(name)}</code>${optional}</th><td>${schemaHtml(field, depth + 1)}</td></tr>`;
  });
  return `<div class="wide"><table class="fields"><tbody>${rows.join("")}</tbody></table></div>`;
}

function typeText(schema: Schema): string {
  if (schema.$ref !== undefined) return link(schema);
  const reference = schema.allOf?.find((part) => part.$ref !== undefined);
  if (reference) return link(reference);
  if (schema.const !== undefined) return `<code>${escapeHtml(JSON.stringify(schema.const))}</code>`;
  if (schema.enum) return schema.enum.map((value) => `<code>${escapeHtml(String(value))}</code>`).join(" | ");
  if (schema.items) return `list of ${schema.items.properties ? "objects" : typeText(schema.items)}`;
  if (branchesOf(schema).length > 0) return "one of";
  if (typeof schema.additionalProperties === "object") return `object of ${typeText(schema.additionalProperties)}`;
  const type = Array.isArray(schema.type) ? schema.type.join(" or ") : (schema.type ?? "anything");
  return escapeHtml(schema.format === undefined ? type : `${type} (${schema.format})`);
}

function link(schema: Schema): string {
  const name = nameOf({ $ref: schema.$ref ?? "" });
  return `<a href="#schema-${name}">${escapeHtml(name)}</a>`;
}

function limits(schema: Schema): string {
  const { minimum, maximum, minLength, maxLength, minItems, maxItems, pattern, default: fallback } = schema;
  const example = schema.example ?? schema.examples?.[0];
  const between = (min: number | undefined, max: number | undefined, unit: string): string[] => {
    // The limits of what a number can hold exactly are nobody's choice.
    const upper = max !== undefined && max < Number.MAX_SAFE_INTEGER ? max : undefined;
    const lower = min !== undefined && min > Number.MIN_SAFE_INTEGER ? min : undefined;
    if (lower === undefined && upper === undefined) return [];
    const range =
      upper === undefined ? `at least ${lower}` : lower === undefined ? `at most ${upper}` : `${lower} to ${upper}`;
    return [`${range}${unit}`];
  };
  const parts = [
    ...between(minimum, maximum, ""),
    ...between(minLength, maxLength, " characters"),
    ...between(minItems, maxItems, " entries"),
    ...(pattern === undefined || schema.description !== undefined
      ? []
      : [`matches <code>${escapeHtml(pattern)}</code>`]),
    ...(fallback === undefined ? [] : [`default <code>${escapeHtml(JSON.stringify(fallback))}</code>`]),
    ...(example === undefined ? [] : [`such as <code>${escapeHtml(JSON.stringify(example))}</code>`]),
  ];
  return parts.length === 0 ? "" : ` <span class="limits">${parts.join("; ")}</span>`;
}

/** A value that the schema allows, with what must be there and nothing else. */
export function exampleOf(schema: Schema, document: OpenApiDocument, depth = 0): unknown {
  if (schema.$ref !== undefined) {
    const named = document.components.schemas[nameOf({ $ref: schema.$ref })];
    return named && depth < DEPTH_MAX ? exampleOf(named, document, depth + 1) : null;
  }
  const given = schema.example ?? schema.examples?.[0] ?? schema.const ?? schema.default ?? schema.enum?.[0];
  if (given !== undefined) return given;
  const part = schema.allOf?.[0] ?? schema.oneOf?.[0] ?? schema.anyOf?.[0];
  if (part) return depth < DEPTH_MAX ? exampleOf(part, document, depth + 1) : null;
  const type = Array.isArray(schema.type) ? schema.type[0] : schema.type;
  switch (type) {
    case "object": {
      const required = new Set(schema.required);
      const fields = Object.entries(schema.properties ?? {}).filter(([name]) => required.has(name));
      return Object.fromEntries(fields.map(([name, field]) => [name, exampleOf(field, document, depth + 1)]));
    }
    case "array":
      return schema.items && (schema.minItems ?? 0) > 0 ? [exampleOf(schema.items, document, depth + 1)] : [];
    case "integer":
    case "number":
      return Math.max(schema.minimum ?? 1, 1);
    case "boolean":
      return true;
    case "string":
      return "text";
    default:
      return null;
  }
}
