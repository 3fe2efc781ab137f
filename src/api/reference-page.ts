/**
 * The reference of the API as one page, made from the OpenAPI document: it needs no script and loads nothing, so it can be read on an appliance that reaches
 * nothing but its reader.
 */
import { escapeHtml } from "../base/html.ts";
import { exampleOf, isRef, nameOf, schemaHtml } from "./reference-schemas.ts";
import { markup } from "./reference-text.ts";
import { REFERENCE_STYLE } from "./reference-style.ts";
import { roleMay, ROLES } from "../contract/rights.ts";
import { ERRORS } from "./openapi-document.ts";
import type { OpenApiDocument, Operation, Parameter, ResponseObject, Schema } from "./openapi-document.ts";

/** Nothing is loaded or run; the style is ours by its hash. */
export const REFERENCE_POLICY = `default-src 'none'; style-src 'sha256-${new Bun.CryptoHasher("sha256").update(REFERENCE_STYLE).digest("base64")}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'`;

/** The usual errors are told once, in the introduction. */
const USUAL = new Set(["400", "401", "403", "404", "409", "412", "422", "429", "503", "default"]);

interface Listed {
  method: string;
  path: string;
  operation: Operation;
}

/** The whole page as HTML. */
export function referencePage(document: OpenApiDocument): string {
  const byTag = Map.groupBy(listed(document), ({ operation }) => operation.tags[0] ?? "other");
  const tags = [...byTag.entries()];
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${escapeHtml(document.info.title)} API</title>
<style>${REFERENCE_STYLE}</style>
</head>
<body>
<a class="skip" href="#content">To the content</a>
<nav aria-label="Operations">
<p class="name">${escapeHtml(document.info.title)} API</p>
${tags.map(([tag, each]) => navigation(tag, each)).join("\n")}
<details><summary>schemas</summary><ul>
${Object.keys(document.components.schemas)
  .sort()
  .map((name) => `<li><a href="#schema-${name}">${name}</a></li>`)
  .join("\n")}
</ul></details>
</nav>
<main id="content">
${introduction(document)}
${tags.map(([tag, each]) => `<section aria-labelledby="tag-${tag}">\n<h2 id="tag-${tag}">${escapeHtml(tag)}</h2>\n${each.map((one) => article(one, document)).join("\n")}\n</section>`).join("\n")}
<section aria-labelledby="schemas">
<h2 id="schemas">Schemas</h2>
${Object.entries(document.components.schemas)
  .sort(([a], [b]) => (a < b ? -1 : 1))
  .map(
    ([name, schema]) =>
      `<article>\n<h3 id="schema-${name}"><a href="#schema-${name}">${name}</a></h3>\n${schemaHtml(schema)}\n</article>`,
  )
  .join("\n")}
</section>
</main>
</body>
</html>
`;
}

function listed(document: OpenApiDocument): Listed[] {
  return Object.entries(document.paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]) => ({ method: method.toUpperCase(), path, operation })),
  );
}

function navigation(tag: string, operations: Listed[]): string {
  const items = operations.map(({ operation: { operationId }, method }) => {
    return `<li><a href="#${operationId}">${operationId}</a> <span class="verb">${method}</span></li>`;
  });
  return `<details><summary>${escapeHtml(tag)}</summary><ul>\n${items.join("\n")}\n</ul></details>`;
}

function introduction({ info, components }: OpenApiDocument): string {
  const schemes = Object.entries(components.securitySchemes) as [string, { description: string }][];
  const errors = Object.entries(ERRORS).map(([name, status]) => {
    return `<dt>${status}</dt><dd>${markup(components.responses[name]?.description ?? "")}</dd>`;
  });
  return `<h1>${escapeHtml(info.title)} API <small>${escapeHtml(info.version)}</small></h1>
<p>${markup(info.description)}</p>
<p>The same as a document for programs: <a href="/openapi.json">/openapi.json</a> (OpenAPI 3.1).</p>
<h2 id="signing-in">Signing in</h2>
<p>On the appliance itself, root asks over the control socket: <code>curl --unix-socket DATA/control.sock http://localhost/v1/volumes</code>. Over the network:</p>
<dl>${schemes.map(([name, { description }]) => `<dt>${escapeHtml(name)}</dt><dd>${markup(description)}</dd>`).join("")}</dl>
<h2 id="headers">Headers</h2>
${parameterTable(Object.values(components.parameters))}
<h2 id="errors">Errors</h2>
<p>Every error is a <a href="#schema-Problem">Problem</a>: <code>detail</code> says what happened, <code>todo</code> what to do. Any operation may answer so:</p>
<dl>${errors.join("")}</dl>`;
}

function article({ method, path, operation }: Listed, document: OpenApiDocument): string {
  const { operationId, summary, description, requestBody, responses } = operation;
  const own = (operation.parameters ?? []).filter((each): each is Parameter => !isRef(each));
  const shared = (operation.parameters ?? [])
    .filter(isRef)
    .map((each) => document.components.parameters[nameOf(each)]?.name);
  const body = Object.entries(requestBody?.content ?? {})[0];
  const answers = Object.entries(responses).filter(([status, each]) => !USUAL.has(status) || !isRef(each));
  return `<article>
<h3 id="${operationId}"><a href="#${operationId}">${markup(summary)}</a></h3>
<p class="line"><span class="verb ${method.toLowerCase()}">${method}</span> <code>${escapeHtml(path)}</code></p>
<p class="facts"><span>${operationId}</span> <span>needs ${escapeHtml(needText(operation))}</span></p>
${description === undefined ? "" : `<p>${markup(description)}</p>`}
${own.length === 0 ? "" : `<h4>Parameters</h4>\n${parameterTable(own)}`}
${shared.length === 0 ? "" : `<p class="facts">Also takes ${shared.map((name) => `<a href="#headers">${name}</a>`).join(", ")}.</p>`}
${body === undefined ? "" : `<h4>Body</h4>\n${bodyHtml(body[1].schema, document)}`}
<h4>Answers</h4>
<dl class="answers">${answers
    .filter(([status]) => status !== "default")
    .map(([status, each]) => `<dt>${status}</dt><dd>${isRef(each) ? "" : answer(each)}</dd>`)
    .join("")}</dl>
<pre><code>${escapeHtml(curl(method, path, operation, document))}</code></pre>
</article>`;
}

function needText(operation: Operation): string {
  const { "x-right": right = "", "x-scope": scope = "" } = operation;
  if (right === "anyone") return "nothing";
  const roles = ROLES.filter((role) => roleMay(role, operation.operationId)).map((role) =>
    role === "self-service" && scope !== "appliance" ? "self-service for their own machines" : role,
  );
  return `${right} (${roles.join(", ")})`;
}

/** A body is what a reader came for, so its fields stand here and not only among the schemas. */
function bodyHtml(schema: Schema, { components }: OpenApiDocument): string {
  const named = isRef(schema) ? components.schemas[nameOf(schema)] : undefined;
  return named ? `${schemaHtml(schema)}${schemaHtml(named)}` : schemaHtml(schema);
}

function answer({ description, content = {} }: ResponseObject): string {
  const [type, found] = Object.entries(content)[0] ?? [];
  const media = type === undefined || type === "application/json" ? "" : ` <code>${escapeHtml(type)}</code>`;
  const hasShape = found !== undefined && (isRef(found.schema) || found.schema.type !== "string");
  return `${markup(description)}${media}${hasShape ? ` ${schemaHtml(found.schema)}` : ""}`;
}

function parameterTable(parameters: Parameter[]): string {
  const rows = parameters.map(({ name, in: place, required, description, schema }) => {
    const note = description ?? schema.description;
    const shape = schemaHtml({ ...schema, ...(note === undefined ? {} : { description: note }) });
    return `<tr><th scope="row"><code>${escapeHtml(name)}</code></th><td>${place}${required === true ? "" : ", optional"}</td><td>${shape}</td></tr>`;
  });
  return `<div class="wide"><table><thead><tr><th>name</th><th>in</th><th>what</th></tr></thead><tbody>${rows.join("")}</tbody></table></div>`;
}

function curl(method: string, path: string, operation: Operation, document: OpenApiDocument): string {
  const parameters = (operation.parameters ?? []).filter((each): each is Parameter => !isRef(each));
  const valueOf = (each: Parameter): string => {
    const value = exampleOf(each.schema, document);
    return encodeURIComponent(typeof value === "string" ? value : JSON.stringify(value));
  };
  const query = parameters
    .filter((each) => each.in === "query" && each.required === true)
    .map((each) => `${each.name}=${valueOf(each)}`);
  const filled = path.replaceAll(/\{(\w+)\}/g, (whole, name: string) => {
    const found = parameters.find((each) => each.in === "path" && each.name === name);
    return found ? valueOf(found) : whole;
  });
  const body = operation.requestBody?.content["application/json"]?.schema;
  const lines = [
    `curl${method === "GET" ? "" : method === "HEAD" ? " --head" : ` -X ${method}`}${path.endsWith("/events") && path.includes("{id}") ? " -N" : ""} "https://APPLIANCE${filled}${query.length > 0 ? `?${query.join("&")}` : ""}"`,
    ...(operation["x-right"] === "anyone" ? [] : [`-H "Authorization: Bearer $TOKEN"`]),
    ...(body === undefined ? [] : [`--json '${JSON.stringify(exampleOf(body, document)).replaceAll("'", "'\\''")}'`]),
  ];
  return lines.join(" \\\n  ");
}
