/**
 * The sealer in a worker thread: the side that works. Requests are carried out one after another, at a lower priority than the thread
 * that answers clients.
 */
import { readlinkSync } from "node:fs";
import { setPriority } from "node:os";
import { errorText, isSternwayError } from "../../base/errors.ts";
import { systemRandom } from "../../base/random.ts";
import { realDisk } from "../../base/real-disk.ts";
import { VaultCipher } from "../../security/cipher.ts";
import { Sealer } from "./seal.ts";
import type { SealerAnswer, SealerCall, SealerMessage, SealerStart } from "./sealer-worker.ts";

declare const self: Worker;

/** Of nice's -20 to 19. Sealing may fall behind while clients are busy: the journal is there to take that up. */
const NICENESS = 5;

let sealer: Sealer | undefined;
let last: Promise<void> = Promise.resolve();

self.addEventListener("message", (event: MessageEvent<SealerMessage>) => {
  const message = event.data;
  switch (message.kind) {
    case "start":
      lowerPriority();
      sealer = startSealer(message);
      return;
    case "call":
      last = last.then(() => answer(message));
      return;
    case "stop":
      last = last.then(async () => {
        await sealer?.close();
        process.exit(0);
      });
      return;
  }
});

self.postMessage({ id: 0, ready: true } satisfies SealerAnswer);

async function answer(call: SealerCall): Promise<void> {
  self.postMessage(await work(call));
  // A stretch leaves some 100 MiB of buffers behind; the collector of a thread that only waits sees no reason to look for them. Slices of long
  // work leave little, and looking would take a good part of their time.
  if (!call.request.kind.endsWith("-more")) Bun.gc(true);
}

async function work({ id, request }: SealerCall): Promise<SealerAnswer> {
  try {
    return { id, ok: true, result: await sealer!.run(request) };
  } catch (error) {
    if (!isSternwayError(error)) return { id, ok: false, defect: errorText(error) };
    return { id, ok: false, error: { kind: error.kind, message: error.message, facts: { ...error.facts } } };
  }
}

function startSealer({ options, dataKey }: SealerStart): Sealer {
  if (!dataKey) return new Sealer(realDisk, options);
  const cipher = new VaultCipher(dataKey, options.vaultId, systemRandom);
  dataKey.fill(0);
  return new Sealer(realDisk, { ...options, cipher });
}

/** Linux takes a thread's id where setPriority says process. */
function lowerPriority(): void {
  const thread = Number(readlinkSync("/proc/thread-self").split("/").at(-1));
  setPriority(thread, NICENESS);
}
