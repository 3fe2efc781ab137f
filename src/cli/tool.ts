/** Programs of the system that a command runs: found also where an ordinary user's PATH does not look. */
import { SternwayError } from "../base/errors.ts";

const PATH = `${process.env["PATH"] ?? ""}:/usr/sbin:/sbin`;

export const toolPath = (name: string): string | undefined => Bun.which(name, { PATH }) ?? undefined;

export interface ToolResult {
  exitCode: number;
  /** Standard output and error; at most the last 64 KiB are of use to anyone. */
  output: string;
}

/** Runs a program to its end; its exit code is the caller's to judge. */
export async function runTool(name: string, ...args: readonly string[]): Promise<ToolResult> {
  const path = toolPath(name);
  if (path === undefined)
    throw new SternwayError("unavailable", `the program ${name} is not installed`, { program: name });
  const child = Bun.spawn([path, ...args], { stdin: "ignore", stdout: "pipe", stderr: "pipe" });
  const [out, err] = await Promise.all([child.stdout.text(), child.stderr.text()]);
  return { exitCode: await child.exited, output: (out + err).slice(-65_536) };
}

/** The same for one that must succeed. @throws unavailable with what it said */
export async function mustRun(name: string, ...args: readonly string[]): Promise<string> {
  const { exitCode, output } = await runTool(name, ...args);
  if (exitCode === 0) return output;
  throw new SternwayError("unavailable", `${name} ${args.join(" ")} failed with ${exitCode}: ${output.trim()}`, {
    program: name,
    exitCode,
  });
}
