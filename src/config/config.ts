/**
 * The door of the room: the configuration of one appliance, out of defaults, `config.json` in the data folder (JSON with
 * comments), environment and flags; each overrides the one before. A key that is not known is refused with the nearest
 * one that is, so that a misspelt limit never silently keeps its default.
 */
import { z } from "zod";
import { isSternwayError, SternwayError } from "../base/errors.ts";
import { readWhole, type Disk } from "../base/disk.ts";
import { isLoopback } from "./listen.ts";
import { configSchema, type Config } from "./schema.ts";

export type { Config, TlsConfig } from "./schema.ts";
export { isLoopback } from "./listen.ts";

/** What the command line may set. */
export interface ConfigFlags {
  /** Replaces `http.listen`. */
  http?: string;
  /** Replaces `nbd.listen`. */
  nbd?: string[];
  logLevel?: string;
  logFormat?: string;
}

/** Environment variables that set a key; lists are separated by commas. */
const ENVIRONMENT = {
  STERNWAY_HTTP: "http",
  STERNWAY_NBD: "nbd",
  STERNWAY_LOG_LEVEL: "logLevel",
  STERNWAY_LOG_FORMAT: "logFormat",
} as const;

export interface ConfigInput {
  /** Contents of the file; undefined when there is none. */
  fileText?: string | undefined;
  /** Its path, for errors. */
  filePath: string;
  environment: Record<string, string | undefined>;
  flags: ConfigFlags;
}

/** Reads `DIR/config.json` if it is there, and resolves. @throws SternwayError invalid: names the key, where it was set, and what is allowed */
export async function loadConfig(options: {
  disk: Disk;
  dataDir: string;
  environment: Record<string, string | undefined>;
  flags?: ConfigFlags;
}): Promise<Config> {
  const filePath = `${options.dataDir}/config.json`;
  const fileText = await readWhole(options.disk, filePath).then(
    (bytes) => new TextDecoder().decode(bytes),
    (error: unknown) => {
      if (isSternwayError(error, "not_found")) return undefined;
      throw error;
    },
  );
  return resolveConfig({ fileText, filePath, environment: options.environment, flags: options.flags ?? {} });
}

/** The same from text, without touching a disk. */
export function resolveConfig(input: ConfigInput): Config {
  const merged = parseFile(input);
  for (const [variable, flag] of Object.entries(ENVIRONMENT)) {
    const value = input.environment[variable];
    if (value === undefined || value === "") continue;
    apply(merged, flag === "nbd" ? { nbd: value.split(",").map((part) => part.trim()) } : { [flag]: value });
  }
  apply(merged, input.flags);
  const result = configSchema.safeParse(merged);
  if (result.success) return result.data;
  const problems = result.error.issues.flatMap((issue) => describe(issue)).slice(0, 10);
  throw new SternwayError(
    "invalid",
    `the configuration (${input.filePath}, environment, flags) is wrong: ${problems.join("; ")}`,
    {
      file: input.filePath,
    },
  );
}

/** What is allowed but deserves a sentence in the log. */
export function configWarnings(config: Config): string[] {
  const open = config.nbd.listen.filter((each) => each.kind === "tcp" && !isLoopback(each.host));
  if (open.length === 0 || !config.nbd.tls) return [];
  if (!config.nbd.tls.required) {
    return ["nbd.tls.required is false on an address open to the network: clients may skip TLS"];
  }
  if (config.nbd.tls.clientCertificates === "ignore") {
    return ["nbd.tls asks for no client certificate: whoever reaches it can read and write every volume"];
  }
  return [];
}

type Tree = Record<string, unknown>;

function parseFile(input: ConfigInput): Tree {
  if (input.fileText === undefined) return {};
  let value: unknown;
  try {
    value = Bun.JSONC.parse(input.fileText);
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new SternwayError("invalid", `${input.filePath} is not JSON: ${reason}`, { file: input.filePath }, { cause });
  }
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    throw new SternwayError("invalid", `${input.filePath} must hold one object`, { file: input.filePath });
  }
  return { ...(value as Tree) };
}

function apply(tree: Tree, flags: ConfigFlags): void {
  if (flags.http !== undefined) setIn(tree, "http", { listen: flags.http });
  if (flags.nbd !== undefined && flags.nbd.length > 0) setIn(tree, "nbd", { listen: flags.nbd });
  if (flags.logLevel !== undefined) setIn(tree, "log", { level: flags.logLevel });
  if (flags.logFormat !== undefined) setIn(tree, "log", { format: flags.logFormat });
}

function setIn(tree: Tree, section: string, values: Tree): void {
  const before = tree[section];
  tree[section] = { ...(typeof before === "object" && before !== null ? before : {}), ...values };
}

function describe(issue: z.core.$ZodIssue): string[] {
  const at = issue.path.map((part) => (typeof part === "number" ? `[${part}]` : `.${String(part)}`)).join("");
  const place = at.replace(/^\./, "");
  if (issue.code !== "unrecognized_keys")
    return [`${place} ${issue.message.replace(/^Invalid input: expected/, "must be")}`];
  const known = knownKeys(issue.path);
  return issue.keys.map((key) => {
    const full = place === "" ? key : `${place}.${key}`;
    const near = nearest(key, known);
    return near
      ? `${full} is not known; did you mean ${place === "" ? near : `${place}.${near}`}?`
      : `${full} is not known; known here: ${known.join(", ")}`;
  });
}

/** The keys that the schema knows at a path. */
function knownKeys(path: readonly PropertyKey[]): string[] {
  let schema: z.core.$ZodType = configSchema;
  for (const part of ["", ...path]) {
    const shape: Record<string, z.core.$ZodType> | undefined = schema instanceof z.ZodObject ? schema.shape : undefined;
    if (part !== "") schema = schema instanceof z.ZodRecord ? schema.valueType : (shape?.[String(part)] ?? z.never());
    while (schema instanceof z.ZodDefault || schema instanceof z.ZodPrefault || schema instanceof z.ZodOptional) {
      schema = schema.unwrap();
    }
  }
  return schema instanceof z.ZodObject ? Object.keys(schema.shape) : [];
}

/** The known key within two edits or a third of its length; a key that only differs in case counts first. */
function nearest(key: string, known: readonly string[]): string | undefined {
  let best: { name: string; distance: number } | undefined;
  for (const name of known) {
    const distance = editDistance(key.toLowerCase(), name.toLowerCase());
    if (distance <= Math.max(2, name.length / 3) && distance < (best?.distance ?? Infinity)) best = { name, distance };
  }
  return best?.name;
}

/** Levenshtein; keys are cut at 64 characters, so that a hostile file costs nothing. */
function editDistance(a: string, b: string): number {
  const left = a.slice(0, 64);
  const right = b.slice(0, 64);
  let row = Array.from({ length: right.length + 1 }, (_, i) => i);
  for (let i = 1; i <= left.length; i++) {
    const next = [i];
    for (let j = 1; j <= right.length; j++) {
      const swap = row[j - 1]! + (left[i - 1] === right[j - 1] ? 0 : 1);
      next.push(Math.min(swap, row[j]! + 1, next[j - 1]! + 1));
    }
    row = next;
  }
  return row[right.length]!;
}
