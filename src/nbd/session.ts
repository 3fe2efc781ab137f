/**
 * One client's session: its socket, what comes in and goes out, and its deadlines.
 *
 *     negotiating ──▶ securing (TLS) ──▶ negotiating ──▶ transmitting ──▶ draining ──▶ closing ──▶ closed
 *
 * Input is fed to the stage (negotiation, then transmission). What a stage does not take now waits in a stash, and the
 * socket is paused until the stash is empty: so a client that sends faster than it is served fills its own socket.
 * The device that a session opened is closed exactly once, when the socket is gone and nothing is in flight.
 */
import { AssertionError } from "../base/assert.ts";
import type { Negotiated, SessionServices } from "./execution.ts";
import type { NbdLimits } from "./limits.ts";
import type { MemoryBudget, SlabPool } from "./memory.ts";
import { Negotiation, type NegotiationServices } from "./negotiation.ts";
import { Outgoing } from "./outgoing.ts";
import type { NbdConnection, NbdExport, NbdExports, NbdPeer, NbdServerEvent } from "./server.ts";
import { Transmission } from "./transmission.ts";

/** What a session needs of a socket, plain or TLS. */
export interface SessionSocket {
  write(data: Uint8Array, byteOffset?: number, byteLength?: number): number;
  end(): void;
  terminate(): void;
  pause(): void;
  resume(): void;
}

/** What the server lends to its sessions. */
export interface SessionEnvironment {
  readonly exports: NbdExports;
  readonly limits: NbdLimits;
  readonly slabs: SlabPool;
  readonly budget: MemoryBudget;
  readonly tls: "none" | "offered" | "required";
  /** Begins TLS on a session's socket, whose answers are all sent. */
  upgrade(session: Session): void;
  log(event: NbdServerEvent): void;
  /** Monotonic microseconds. */
  now(): number;
  /** The session holds nothing any more. */
  released(session: Session): void;
}

/** How long a client may take to close its side after we have closed ours. */
const CLOSE_TIMEOUT_MICROS = 5_000_000;

export class Session implements SessionServices, NegotiationServices {
  readonly out: Outgoing;
  readonly exports: NbdExports;
  readonly limits: NbdLimits;
  readonly slabs: SlabPool;
  readonly budget: MemoryBudget;
  readonly tls: "none" | "offered" | "required";
  readonly peer: NbdPeer;
  secured = false;
  state: "negotiating" | "securing" | "transmitting" | "draining" | "closing" | "closed" = "negotiating";
  socket: SessionSocket;

  #negotiation: Negotiation;
  #transmission: Transmission | undefined;
  #exported: NbdExport | undefined;
  #exportName = "";
  #stash: Uint8Array[] = [];
  #stashAt = 0;
  #paused = false;
  #turnScheduled = false;
  #reason = "the client hung up";
  #failedCount = 0;
  #receivedBytes = 0;

  readonly #startedAt: number;
  #closingAt = 0;
  #sentSeen = 0;
  #sentSeenAt = 0;
  #requestSeen = 0;
  #requestSeenAt = 0;
  readonly #environment: SessionEnvironment;

  constructor(socket: SessionSocket, peer: NbdPeer, environment: SessionEnvironment) {
    this.socket = socket;
    this.peer = peer;
    this.#environment = environment;
    this.exports = environment.exports;
    this.limits = environment.limits;
    this.slabs = environment.slabs;
    this.budget = environment.budget;
    this.tls = environment.tls;
    this.out = new Outgoing(environment.budget, environment.slabs);
    this.out.sink = socket;
    this.#startedAt = environment.now();
    this.#negotiation = new Negotiation(this);
    this.#turn();
  }

  /** @param chunk - never changed by anyone afterwards: writes are handed on as views of it */
  receive(chunk: Uint8Array): void {
    if (this.state === "securing") {
      this.fail("plaintext followed STARTTLS");
      return;
    }
    if (this.state !== "negotiating" && this.state !== "transmitting") return;
    this.#receivedBytes += chunk.length;
    if (this.#stash.length === 0) {
      const reached = this.#feed(chunk, 0);
      if (reached < chunk.length) {
        this.#stash.push(chunk);
        this.#stashAt = reached;
      }
    } else {
      this.#stash.push(chunk);
    }
    this.#turn();
  }

  /** The socket takes bytes again. */
  drained(): void {
    this.#turn();
  }

  answered(): void {
    if (this.#turnScheduled) return;
    // One turn for all the answers that become ready together: they leave in one write.
    this.#turnScheduled = true;
    queueMicrotask(() => {
      this.#turnScheduled = false;
      this.#turn();
    });
  }

  /** Ends the session at once: the client broke the protocol or let a deadline pass. */
  fail(reason: string): void {
    if (this.state === "closing" || this.state === "closed") return;
    this.#reason = reason;
    this.#close();
  }

  /** Answers what is in flight, then ends the session. */
  disconnect(reason = "the client said goodbye"): void {
    if (this.state === "draining" || this.state === "closing" || this.state === "closed") return;
    this.#reason = reason;
    this.state = "draining";
    this.#transmission?.end();
    this.#stash = [];
    this.answered();
  }

  startTls(): void {
    this.state = "securing";
    this.answered();
  }

  /** TLS is established on {@link socket}. */
  secure(client: { subject: string; fingerprint?: string } | undefined): void {
    if (this.state !== "securing") return;
    this.out.sink = this.socket;
    this.secured = true;
    if (client) this.peer.tlsSubject = client.subject;
    if (client?.fingerprint !== undefined) this.peer.tlsFingerprint = client.fingerprint;
    this.state = "negotiating";
  }

  opened(name: string, exported: NbdExport, negotiated: Negotiated): void {
    this.#exported = exported;
    this.#exportName = name;
    this.#transmission = new Transmission(this, exported, negotiated);
    this.state = "transmitting";
    this.#environment.log({ kind: "opened", peer: this.peer, exportName: name, readOnly: exported.readOnly });
  }

  requestFailed(error: unknown): void {
    stopOnAssertion(error);
    this.#failedCount++;
    // A broken device fails every request: the log gets the 1st, 2nd, 4th, 8th…
    if ((this.#failedCount & (this.#failedCount - 1)) !== 0) return;
    this.#environment.log({
      kind: "request-failed",
      peer: this.peer,
      exportName: this.#exportName,
      error,
      failedCount: this.#failedCount,
    });
  }

  /** The socket is gone. Idempotent. */
  closed(): void {
    if (this.state === "closed") return;
    this.state = "closed";
    this.#stash = [];
    this.out.discard();
    this.#environment.log({ kind: "closed", peer: this.peer, exportName: this.#exportName, reason: this.#reason });
    void this.#release();
  }

  /** Ends the session without regard for the client. */
  terminate(reason: string): void {
    if (this.state === "closed") return;
    if (this.state !== "closing") this.#reason = reason;
    this.socket.terminate();
    this.closed();
  }

  /** Looks at the deadlines; the server calls it every now and then, so that requests need no timers of their own. */
  checkDeadlines(now: number): void {
    const { limits, out } = this;
    if (this.state === "closing") {
      if (now - this.#closingAt > CLOSE_TIMEOUT_MICROS) this.terminate(this.#reason);
      return;
    }
    if (this.state === "negotiating" || this.state === "securing") {
      if (now - this.#startedAt > limits.handshakeTimeoutMs * 1000) this.terminate("the handshake took too long");
      return;
    }
    if (out.unsentBytes === 0 || out.sentBytes !== this.#sentSeen) {
      this.#sentSeen = out.sentBytes;
      this.#sentSeenAt = now;
    } else if (now - this.#sentSeenAt > limits.answerTimeoutMs * 1000) {
      this.terminate("the client does not read its answers");
      return;
    }
    const transmission = this.#transmission;
    if (transmission === undefined || this.state !== "transmitting") return;
    if (!transmission.midRequest || transmission.requestCount !== this.#requestSeen) {
      this.#requestSeen = transmission.requestCount;
      this.#requestSeenAt = now;
      return;
    }
    const allowed = limits.requestTimeoutMs / 1000 + transmission.payloadSize / limits.payloadBytesPerSecondMin;
    if (now - this.#requestSeenAt > allowed * 1e6) this.terminate("a request stopped halfway");
  }

  get info(): NbdConnection {
    return {
      peer: this.peer,
      exportName: this.#exportName,
      readOnly: this.#exported?.readOnly ?? true,
      tls: this.secured,
      state: this.#transmission === undefined ? "negotiating" : "transmitting",
      requestCount: this.#transmission?.requestCount ?? 0,
      inFlightCount: this.#transmission?.execution.inFlight ?? 0,
      receivedBytes: this.#receivedBytes,
      sentBytes: this.out.sentBytes,
    };
  }

  #feed(chunk: Uint8Array, start: number): number {
    if (this.state === "negotiating") return this.#negotiation.feed(chunk, start);
    if (this.state === "transmitting") return this.#transmission!.feed(chunk, start);
    return start;
  }

  /** Sends what is ready and takes what waits, until neither goes on. */
  #turn(): void {
    for (;;) {
      if (this.state === "closed") return;
      if (!this.out.send()) {
        this.terminate("the client hung up");
        return;
      }
      if (this.#stash.length === 0 || !this.#takeStash()) break;
    }
    if (this.state === "negotiating" || this.state === "transmitting") this.#pauseOrResume();
    else this.#advance();
  }

  /** @returns whether any input was taken */
  #takeStash(): boolean {
    const first = this.#stash[0]!;
    const reached = this.#feed(first, this.#stashAt);
    const progressed = reached > this.#stashAt;
    this.#stashAt = reached;
    if (reached < first.length) return progressed;
    this.#stash.shift();
    this.#stashAt = 0;
    return true;
  }

  #pauseOrResume(): void {
    const pause = this.#stash.length > 0;
    if (pause === this.#paused) return;
    this.#paused = pause;
    if (pause) this.socket.pause();
    else this.socket.resume();
  }

  /** Goes on to the next state when the answers are out. */
  #advance(): void {
    if (this.out.unsentBytes > 0) return;
    if (this.state === "securing") {
      if (this.out.sink === undefined) return;
      if (this.#stash.length > 0) {
        this.fail("plaintext followed STARTTLS");
        return;
      }
      // Nothing may be sent until the handshake is done; and a socket that was paused for its input must read again.
      this.out.sink = undefined;
      this.#pauseOrResume();
      this.#environment.upgrade(this);
    } else if (this.state === "draining" && (this.#transmission?.execution.inFlight ?? 0) === 0) {
      this.#close();
    }
  }

  #close(): void {
    this.state = "closing";
    this.#closingAt = this.#environment.now();
    this.#transmission?.end();
    this.#stash = [];
    this.out.send();
    if (this.#paused) this.socket.resume();
    this.#paused = false;
    this.socket.end();
  }

  async #release(): Promise<void> {
    try {
      await this.#negotiation.end();
      const transmission = this.#transmission;
      if (transmission !== undefined) {
        transmission.end();
        transmission.execution.abandon();
        await transmission.execution.idle();
      }
      await this.#exported?.device.close();
    } catch (error) {
      stopOnAssertion(error);
      this.#environment.log({
        kind: "request-failed",
        peer: this.peer,
        exportName: this.#exportName,
        error,
        failedCount: this.#failedCount,
      });
    } finally {
      this.#environment.released(this);
    }
  }
}

/** An assertion that failed beneath a request is our defect, and stops the process instead of becoming an answer. */
export function stopOnAssertion(error: unknown): void {
  if (!(error instanceof AssertionError)) return;
  queueMicrotask(() => {
    throw error;
  });
}
