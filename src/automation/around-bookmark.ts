/**
 * What makes a bookmark application-consistent: a script before it and a script after it. The one before freezes what writes to the disks, the one after
 * thaws it; so once the first was started, the second runs, whatever came of the first, of the bookmark, and of the daemon's wish to stop.
 */
import type { Clock } from "../base/clock.ts";
import { errorText, SternwayError } from "../base/errors.ts";
import type { BookmarkScripts, WireScriptRun } from "../contract/scripts.ts";
import type { Log } from "../observe/log.ts";
import type { OpenScript, ScriptFolder } from "./script-folder.ts";
import { runScript } from "./script-run.ts";

/** While the daemon stops, the script after a bookmark has this long at the most, whatever its limit: a service manager waits 90 s as a rule. */
const STOPPING_MS_MAX = 30_000;
/** Of a script's output, what a line of an event shows. */
const SAID_LENGTH_MAX = 1_000;

export interface ScriptContext {
  folder: ScriptFolder;
  clock: Clock;
  log: Log;
  /** The machine's name, or empty for a volume by itself. */
  machine: string;
  volumes: readonly string[];
  bookmark: string;
  signal?: AbortSignal | undefined;
  /** Notes durably that something may be frozen, and by which script it is thawed. @returns what takes the note back */
  noteFrozen: (script: string, timeoutSeconds: number) => () => void;
  tell: (event: { level: "warning" | "alert"; kind: string; subject: string; message: string }) => void;
}

export interface Surrounded<Result> {
  result: Result;
  consistency: "application" | "crash";
  scripts: WireScriptRun[];
}

/**
 * Does something between two scripts.
 * @param work - makes the bookmark; `note` says how consistent it is
 * @throws unavailable: the script before it failed, and the settings want no bookmark then; what `work` throws
 */
export async function aroundBookmark<Result>(
  settings: BookmarkScripts | undefined,
  context: ScriptContext,
  work: (note: string) => Promise<Result>,
): Promise<Surrounded<Result>> {
  if (!settings) return { result: await work(""), consistency: "crash", scripts: [] };
  const run = new Surroundings(settings, context);
  try {
    const failure = await run.before();
    if (failure !== undefined && settings.ifPreFails === "no-bookmark") {
      throw new SternwayError("unavailable", `no bookmark ${context.bookmark} was made: ${failure}`, {
        script: settings.pre ?? "",
      });
    }
    if (context.signal?.aborted) {
      throw new SternwayError("unavailable", `no bookmark ${context.bookmark} was made: it was told to stop before`);
    }
    const result = await work(failure === undefined ? run.note : `crash-consistent only: ${failure}`);
    run.outcome = "made";
    return {
      result,
      consistency: failure === undefined && settings.pre !== undefined ? "application" : "crash",
      scripts: run.runs,
    };
  } finally {
    await run.after();
  }
}

class Surroundings {
  readonly runs: WireScriptRun[] = [];
  outcome: "made" | "failed" = "failed";
  /** Held open from before the first script, so that nothing can come between the two any more. */
  private thaw: OpenScript | undefined;
  private thawed: (() => void) | undefined;
  private readonly settings: BookmarkScripts;
  private readonly context: ScriptContext;

  constructor(settings: BookmarkScripts, context: ScriptContext) {
    this.settings = settings;
    this.context = context;
  }

  get note(): string {
    const { pre, post } = this.settings;
    if (pre === undefined) return "";
    return `application-consistent (${[pre, post].filter((name) => name !== undefined).join(", ")})`;
  }

  /** @returns why the bookmark cannot be application-consistent */
  async before(): Promise<string | undefined> {
    const { pre, post } = this.settings;
    let script: OpenScript | undefined;
    try {
      script = pre === undefined ? undefined : this.context.folder.open(pre);
      if (post !== undefined) this.thaw = this.context.folder.open(post);
    } catch (error) {
      // What could not be thawed is not frozen.
      script?.[Symbol.dispose]();
      this.runs.push(unfit(pre ?? post ?? "", "pre", error));
      return errorText(error);
    }
    if (post !== undefined) this.thawed = this.context.noteFrozen(post, this.settings.timeoutSeconds);
    if (!script) return undefined;
    using open = script;
    const run = await this.run(open, "pre", this.settings.timeoutSeconds * 1000, this.context.signal);
    return run.result === "ok" ? undefined : `script ${open.name}: ${said(run)}`;
  }

  /** Never rejects: what fails here is told, for the bookmark stands. */
  async after(): Promise<void> {
    if (!this.thaw) return;
    using script = this.thaw;
    const isStopping = this.context.signal?.aborted === true;
    const limitMs = this.settings.timeoutSeconds * 1000;
    const run = await this.run(script, "post", isStopping ? Math.min(limitMs, STOPPING_MS_MAX) : limitMs, undefined);
    this.thawed?.();
    if (run.result !== "ok") this.tellAfter(`script ${script.name}: ${said(run)}`);
  }

  private async run(
    script: OpenScript,
    phase: "pre" | "post",
    timeoutMs: number,
    signal: AbortSignal | undefined,
  ): Promise<WireScriptRun> {
    const { clock, log, machine, volumes, bookmark } = this.context;
    const env = {
      STERNWAY_MACHINE: machine,
      STERNWAY_VOLUMES: volumes.join(" "),
      STERNWAY_BOOKMARK: bookmark,
      STERNWAY_PHASE: phase,
      ...(phase === "post" ? { STERNWAY_OUTCOME: this.outcome } : {}),
    };
    const run = await runScript(script, { phase, env, timeoutMs, clock, ...(signal ? { signal } : {}) });
    this.runs.push(run);
    const { script: name, result, exitCode, seconds, output } = run;
    log[result === "ok" ? "info" : "warn"](
      { script: name, phase, result, exitCode, seconds, output },
      "a script has run",
    );
    return run;
  }

  private tellAfter(what: string): void {
    const { machine, volumes, bookmark } = this.context;
    const subject = machine === "" ? (volumes[0] ?? "") : machine;
    const message = `after bookmark ${bookmark} of ${subject}: ${what}; what the script before it froze may still be frozen`;
    this.context.tell({ level: "alert", kind: "script-failed", subject, message });
  }
}

function unfit(script: string, phase: "pre" | "post", error: unknown): WireScriptRun {
  return { script, phase, result: "unfit", seconds: 0, output: "", droppedBytes: 0, reason: errorText(error) };
}

/** How a run that is not well ended, with the end of what it printed. */
export function said({ reason = "", output }: WireScriptRun): string {
  const text = output.trim();
  if (text === "") return `${reason} and said nothing`;
  return `${reason} and said: ${text.length > SAID_LENGTH_MAX ? `…${text.slice(-SAID_LENGTH_MAX)}` : text}`;
}
