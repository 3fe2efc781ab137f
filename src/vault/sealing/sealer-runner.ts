/**
 * Who runs the sealer's requests: inline, for simulations, or a worker thread (sealer-thread.ts).
 */
import type { Disk } from "../../base/disk.ts";
import { Sealer } from "./seal.ts";
import type { SealerOptions, SealerRequest, SealerResult } from "./sealer-requests.ts";

export interface SealerRunner {
  /** Carries out one request; later ones wait their turn. */
  run<Request extends SealerRequest>(request: Request): Promise<SealerResult<Request>>;
  /** Ends what is running and lets go. */
  stop(): Promise<void>;
}

export type StartSealer = (disk: Disk, options: SealerOptions) => SealerRunner;

/** Runs requests on the caller's thread. */
export const inlineSealer: StartSealer = (disk, options) => {
  const sealer = new Sealer(disk, options);
  let last: Promise<unknown> = Promise.resolve();
  return {
    run<Request extends SealerRequest>(request: Request): Promise<SealerResult<Request>> {
      const result = last.then(() => sealer.run(request)) as Promise<SealerResult<Request>>;
      // The next request runs whatever became of this one; its error belongs to its own caller.
      last = result.then(
        () => undefined,
        () => undefined,
      );
      return result;
    },
    async stop() {
      await last;
      await sealer.close();
    },
  };
};
