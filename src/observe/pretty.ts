/** Log lines for people: `21:31:05.123 INFO  message  fact=value …`, and an error's stack below it. */

const COLOURS: Record<string, string> = {
  debug: "\u001b[2m",
  info: "\u001b[32m",
  warn: "\u001b[33m",
  error: "\u001b[31m",
};
const RESET = "\u001b[0m";

/** @param line - one JSON line of the log. @returns the same for people, with its newline; an unreadable line as it is */
export function formatPretty(line: string, colour: boolean): string {
  const entry = parsed(line);
  if (!entry) return line;
  const { level, time, msg, err, ...facts } = entry;
  const label = String(level).toUpperCase().padEnd(5);
  const shown = colour ? `${COLOURS[String(level)] ?? ""}${label}${RESET}` : label;
  const pairs = Object.entries(facts).map(([name, value]) => `${name}=${printable(value)}`);
  const head = [String(time).slice(11, 23), shown, printable(msg ?? ""), ...pairs].join(" ");
  return `${head}${errorLines(err)}\n`;
}

function errorLines(err: unknown): string {
  if (typeof err !== "object" || err === null) return err === undefined ? "" : ` err=${printable(err)}`;
  const { stack, message } = err as { stack?: unknown; message?: unknown };
  return `\n  ${printed(stack ?? message ?? err).replaceAll("\n", "\n  ")}`;
}

/** Like {@link printable}, but a stack keeps its lines. */
function printed(value: unknown): string {
  const text = typeof value === "string" ? value : (JSON.stringify(value) ?? "");
  return text.split("\n").map(printable).join("\n");
}

function parsed(line: string): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(line);
    return typeof value === "object" && value !== null ? (value as Record<string, unknown>) : undefined;
  } catch {
    // Not ours to lose: a line that is not JSON is shown as it came.
    return undefined;
  }
}

function printable(value: unknown): string {
  const text = typeof value === "string" ? value : (JSON.stringify(value) ?? "");
  // Control characters in a name from the network must not steer the terminal.
  // oxlint-disable-next-line no-control-regex
  return text.replace(/[\u0000-\u001f\u007f-\u009f]/g, (c) => `\\x${c.charCodeAt(0).toString(16).padStart(2, "0")}`);
}
