/**
 * One run of a script: without a shell, from its open descriptor, in a process group of its own, with nothing in its environment but what is given here, nothing
 * to read, and its output kept up to a bound. It is never waited for beyond its limit: TERM to the whole group, and KILL after a grace.
 *
 * What a script leaves running in the background when it ends well is left alone (a watchdog that thaws a file system is of use only so), but not
 * listened to any more. What took itself out of the group cannot be reached.
 */
import type { Clock, Timer } from "../base/clock.ts";
import { errorText } from "../base/errors.ts";
import type { WireScriptRun } from "../contract/scripts.ts";
import type { OpenScript } from "./script-folder.ts";

/** Enough for the last messages of a failing script, and an event holds it. */
const OUTPUT_BYTES_MAX = 8_192;
/** Between TERM and KILL: a script that heeds TERM thaws what it froze in that time. */
const GRACE_MS = 5_000;
/** What was printed before the end is read by then; who still holds the pipe after that is not waited for. */
const DRAIN_MS = 250;

/** The descriptor's number in the script's own process. */
const SCRIPT_PATH = "/proc/self/fd/3";

export interface RunOptions {
  phase: "pre" | "post";
  /** All of its environment but PATH and LANG. */
  env: Record<string, string>;
  timeoutMs: number;
  /** Ends it as its limit would. */
  signal?: AbortSignal;
  clock: Clock;
  graceMs?: number;
}

/** Runs a script to its end. Never rejects: what goes wrong is in the result. */
export async function runScript(script: OpenScript, options: RunOptions): Promise<WireScriptRun> {
  const { clock, phase } = options;
  const startedAt = clock.monotonic();
  const output = new Tail(OUTPUT_BYTES_MAX);
  const facts = (): Pick<WireScriptRun, "script" | "phase" | "seconds" | "output" | "droppedBytes"> => ({
    script: script.name,
    phase,
    seconds: Math.round((clock.monotonic() - startedAt) / 1e3) / 1e3,
    output: output.text(),
    droppedBytes: output.droppedBytes,
  });
  let child: ReturnType<typeof start>;
  try {
    child = start(script, options.env);
  } catch (error) {
    return { ...facts(), result: "failed", reason: `it could not be started: ${errorText(error)}` };
  }
  const listening = [listen(child.stdout, output), listen(child.stderr, output)];
  const ended = await ending(child, options);
  await Promise.race([Promise.all(listening.map(({ done }) => done)), clock.sleep(DRAIN_MS)]);
  await Promise.all(listening.map(({ stop }) => stop()));
  const { exitCode, signalCode } = child;
  const code = exitCode === null ? {} : { exitCode };
  if (ended === "timed-out") {
    return { ...facts(), ...code, result: ended, reason: `it was still running after ${options.timeoutMs / 1000} s` };
  }
  if (ended === "stopped") return { ...facts(), ...code, result: ended, reason: "it was told to stop before its end" };
  if (exitCode === 0) return { ...facts(), exitCode, result: "ok" };
  const reason = signalCode === null ? `it ended with exit code ${exitCode}` : `it was ended by ${signalCode}`;
  return { ...facts(), ...code, result: "failed", reason };
}

function start(script: OpenScript, env: Record<string, string>) {
  return Bun.spawn({
    cmd: [SCRIPT_PATH],
    cwd: "/",
    env: { PATH: "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", LANG: "C.UTF-8", ...env },
    stdio: ["ignore", "pipe", "pipe", script.fd],
    // Leads a group, by whose id all that it starts can be reached.
    detached: true,
  });
}

/** Resolves when the script has ended, by itself or by us. */
async function ending(
  child: ReturnType<typeof start>,
  { timeoutMs, signal, clock, graceMs = GRACE_MS }: RunOptions,
): Promise<"by-itself" | "timed-out" | "stopped"> {
  let why: "by-itself" | "timed-out" | "stopped" = "by-itself";
  let kill: Timer | undefined;
  const end = (reason: "timed-out" | "stopped"): void => {
    if (why !== "by-itself") return;
    why = reason;
    signalGroup(child.pid, "SIGTERM");
    kill = clock.timer(graceMs, () => signalGroup(child.pid, "SIGKILL"));
  };
  const limit = clock.timer(timeoutMs, () => end("timed-out"));
  const onAbort = (): void => end("stopped");
  signal?.addEventListener("abort", onAbort);
  if (signal?.aborted) onAbort();
  await child.exited;
  limit.cancel();
  kill?.cancel();
  signal?.removeEventListener("abort", onAbort);
  // Its children may ignore what it heeded. At once, before its number can become somebody else's.
  if (why !== "by-itself") signalGroup(child.pid, "SIGKILL");
  return why;
}

function signalGroup(pid: number, signal: "SIGTERM" | "SIGKILL"): void {
  try {
    process.kill(-pid, signal);
  } catch (error) {
    // Nobody is left in it.
    if ((error as NodeJS.ErrnoException).code !== "ESRCH") throw error;
  }
}

function listen(stream: ReadableStream<Uint8Array>, output: Tail): { done: Promise<void>; stop: () => Promise<void> } {
  const reader = stream.getReader();
  const read = async (): Promise<void> => {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      output.add(value);
    }
  };
  // A pipe that breaks has said all that it will say.
  const done = read().catch(() => undefined);
  return { done, stop: async () => await reader.cancel().catch(() => undefined) };
}

/** The end of what was printed. */
class Tail {
  droppedBytes = 0;
  private readonly bytesMax: number;
  private bytes: Uint8Array = new Uint8Array(0);

  constructor(bytesMax: number) {
    this.bytesMax = bytesMax;
  }

  add(part: Uint8Array): void {
    const all = Buffer.concat([this.bytes, part.subarray(-this.bytesMax)]);
    const kept = all.subarray(-this.bytesMax);
    this.droppedBytes += this.bytes.length + part.length - kept.length;
    this.bytes = Uint8Array.from(kept);
  }

  /** As text that can be shown: what would move a terminal's cursor or colour it is taken out. */
  text(): string {
    // oxlint-disable-next-line no-control-regex
    return new TextDecoder().decode(this.bytes).replaceAll(/[\u0000-\u0008\u000b-\u001f\u007f-\u009f]/g, "");
  }
}
