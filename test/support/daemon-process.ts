/**
 * The appliance as its users meet it: a process of its own, started by `serve`, spoken to over its sockets and by the
 * command line. Tests hold it by its handle, so that nothing outlives them.
 */
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, readlinkSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { createClient, type Client } from "../../src/contract/client.ts";
import type { NbdTarget } from "../../src/nbd/client.ts";

const MAIN = resolve(import.meta.dir, "../../src/daemon/main.ts");
/** Opening a vault takes well under a second; a machine that stalls must not fail the test. */
const START_MS_MAX = 30_000;
const STOP_MS_MAX = 30_000;

/** Where a running daemon listens, as `serve --json` prints it. */
export interface DaemonAddresses {
  control: string;
  http?: string;
  peers?: string;
  nbd: string[];
}

export interface DaemonStart {
  /** Written to config.json before the start. */
  config?: Record<string, unknown>;
  /** More words for `serve`. */
  words?: readonly string[];
  /** What runs it, such as `ip netns exec NAME`; it must become the daemon, not start one. */
  runner?: readonly string[];
}

/** What a command of the command line did. */
export interface CommandResult {
  code: number;
  out: string;
  err: string;
}

/** A scratch folder under the system's own; sockets need short paths, so the name is short. */
export function scratchFolder(): string {
  return mkdtempSync(join(tmpdir(), "sw-"));
}

/** Removes a scratch folder and all that lies in it. */
export function removeScratch(folder: string): void {
  rmSync(folder, { recursive: true, force: true });
}

/** The words that run the command line. */
export function sternwayCommand(dataDir: string, ...words: string[]): string[] {
  return [process.execPath, MAIN, ...words, "--data", dataDir];
}

/** Runs the command line as a user would. */
export async function sternway(dataDir: string, ...words: string[]): Promise<CommandResult> {
  return await execute(sternwayCommand(dataDir, ...words));
}

/** A command that runs beside the test; disposing of it kills it. */
export interface RunningCommand extends Disposable {
  readonly running: boolean;
  /** SIGKILL; resolves when it is gone. */
  kill(): Promise<void>;
}

/** Starts the command line and leaves it running; what it prints is dropped. */
export function startSternway(dataDir: string, ...words: string[]): RunningCommand {
  const child = Bun.spawn(sternwayCommand(dataDir, ...words), { stdin: "ignore", stdout: "ignore", stderr: "ignore" });
  return {
    get running() {
      return child.exitCode === null && child.signalCode === null;
    },
    async kill() {
      child.kill("SIGKILL");
      await child.exited;
    },
    [Symbol.dispose]() {
      child.kill("SIGKILL");
    },
  };
}

/** Runs any program to its end, with its output. */
export async function execute(command: string[], options: { cwd?: string } = {}): Promise<CommandResult> {
  const child = Bun.spawn(command, { stdin: "ignore", stdout: "pipe", stderr: "pipe", ...options });
  const [out, err] = await Promise.all([child.stdout.text(), child.stderr.text()]);
  return { code: await child.exited, out, err };
}

/** The same, and its standard output. @throws with what it said when it fails */
export async function succeed(command: string[], options: { cwd?: string } = {}): Promise<string> {
  const { code, out, err } = await execute(command, options);
  if (code !== 0) throw new Error(`${command.join(" ")} ended with ${code}: ${err}${out}`);
  return out;
}

/** A running `sternway serve`. Disposing of it ends it at once if it still runs; the folder stays its owner's. */
export class DaemonProcess implements AsyncDisposable {
  readonly dataDir: string;
  readonly addresses: DaemonAddresses;
  /** From the start of the process until it served. */
  readonly startMs: number;
  readonly client: Client;
  readonly #child: Bun.Subprocess<"ignore", "pipe", "pipe">;
  readonly #log: string[];
  #bearer: Promise<readonly string[]> | undefined;

  private constructor(
    dataDir: string,
    addresses: DaemonAddresses,
    startMs: number,
    child: Bun.Subprocess<"ignore", "pipe", "pipe">,
    log: string[],
  ) {
    this.dataDir = dataDir;
    this.addresses = addresses;
    this.startMs = startMs;
    this.client = createClient({ socketPath: addresses.control });
    this.#child = child;
    this.#log = log;
  }

  /** Starts one and waits until it serves. @throws with its log when it does not */
  static async start(dataDir: string, options: DaemonStart = {}): Promise<DaemonProcess> {
    mkdirSync(dataDir, { recursive: true, mode: 0o700 });
    if (options.config) writeFileSync(join(dataDir, "config.json"), JSON.stringify(options.config));
    const from = performance.now();
    const child = Bun.spawn(
      [
        ...(options.runner ?? []),
        process.execPath,
        MAIN,
        "serve",
        "--data",
        dataDir,
        "--http",
        "127.0.0.1:0",
        "--json",
        ...["--log-format", "json"],
        ...(options.words ?? []),
      ],
      {
        stdin: "ignore",
        stdout: "pipe",
        stderr: "pipe",
        env: { ...process.env, UV_THREADPOOL_SIZE: process.env["UV_THREADPOOL_SIZE"] ?? "32" },
      },
    );
    const log: string[] = [];
    void drainLines(child.stderr, (line) => log.push(line));
    const timer = setTimeout(() => child.kill("SIGKILL"), START_MS_MAX);
    const ready = Promise.withResolvers<string | undefined>();
    void drainLines(child.stdout, (line) => ready.resolve(line)).then(() => ready.resolve(undefined));
    const line = await ready.promise;
    clearTimeout(timer);
    if (line === undefined) {
      const code = await child.exited;
      throw new Error(`serve ended with ${code} (${String(child.signalCode)}) before it served:\n${log.join("\n")}`);
    }
    const addresses = JSON.parse(line) as DaemonAddresses;
    return new DaemonProcess(dataDir, addresses, performance.now() - from, child, log);
  }

  get pid(): number {
    return this.#child.pid;
  }

  get running(): boolean {
    return this.#child.exitCode === null && this.#child.signalCode === null;
  }

  /** What it logged so far, as objects. */
  get log(): Record<string, unknown>[] {
    return this.#log.map((line) => {
      try {
        return JSON.parse(line) as Record<string, unknown>;
      } catch {
        // Not our log: a crash of the runtime, which a test must see too.
        return { level: "fatal", msg: line };
      }
    });
  }

  /** Lines of the log that nobody asked for: errors, and what was no log line. */
  get complaints(): Record<string, unknown>[] {
    return this.log.filter((line) => line["level"] === "error" || line["level"] === "fatal");
  }

  /** The socket in the data folder, for our client. */
  get blocks(): NbdTarget {
    return { kind: "unix", path: join(this.dataDir, "nbd.sock") };
  }

  /** An export on the socket in the data folder, as libnbd and qemu write it. */
  uri(exportName: string): string {
    return `nbd+unix:///${encodeURIComponent(exportName)}?socket=${join(this.dataDir, "nbd.sock")}`;
  }

  /** Runs a command of the command line on it. @returns its JSON @throws with what it said when it fails */
  async command<Answer>(...words: string[]): Promise<Answer> {
    const { code, out, err } = await sternway(this.dataDir, ...words, "--json");
    if (code !== 0) throw new Error(`sternway ${words.join(" ")} ended with ${code}: ${err}${out}`);
    return JSON.parse(out) as Answer;
  }

  /** Words of curl that let it in over TCP, where nobody is believed without a token. Sets the appliance up at the first call. */
  async bearer(): Promise<readonly string[]> {
    this.#bearer ??= (async () => {
      await this.client.setUp({ name: "test", password: "a sentence for tests" });
      const { token } = await this.client.addToken({ account: "test", name: "curl" });
      return ["-H", `authorization: Bearer ${token}`];
    })();
    return await this.#bearer;
  }

  /** SIGKILL; resolves when the kernel has released all it held. */
  async kill(): Promise<void> {
    this.#child.kill("SIGKILL");
    await this.#child.exited;
  }

  /** SIGTERM. @returns its exit code and how long it took @throws when it does not end */
  async stop(): Promise<{ code: number; tookMs: number }> {
    const from = performance.now();
    this.#child.kill("SIGTERM");
    const late = Promise.withResolvers<"late">();
    const timer = setTimeout(() => late.resolve("late"), STOP_MS_MAX);
    const code = await Promise.race([this.#child.exited, late.promise]);
    clearTimeout(timer);
    if (code === "late") {
      await this.kill();
      throw new Error(`SIGTERM did not end the daemon within ${STOP_MS_MAX} ms:\n${this.#log.slice(-20).join("\n")}`);
    }
    return { code, tookMs: performance.now() - from };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.running) await this.kill();
  }

  /** Resident memory in bytes. */
  get residentBytes(): number {
    const line = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${this.pid}/status`, "utf8"));
    return Number(line?.[1] ?? NaN) * 1024;
  }

  /** What its open descriptors point at, sorted. */
  get descriptors(): string[] {
    const folder = `/proc/${this.pid}/fd`;
    return readdirSync(folder)
      .flatMap((name) => {
        try {
          return [readlinkSync(join(folder, name))];
        } catch {
          // Closed between the listing and the look: not open any more, so not counted.
          return [];
        }
      })
      .sort();
  }
}

async function drainLines(stream: ReadableStream<Uint8Array>, onLine: (line: string) => void): Promise<void> {
  const decoder = new TextDecoder();
  let rest = "";
  for await (const chunk of stream) {
    const lines = (rest + decoder.decode(chunk, { stream: true })).split("\n");
    rest = lines.pop() ?? "";
    for (const line of lines) if (line !== "") onLine(line);
  }
  if (rest !== "") onLine(rest);
}
