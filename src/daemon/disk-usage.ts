/** How full the mounted file systems are, by node-disk-info in a process of its own. */
import { fileURLToPath } from "node:url";

export interface DiskUsage {
  /** The device or what else `df` names. */
  source: string;
  mountPath: string;
  sizeBytes: number;
  usedBytes: number;
  freeBytes: number;
}

/** @param complaint - about single file systems, as `df` words it */
export type DiskUsageAnswer =
  { usages: DiskUsage[]; complaint?: string; error?: never } | { usages?: never; complaint?: never; error: string };

const WAIT_MS = 3_000;
const COMPLAINT_CHARS_MAX = 500;

/** Running look-ups end with their process; one that hangs is not joined by a second. */
let running: Promise<DiskUsageAnswer> | undefined;

/** Never rejects. @param waitMs - never waits for longer */
export async function readDiskUsage(waitMs = WAIT_MS): Promise<DiskUsageAnswer> {
  running ??= askProcess()
    .catch((error: unknown): DiskUsageAnswer => ({ error: error instanceof Error ? error.message : String(error) }))
    .finally(() => {
      running = undefined;
    });
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<DiskUsageAnswer>((resolve) => {
    timer = setTimeout(
      () => resolve({ error: `df did not answer within ${waitMs / 1000} s: a mount may hang` }),
      waitMs,
    );
  });
  return Promise.race([running, late]).finally(() => clearTimeout(timer));
}

async function askProcess(): Promise<DiskUsageAnswer> {
  // df counts in KiB unless the environment says otherwise.
  const { POSIXLY_CORRECT: _, DF_BLOCK_SIZE: __, BLOCK_SIZE: ___, BLOCKSIZE: ____, ...env } = process.env;
  const child = Bun.spawn([process.execPath, fileURLToPath(new URL("./disk-usage-process.ts", import.meta.url))], {
    stdin: "ignore",
    stdout: "pipe",
    stderr: "pipe",
    env: { ...env, LC_ALL: "C" },
  });
  // It must not keep a stopping daemon alive.
  child.unref();
  const [out, err, exitCode] = await Promise.all([child.stdout.text(), child.stderr.text(), child.exited]);
  const complaint = err.trim().slice(0, COMPLAINT_CHARS_MAX);
  if (exitCode !== 0) return { error: complaint || `exit code ${exitCode}` };
  return { usages: JSON.parse(out) as DiskUsage[], ...(complaint && { complaint }) };
}
