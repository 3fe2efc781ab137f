/**
 * The log: one JSON object per line on standard error, or short coloured lines when a person watches. Nothing that
 * looks like a secret is printed, whatever a caller passes in: that is decided here by the name of the field.
 */
import pino from "pino";
import { formatPretty } from "./pretty.ts";

export const LOG_LEVELS = ["debug", "info", "warn", "error"] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];
export type LogFormat = "json" | "pretty";

/** What the rooms log to. Facts come first, then a sentence. An error goes into `facts.err`. */
export interface Log {
  debug(facts: object, message: string): void;
  info(facts: object, message: string): void;
  warn(facts: object, message: string): void;
  error(facts: object, message: string): void;
  /** A log that adds these facts to every line. */
  child(facts: Record<string, unknown>): Log;
}

const SECRET_FIELDS = [
  "password",
  "passphrase",
  "secret",
  "secretKey",
  "secretAccessKey",
  "token",
  "privateKey",
  "masterKey",
  "hashSeed",
  "authorization",
  "cookie",
];
/** The redactor wants paths: a secret field at the top and down to three levels below it. */
const SECRET_PATHS = ["", "*.", "*.*.", "*.*.*."].flatMap((prefix) => SECRET_FIELDS.map((field) => prefix + field));

/**
 * Opens the log.
 * @param options.write - receives whole lines with their newline; standard error if left out. Written at once: a line
 *   is not lost when the process dies after it
 */
export function createLog(options: {
  level: LogLevel;
  format: LogFormat;
  write?: (line: string) => void;
  colour?: boolean;
}): Log {
  const write = options.write ?? ((line: string) => void process.stderr.write(line));
  const colour = options.colour ?? (options.write === undefined && process.stderr.isTTY === true);
  const shown = options.format === "json" ? write : (line: string) => write(formatPretty(line, colour));
  return pino(
    {
      level: options.level,
      base: null,
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
      redact: { paths: SECRET_PATHS, censor: "[secret]" },
    },
    { write: shown },
  );
}

/** Pretty when a person watches standard error, JSON lines for a journal or a file. */
export function defaultLogFormat(): LogFormat {
  return process.stderr.isTTY === true ? "pretty" : "json";
}
