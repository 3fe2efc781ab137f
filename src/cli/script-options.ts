/** The options by which commands name the scripts around bookmarks. */
import type { Command } from "commander";
import { SternwayError } from "../base/errors.ts";
import { SCRIPT_SECONDS_DEFAULT, SCRIPT_SECONDS_MAX, type BookmarkScripts } from "../contract/scripts.ts";
import { integerArgument } from "./arguments.ts";

export interface ScriptOptions {
  pre?: string;
  post?: string;
  scriptTimeout?: number;
  ifPreFails?: string;
}

export function withScriptOptions(command: Command): Command {
  return command
    .option("--pre <script>", "script to run before each bookmark of the present")
    .option("--post <script>", "script to run after it, whatever came of it")
    .option(
      "--script-timeout <seconds>",
      `how long each may take (default: ${SCRIPT_SECONDS_DEFAULT})`,
      integerArgument(1, SCRIPT_SECONDS_MAX),
    )
    .option("--if-pre-fails <what>", "no-bookmark, or crash-consistent (default: no-bookmark)");
}

/** @returns undefined where none is named @throws invalid: settings of scripts without a script */
export function scriptsOf({ pre, post, scriptTimeout, ifPreFails }: ScriptOptions): BookmarkScripts | undefined {
  if (pre === undefined && post === undefined) {
    if (scriptTimeout === undefined && ifPreFails === undefined) return undefined;
    throw new SternwayError("invalid", "which scripts? Name them by --pre and --post");
  }
  if (ifPreFails !== undefined && ifPreFails !== "no-bookmark" && ifPreFails !== "crash-consistent") {
    throw new SternwayError("invalid", "--if-pre-fails is no-bookmark or crash-consistent");
  }
  return {
    ...(pre === undefined ? {} : { pre }),
    ...(post === undefined ? {} : { post }),
    timeoutSeconds: scriptTimeout ?? SCRIPT_SECONDS_DEFAULT,
    ifPreFails: ifPreFails ?? "no-bookmark",
  };
}

/** `freeze before, thaw after, 60 s each`. */
export function scriptsText(
  scripts: { pre?: string | undefined; post?: string | undefined; timeoutSeconds: number } | undefined,
): string {
  if (!scripts) return "none";
  const { pre, post, timeoutSeconds } = scripts;
  const names = [pre === undefined ? "" : `${pre} before`, post === undefined ? "" : `${post} after`];
  return `${names.filter((name) => name !== "").join(", ")}, up to ${timeoutSeconds} s each`;
}
