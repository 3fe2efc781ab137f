/** The daemon that `demo` runs for itself: this same program, as a process of its own, on the demo's data folder. */
import { closeSync, openSync } from "node:fs";
import { SternwayError } from "../base/errors.ts";
import type { Client } from "../contract/client.ts";
import type { Invocation } from "./context.ts";

const READY_MS_MAX = 30_000;
const STOP_MS_MAX = 30_000;
const POLL_MS = 50;

export interface DemoDaemon {
  /** Ends it as an operator would, with SIGTERM; resolves when it is gone. */
  stop(): Promise<void>;
}

/** Starts it and waits until it answers. What it says goes to the file at `logPath`. */
export async function startDemoDaemon(
  run: Invocation,
  dataDir: string,
  logPath: string,
  client: Client,
): Promise<DemoDaemon> {
  const log = openSync(logPath, "w");
  const child = Bun.spawn([...run.services.self, "serve", "--data", dataDir, "--http", "off"], {
    // Settings of a real appliance (addresses among them) are not the demo's.
    env: Object.fromEntries(Object.entries(run.terminal.env).filter(([name]) => !name.startsWith("STERNWAY_"))),
    // In a process group of its own: Ctrl-C must reach the demo alone, which then takes everything down in order.
    detached: true,
    stdin: "ignore",
    stdout: log,
    stderr: log,
  });
  closeSync(log);
  const stop = async (): Promise<void> => {
    if (child.exitCode !== null) return;
    child.kill("SIGTERM");
    const late = run.terminal.clock.timer(STOP_MS_MAX, () => child.kill("SIGKILL"));
    await child.exited;
    late.cancel();
  };
  try {
    await answering(run, client, () => child.exitCode, logPath);
  } catch (error) {
    await stop();
    throw error;
  }
  return { stop };
}

async function answering(
  run: Invocation,
  client: Client,
  exitCode: () => number | null,
  logPath: string,
): Promise<void> {
  let failure: unknown;
  for (let waitedMs = 0; waitedMs < READY_MS_MAX; waitedMs += POLL_MS) {
    const code = exitCode();
    if (code !== null) {
      throw new SternwayError(
        "unavailable",
        `the demo's daemon ended at once with exit code ${code}; its log is ${logPath}`,
      );
    }
    try {
      await client.health();
      return;
    } catch (error) {
      failure = error;
      await run.terminal.clock.sleep(POLL_MS);
    }
  }
  throw new SternwayError(
    "unavailable",
    `the demo's daemon does not answer after ${READY_MS_MAX / 1000} s; its log is ${logPath}`,
    {},
    { cause: failure },
  );
}
