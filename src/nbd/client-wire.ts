/**
 * The client's end of one connection: socket, TLS, and bytes in both directions. Whoever owns it says who takes the
 * incoming bytes: the handshake by exact amounts, then the reply parser chunk by chunk.
 */
import type { Socket } from "bun";
import { checkServerIdentity } from "node:tls";
import type { Clock } from "../base/clock.ts";
import { SternwayError } from "../base/errors.ts";
import { MemoryBudget } from "./memory.ts";
import { Outgoing } from "./outgoing.ts";

/** TLS from the client's side; everything PEM. */
export interface NbdClientTls {
  /** The authority that signed the server's certificate. */
  ca: string;
  /** What the client shows, where the server wants it. */
  cert?: string;
  key?: string;
  /** The name in the server's certificate. Default: the host; `localhost` on a unix socket. */
  serverName?: string;
}

export type NbdTarget =
  { kind: "unix"; path: string; tls?: NbdClientTls } | { kind: "tcp"; host: string; port: number; tls?: NbdClientTls };

export function targetText(target: NbdTarget): string {
  return target.kind === "unix" ? `unix:${target.path}` : `${target.host}:${target.port}`;
}

/** Ten unanswered probes a second apart follow this silence, and the connection counts as lost. */
const KEEPALIVE_DELAY_MS = 60_000;
/** How long a server may take to close its side after a goodbye. */
const FINISH_MS_MAX = 1000;

export class ClientWire {
  /** The client appends no more than it has bounded itself, so this budget never refuses. */
  readonly out = new Outgoing(new MemoryBudget(Number.MAX_SAFE_INTEGER));
  receivedBytes = 0;
  closedBy: SternwayError | undefined;
  /** Takes chunks; set once, after the handshake. */
  onData: ((chunk: Uint8Array) => void) | undefined;
  onClosed: ((error: SternwayError) => void) | undefined;
  #socket: Socket<ClientWire> | undefined;
  #chunks: Uint8Array[] = [];
  #available = 0;
  #wanted = 0;
  #whenAvailable: { resolve: () => void; reject: (error: SternwayError) => void } | undefined;
  #whenGone: (() => void) | undefined;
  #sendScheduled = false;
  readonly #target: NbdTarget;

  constructor(target: NbdTarget) {
    this.#target = target;
  }

  /** @throws unavailable: nobody listens there */
  async connect(): Promise<void> {
    const target = this.#target;
    const socket = {
      binaryType: "uint8array" as const,
      data: (from: Socket<ClientWire>, chunk: Uint8Array) => {
        // After the upgrade to TLS the plain socket goes on showing the ciphertext.
        if (from === this.#socket) this.#receive(chunk);
      },
      drain: (from: Socket<ClientWire>) => {
        if (from === this.#socket) this.#send();
      },
      close: () => this.fail("the server closed the connection"),
      error: (_from: Socket<ClientWire>, error: Error) => this.fail(error.message),
    };
    try {
      this.#socket =
        target.kind === "unix"
          ? await Bun.connect<ClientWire>({ unix: target.path, data: this, socket })
          : await Bun.connect<ClientWire>({ hostname: target.host, port: target.port, data: this, socket });
    } catch (error) {
      throw new SternwayError(
        "unavailable",
        `cannot reach an NBD server at ${targetText(target)}`,
        {},
        { cause: error },
      );
    }
    if (target.kind === "tcp") {
      this.#socket.setKeepAlive(true, KEEPALIVE_DELAY_MS);
      this.#socket.setNoDelay(true);
    }
    this.out.sink = this.#socket;
  }

  /** Continues in TLS. The server has agreed, and nothing is unsent. @throws denied: the certificates do not satisfy */
  async upgrade(tls: NbdClientTls): Promise<void> {
    const target = this.#target;
    const serverName = tls.serverName ?? (target.kind === "tcp" ? target.host : "localhost");
    const established = Promise.withResolvers<void>();
    const refuse = (reason: string): void => {
      const error = new SternwayError("denied", `TLS with ${targetText(target)} failed: ${reason}`);
      established.reject(error);
      this.#close(error);
    };
    this.out.sink = undefined;
    const [, secured] = this.#socket!.upgradeTLS<ClientWire>({
      data: this,
      tls: {
        ca: tls.ca,
        ...(tls.cert === undefined ? {} : { cert: tls.cert }),
        ...(tls.key === undefined ? {} : { key: tls.key }),
        serverName,
        rejectUnauthorized: true,
      },
      socket: {
        handshake(socket, ok, error) {
          const identity = socket.authorized ? checkServerIdentity(serverName, socket.getPeerCertificate()) : undefined;
          if (!ok || !socket.authorized) refuse(error?.message ?? "the server's certificate is not trusted");
          else if (identity !== undefined) refuse(identity.message);
          else established.resolve();
        },
        data: (_socket, chunk) => this.#receive(chunk),
        drain: () => this.#send(),
        close: () => {
          refuse("the server closed the connection");
          this.fail("the server closed the connection");
        },
        error: (_socket, error) => {
          refuse(error.message);
          this.fail(error.message);
        },
      },
    });
    this.#socket = secured;
    await established.promise;
    this.out.sink = secured;
    this.#send();
  }

  /** Exactly `size` bytes, for the handshake. @throws the error that closed the connection */
  async take(size: number): Promise<Uint8Array> {
    while (this.#available < size) {
      if (this.closedBy !== undefined) throw this.closedBy;
      this.#wanted = size;
      await new Promise<void>((resolve, reject) => (this.#whenAvailable = { resolve, reject }));
    }
    const bytes = new Uint8Array(size);
    let filled = 0;
    while (filled < size) {
      const first = this.#chunks[0]!;
      const part = first.subarray(0, size - filled);
      bytes.set(part, filled);
      filled += part.length;
      if (part.length === first.length) this.#chunks.shift();
      else this.#chunks[0] = first.subarray(part.length);
    }
    this.#available -= size;
    return bytes;
  }

  /** From now on chunks go to `onData`, those that wait first. */
  stream(onData: (chunk: Uint8Array) => void, onClosed: (error: SternwayError) => void): void {
    this.onData = onData;
    this.onClosed = onClosed;
    const waiting = this.#chunks;
    this.#chunks = [];
    this.#available = 0;
    for (const chunk of waiting) onData(chunk);
    if (this.closedBy !== undefined) onClosed(this.closedBy);
  }

  /** Sends what was appended to {@link out}, together with what else this turn appends. */
  sendSoon(): void {
    if (this.#sendScheduled) return;
    this.#sendScheduled = true;
    queueMicrotask(() => {
      this.#sendScheduled = false;
      this.#send();
    });
  }

  /** Closes with an error for everybody who waits. Idempotent. */
  fail(reason: string): void {
    this.#close(
      new SternwayError("unavailable", `lost the NBD server at ${targetText(this.#target)}: ${reason}`, {
        address: targetText(this.#target),
      }),
    );
  }

  /** Sends what was appended, closes our side, and waits a moment for the server to close its own. Idempotent. */
  async finish(clock: Clock): Promise<void> {
    // Sending may find that the connection is gone already.
    this.#send();
    if (this.closedBy !== undefined) return;
    const gone = new Promise<void>((resolve) => (this.#whenGone = resolve));
    const late = clock.timer(FINISH_MS_MAX, () => this.#gone());
    this.closedBy = new SternwayError("unavailable", `the connection to ${targetText(this.#target)} was closed by us`);
    this.onClosed?.(this.closedBy);
    this.#socket?.end();
    await gone;
    late.cancel();
    this.#socket?.terminate();
    this.out.discard();
  }

  #gone(): void {
    this.#whenGone?.();
    this.#whenGone = undefined;
  }

  #close(error: SternwayError): void {
    this.#gone();
    if (this.closedBy !== undefined) return;
    this.closedBy = error;
    this.out.discard();
    this.#socket?.terminate();
    this.#whenAvailable?.reject(error);
    this.onClosed?.(error);
  }

  #receive(chunk: Uint8Array): void {
    this.receivedBytes += chunk.length;
    if (this.onData !== undefined) {
      this.onData(chunk);
      return;
    }
    this.#chunks.push(chunk);
    this.#available += chunk.length;
    if (this.#available >= this.#wanted) this.#whenAvailable?.resolve();
  }

  #send(): void {
    if (this.closedBy === undefined && !this.out.send()) this.fail("the connection is closed");
  }
}
