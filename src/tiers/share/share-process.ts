/**
 * The process that works on a share's files: started by {@link ShareConnection} with the directory as its one argument. It may hang in a call of the kernel
 * for as long as the share does; nothing but this process waits then.
 *
 * It holds no state but what is under way, and ends when its parent does (its standard input ends). It can be killed at any moment: what it
 * leaves is what a crash leaves to a {@link DirectoryStore}.
 */
import { systemClock } from "../../base/clock.ts";
import { errorText, isSternwayError, SternwayError } from "../../base/errors.ts";
import { systemRandom } from "../../base/random.ts";
import { realDisk } from "../../base/real-disk.ts";
import { DirectoryStore, PIECE_BYTES, rangeWithin, readPart } from "../directory/directory-store.ts";
import {
  Credits,
  FrameReader,
  FrameWriter,
  fromJson,
  PAGE_ENTRIES_MAX,
  toJson,
  WINDOW,
  type Frame,
  type ShareCall,
  type ShareDone,
} from "./share-wire.ts";
import type { ObjectInfo, ObjectSource } from "../store.ts";
import { givenUp } from "../waiting.ts";

/** A call under way. */
interface Work {
  id: number;
  cancelled: AbortController;
  /** For what we send. */
  credits: Credits;
  /** For a put: takes what the parent sends. */
  onPiece: (piece: Uint8Array) => void;
}

const [dir = ""] = process.argv.slice(2);
const store = new DirectoryStore({ disk: realDisk, dir, clock: systemClock, random: systemRandom });
const works = new Map<number, Work>();
/** Buffers of pieces that were done with: fresh ones take three times as long. */
const buffers: Uint8Array[] = [];
const writer = new FrameWriter(Bun.stdout.writer(), () => process.exit(0));
const reader = new FrameReader(onFrame);

// The parent decides when this ends: a signal to the whole group (the service manager's, a terminal's) must not cut off what it still wants done.
process.on("SIGTERM", () => undefined);
process.on("SIGINT", () => undefined);
for await (const chunk of Bun.stdin.stream()) reader.push(chunk);
process.exit(0);

function onFrame({ kind, id, payload }: Frame): void {
  const work = works.get(id);
  switch (kind) {
    case "call":
      void answer(id, fromJson<ShareCall>(payload));
      return;
    case "piece":
      work?.onPiece(payload);
      return;
    case "more":
      work?.credits.add();
      return;
    case "cancel":
      work?.credits.end();
      work?.cancelled.abort();
      return;
    case "begin":
    case "entries":
    case "done":
    case "failure":
      throw new SternwayError("internal", `a share's process was sent its own ${kind}`);
  }
}

/** Never rejects. */
async function answer(id: number, call: ShareCall): Promise<void> {
  const credits = new Credits(call.method === "get" ? WINDOW : 1);
  const work: Work = { id, cancelled: new AbortController(), credits, onPiece: () => undefined };
  works.set(id, work);
  try {
    const done = toJson(await carryOut(work, call));
    void writer.send("done", id, done);
  } catch (error) {
    const { kind, message, facts } = isSternwayError(error)
      ? error
      : new SternwayError("internal", `a defect in the process of ${dir}: ${errorText(error)}`);
    void writer.send("failure", id, toJson({ kind, message, facts: { ...facts } }));
  } finally {
    works.delete(id);
  }
}

async function carryOut(work: Work, call: ShareCall): Promise<ShareDone> {
  const { signal } = work.cancelled;
  switch (call.method) {
    case "put": {
      const source = incoming(work, call.sizeBytes);
      try {
        await store.put(call.name, source, { ifAbsent: call.ifAbsent, signal });
      } finally {
        source.release();
      }
      return {};
    }
    case "get":
      await sendObject(work, call);
      return {};
    case "list":
      await sendList(work, call.prefix);
      return {};
    case "stat":
      return { result: await store.stat(call.name, signal) };
    case "remove":
      await store.remove(call.name, signal);
      return {};
    case "connect":
      await store.connect(call.identity, signal);
      return {};
    case "attach":
      await store.attach(call.identity, signal);
      return {};
    case "identify":
      return { result: await store.identify(signal) };
  }
}

/** What the parent sends, as a source: it is asked for a window's worth at the first read, and then for one piece per piece that was taken. */
function incoming(work: Work, sizeBytes: number): ObjectSource & { release: () => void } {
  const arrived: Uint8Array[] = [];
  let wake: () => void = () => undefined;
  let asked = 0;
  let lent: Uint8Array | undefined;
  work.onPiece = (payload) => {
    const buffer = buffers.pop() ?? new Uint8Array(PIECE_BYTES);
    buffer.set(payload);
    arrived.push(buffer.subarray(0, payload.length));
    wake();
  };
  const { signal } = work.cancelled;
  signal.addEventListener("abort", () => wake());
  return {
    sizeBytes,
    async read(offset) {
      if (lent) giveBack(lent);
      lent = undefined;
      for (; asked * PIECE_BYTES < Math.min(sizeBytes, offset + WINDOW * PIECE_BYTES); asked++)
        void writer.send("more", work.id);
      while (arrived.length === 0 && !signal.aborted) {
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
      }
      lent = arrived.shift();
      if (!lent || signal.aborted) throw givenUp("a put");
      return lent;
    },
    release() {
      work.onPiece = () => undefined;
      for (const piece of lent ? [lent, ...arrived] : arrived) giveBack(piece);
    },
  };
}

async function sendObject(work: Work, { name, offset, length }: ShareCall & { method: "get" }): Promise<void> {
  const file = await store.open(name, work.cancelled.signal);
  const lent: Uint8Array[] = [];
  try {
    const { begin, end } = rangeWithin(await file.size(), offset, length);
    void writer.send("begin", work.id, toJson({ sizeBytes: end - begin }));
    // One is read into while the pipe takes the other.
    for (let count = 0; count < 2; count++) lent.push(buffers.pop() ?? new Uint8Array(PIECE_BYTES));
    let sent: Promise<void> = Promise.resolve();
    for (let at = begin, turn = 0; at < end; at += PIECE_BYTES, turn = 1 - turn) {
      if (!(await work.credits.take())) throw givenUp(name);
      const piece = lent[turn]!.subarray(0, Math.min(PIECE_BYTES, end - at));
      await readPart(file, name, piece, at);
      await sent;
      sent = writer.send("piece", work.id, piece);
    }
    await sent;
  } finally {
    for (const buffer of lent) giveBack(buffer);
    await file.close();
  }
}

async function sendList(work: Work, prefix: string): Promise<void> {
  let page: ObjectInfo[] = [];
  const sendPage = async (): Promise<void> => {
    if (!(await work.credits.take())) throw givenUp("a list");
    void writer.send("entries", work.id, toJson(page));
    page = [];
  };
  for await (const info of store.list(prefix, work.cancelled.signal)) {
    page.push(info);
    if (page.length === PAGE_ENTRIES_MAX) await sendPage();
  }
  if (page.length > 0) await sendPage();
}

function giveBack(piece: Uint8Array): void {
  buffers.push(new Uint8Array(piece.buffer));
}
