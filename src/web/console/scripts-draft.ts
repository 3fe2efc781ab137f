/** What runs around a machine's bookmarks, as a form has it. */
import type { WireMachine } from "../../contract/machines.ts";
import { SCRIPT_SECONDS_DEFAULT, SCRIPT_SECONDS_MAX } from "../../contract/scripts.ts";

type Scripts = NonNullable<WireMachine["scripts"]>;

export interface ScriptsDraft {
  /** Names; empty: none. */
  pre: string;
  post: string;
  seconds: string;
  ifPreFails: Scripts["ifPreFails"];
}

export function draftOf(scripts: Scripts | undefined): ScriptsDraft {
  const { pre = "", post = "", timeoutSeconds = SCRIPT_SECONDS_DEFAULT, ifPreFails = "no-bookmark" } = scripts ?? {};
  return { pre, post, seconds: String(timeoutSeconds), ifPreFails };
}

/** @returns null: nothing runs; undefined: the time limit is none */
export function scriptsOf({ pre, post, seconds, ifPreFails }: ScriptsDraft): Scripts | null | undefined {
  if (pre === "" && post === "") return null;
  const timeoutSeconds = Number(seconds.trim() === "" ? Number.NaN : seconds);
  if (!Number.isInteger(timeoutSeconds) || timeoutSeconds < 1 || timeoutSeconds > SCRIPT_SECONDS_MAX) return undefined;
  return { ...(pre !== "" && { pre }), ...(post !== "" && { post }), timeoutSeconds, ifPreFails };
}
