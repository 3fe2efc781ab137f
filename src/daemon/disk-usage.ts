/** How full the mounted file systems are, by node-disk-info in a worker thread. */

export interface DiskUsage {
  /** The device or what else `df` names. */
  source: string;
  mountPath: string;
  sizeBytes: number;
  usedBytes: number;
  freeBytes: number;
}

export type DiskUsageAnswer = { usages: DiskUsage[]; error?: never } | { usages?: never; error: string };

const WAIT_MS = 3_000;

/** Running look-ups end with their thread; one that hangs is not joined by a second. */
let running: Promise<DiskUsageAnswer> | undefined;

/** Never rejects, never waits for longer than three seconds. */
export async function readDiskUsage(): Promise<DiskUsageAnswer> {
  running ??= askWorker().finally(() => {
    running = undefined;
  });
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<DiskUsageAnswer>((resolve) => {
    timer = setTimeout(
      () => resolve({ error: `df did not answer within ${WAIT_MS / 1000} s: a mount may hang` }),
      WAIT_MS,
    );
  });
  return Promise.race([running, late]).finally(() => clearTimeout(timer));
}

function askWorker(): Promise<DiskUsageAnswer> {
  return new Promise((resolve) => {
    // df counts in KiB unless the environment says otherwise.
    const { POSIXLY_CORRECT: _, DF_BLOCK_SIZE: __, BLOCK_SIZE: ___, BLOCKSIZE: ____, ...env } = process.env;
    const worker = new Worker(new URL("./disk-usage-worker.ts", import.meta.url).href, {
      env: { ...env, LC_ALL: "C" },
    });
    worker.onmessage = (event: MessageEvent<DiskUsageAnswer>) => {
      resolve(event.data);
      worker.terminate();
    };
    worker.onerror = (event) => resolve({ error: event.message });
    // It must not keep a stopping daemon alive.
    worker.unref();
  });
}
