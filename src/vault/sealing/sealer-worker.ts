/**
 * The sealer in a worker thread: the side that asks. Compression and comparing stay off the thread that answers clients.
 */
import type { Disk } from "../../base/disk.ts";
import { SternwayError, type ErrorKind } from "../../base/errors.ts";
import type { SealerOptions, SealerRequest, SealerResult } from "./sealer-requests.ts";
import type { SealerRunner } from "./sealer-runner.ts";

/** First message to the thread. A key goes to it in this way alone: never by a file, an argument or the environment. */
export interface SealerStart {
  kind: "start";
  options: Omit<SealerOptions, "cipher">;
  dataKey: Uint8Array | undefined;
}

/** Each further one. */
export interface SealerCall {
  kind: "call";
  id: number;
  request: SealerRequest;
}

export type SealerMessage = SealerStart | SealerCall | { kind: "stop" };

/** What comes back. */
export type SealerAnswer =
  | { id: 0; ready: true }
  | { id: number; ok: true; result: unknown }
  | {
      id: number;
      ok: false;
      error: { kind: ErrorKind; message: string; facts: Record<string, string | number | boolean> };
    }
  | { id: number; ok: false; defect: string };

interface Pending {
  resolve: (result: never) => void;
  reject: (error: unknown) => void;
}

/** Starts the thread; it works on the machine's own disk, whatever disk the vault was given. */
export function workerSealer(_disk: Disk, options: SealerOptions): SealerRunner {
  const worker = new Worker(new URL("./sealer-thread.ts", import.meta.url), { name: "sealer" });
  const pending = new Map<number, Pending>();
  let nextId = 1;
  let ended: Error | undefined;
  const closed = Promise.withResolvers<void>();

  const fail = (error: Error): void => {
    ended = error;
    ready.resolve();
    for (const call of pending.values()) call.reject(error);
    pending.clear();
  };
  // What is posted before the thread has loaded its modules is lost: wait until it says that it listens.
  const ready = Promise.withResolvers<void>();
  const { cipher, ...cloned } = options;
  void ready.promise.then(() => {
    const dataKey = cipher?.copyDataKey();
    worker.postMessage({ kind: "start", options: cloned, dataKey } satisfies SealerStart);
    dataKey?.fill(0);
  });
  worker.addEventListener("message", (event: MessageEvent<SealerAnswer>) => {
    const answer = event.data;
    if ("ready" in answer) {
      ready.resolve();
      return;
    }
    const call = pending.get(answer.id);
    pending.delete(answer.id);
    if (!call) return;
    if (answer.ok) call.resolve(answer.result as never);
    else if ("error" in answer)
      call.reject(new SternwayError(answer.error.kind, answer.error.message, answer.error.facts));
    else call.reject(new SternwayError("internal", `a defect in the sealer: ${answer.defect}`));
  });
  worker.addEventListener("error", (event: ErrorEvent) =>
    fail(new Error(`the sealer's thread ended: ${event.message}`)),
  );
  worker.addEventListener("close", () => {
    fail(new Error("the sealer's thread has ended"));
    closed.resolve();
  });
  return {
    async run<Request extends SealerRequest>(request: Request): Promise<SealerResult<Request>> {
      await ready.promise;
      if (ended) throw ended;
      return await new Promise<SealerResult<Request>>((resolve, reject) => {
        const id = nextId++;
        pending.set(id, { resolve, reject });
        worker.postMessage({ kind: "call", id, request } satisfies SealerCall);
      });
    },
    async stop() {
      await ready.promise;
      // The thread ends by itself after what it is doing: terminating it could cut a native call short.
      if (!ended) worker.postMessage({ kind: "stop" });
      await closed.promise;
    },
  };
}
