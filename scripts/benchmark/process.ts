/**
 * Processes of the benchmark: commands that run to their end, servers that are started and stopped by their handle, and what the
 * kernel says of both. Nothing here outlives the benchmark: every server is registered and ended when the run ends, however it does.
 */
import { readFileSync, readdirSync } from "node:fs";

export interface Finished {
  stdout: string;
  stderr: string;
  seconds: number;
}

/** Runs a command to its end. @throws Error with the end of what it said, if it fails */
export async function runCommand(command: readonly string[], env: Record<string, string> = {}): Promise<Finished> {
  const started = performance.now();
  const child = Bun.spawn([...command], {
    env: { ...process.env, ...env },
    stdin: "ignore",
    stdout: "pipe",
    stderr: "pipe",
  });
  const [stdout, stderr] = await Promise.all([child.stdout.text(), child.stderr.text()]);
  const code = await child.exited;
  const seconds = (performance.now() - started) / 1000;
  if (code !== 0) throw new Error(`${command.join(" ")} ended with ${code}: ${(stderr || stdout).slice(-1500)}`);
  return { stdout, stderr, seconds };
}

const servers = new Set<Bun.Subprocess>();

/** Starts a server and waits until `isReady`, looking each 20 ms for up to 30 s. @throws Error if it ends or is not ready by then */
export async function startServer(
  command: readonly string[],
  isReady: () => boolean | Promise<boolean>,
): Promise<Bun.Subprocess> {
  const child = Bun.spawn([...command], { stdin: "ignore", stdout: "ignore", stderr: "inherit" });
  servers.add(child);
  const deadline = performance.now() + 30_000;
  while (!(await isReady())) {
    if (child.exitCode !== null || performance.now() > deadline) {
      await stopServer(child);
      throw new Error(`${command.join(" ")} did not become ready`);
    }
    await Bun.sleep(20);
  }
  return child;
}

/** Asks a server to end, and after 30 s makes it. */
export async function stopServer(child: Bun.Subprocess): Promise<void> {
  if (child.exitCode === null) child.kill("SIGTERM");
  const forced = setTimeout(() => child.kill("SIGKILL"), 30_000);
  await child.exited;
  clearTimeout(forced);
  servers.delete(child);
}

export async function stopAllServers(): Promise<void> {
  await Promise.all([...servers].map(stopServer));
}

export interface MemoryUse {
  /** Resident now, in bytes. */
  rssBytes: number;
  /** Most it ever was, in bytes. */
  peakBytes: number;
}

export function memoryOf(pid: number): MemoryUse {
  const status = readFileSync(`/proc/${pid}/status`, "utf8");
  const field = (name: string): number =>
    Number(new RegExp(`^${name}:\\s+(\\d+) kB`, "m").exec(status)?.[1] ?? 0) * 1024;
  return { rssBytes: field("VmRSS"), peakBytes: field("VmHWM") };
}

/** Processor seconds a process has used, over all its threads; 100 ticks a second on every Linux this runs on. */
export function processorSecondsOf(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
  // The second field is the command in parentheses and may hold spaces.
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return (Number(fields[11]) + Number(fields[12])) / 100;
}

/**
 * Waits until a server has nothing left to do (sealing, write-back): under 3% of a processor for half a second.
 * Given to every contender alike, so that no one's background work is charged to the next.
 * @returns seconds waited; gives up after `secondsMax`
 */
export async function settle(pid: number, secondsMax = 120): Promise<number> {
  const started = performance.now();
  let before = processorSecondsOf(pid);
  while ((performance.now() - started) / 1000 < secondsMax) {
    await Bun.sleep(500);
    const now = processorSecondsOf(pid);
    if (now - before < 0.015) break;
    before = now;
  }
  return (performance.now() - started) / 1000;
}

/** Bytes that a folder or file takes on disk, holes not counted. */
export async function diskUse(path: string): Promise<number> {
  const { stdout } = await runCommand(["du", "-s", "-B1", path]);
  return Number(stdout.split("\t")[0]);
}

/** Makes everything written so far durable, so that tools which sync and tools which do not are measured alike. */
export async function syncFileSystem(path: string): Promise<void> {
  await runCommand(["sync", "-f", path]);
}

/** The processor's name, core count, memory and kernel: what a table of figures must say. */
export function describeMachine(folder: string): string {
  const processor = /model name\s*: (.*)/.exec(readFileSync("/proc/cpuinfo", "utf8"))?.[1] ?? "unknown processor";
  const cores = readdirSync("/sys/devices/system/cpu").filter((name) => /^cpu\d+$/.test(name)).length;
  const memory = Number(/MemTotal:\s+(\d+)/.exec(readFileSync("/proc/meminfo", "utf8"))?.[1] ?? 0) / 2 ** 20;
  const kernel = readFileSync("/proc/sys/kernel/osrelease", "utf8").trim();
  const fileSystem = Bun.spawnSync(["stat", "-f", "-c", "%T", folder]).stdout.toString().trim();
  return `${processor}, ${cores} cores, ${memory.toFixed(0)} GiB, Linux ${kernel}, data on ${fileSystem}`;
}
