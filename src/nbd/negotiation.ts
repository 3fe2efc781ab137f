/**
 * The handshake of one session: fixed newstyle flags, then option after option until EXPORT_NAME or GO opens a device.
 *
 * Invariants: where TLS is required nothing but STARTTLS and ABORT is answered before it; what was agreed on before TLS
 * is forgotten (proto.md, "NBD_OPT_STARTTLS"); plaintext that follows STARTTLS ends the session, so that nobody can
 * slip words into the encrypted conversation. A device that was opened is handed over or closed, never lost.
 */
import { SternwayError } from "../base/errors.ts";
import { ALLOCATION_CONTEXT_ID, type Negotiated } from "./execution.ts";
import type { NbdLimits } from "./limits.ts";
import {
  decodeInfoRequest,
  decodeMetaRequest,
  infoReplies,
  metaContextReply,
  optionError,
  optionReply,
  serverReply,
  transmissionFlags,
} from "./option-replies.ts";
import type { Outgoing } from "./outgoing.ts";
import {
  BASE_ALLOCATION,
  decodeString,
  getU32,
  IHAVEOPT_HIGH,
  IHAVEOPT_LOW,
  NBD_FLAG_FIXED_NEWSTYLE,
  NBD_FLAG_NO_ZEROES,
  NBD_OPT_ABORT,
  NBD_OPT_EXPORT_NAME,
  NBD_OPT_GO,
  NBD_OPT_INFO,
  NBD_OPT_LIST,
  NBD_OPT_LIST_META_CONTEXT,
  NBD_OPT_SET_META_CONTEXT,
  NBD_OPT_STARTTLS,
  NBD_OPT_STRUCTURED_REPLY,
  NBD_REP_ACK,
  NBD_REP_ERR_INVALID,
  NBD_REP_ERR_TLS_REQD,
  NBD_REP_ERR_TOO_BIG,
  NBD_REP_ERR_UNSUP,
  NBDMAGIC_HIGH,
  NBDMAGIC_LOW,
  OPTION_HEADER_SIZE,
  OPTION_SIZE_MAX,
  putU16,
  putU32,
  putU64,
} from "./protocol.ts";
import { messageOf, optionErrorOf } from "./reply-errors.ts";
import type { NbdExport, NbdExports, NbdPeer } from "./server.ts";

/** An option that is too long for us is read and thrown away up to this; a longer one ends the session. */
const OPTION_DRAIN_MAX = 2 ** 20;
/** No further option is answered while so much waits for the client to read it. */
const UNSENT_MAX = 256 * 2 ** 10;
const CLIENT_FLAGS_SIZE = 4;
const EXPORT_NAME_ZEROES = 124;

/** What a session lends to its handshake. */
export interface NegotiationServices {
  readonly out: Outgoing;
  readonly limits: NbdLimits;
  readonly exports: NbdExports;
  readonly peer: NbdPeer;
  readonly tls: "none" | "offered" | "required";
  /** True once TLS is established. */
  readonly secured: boolean;
  /** An option was answered outside of {@link Negotiation.feed}. */
  answered(): void;
  fail(reason: string): void;
  disconnect(): void;
  /** Sends what is queued, then continues in TLS. */
  startTls(): void;
  /** Takes over the device. */
  opened(name: string, exported: NbdExport, negotiated: Negotiated): void;
}

export class Negotiation {
  #stage: "flags" | "header" | "data" | "draining" = "flags";
  #noZeroes = false;
  #structured = false;
  /** The export for which `base:allocation` was selected. */
  #allocationFor: string | undefined;
  /** Set while an option waits for the exports: no other is begun, so that answers stay in order. */
  #busy = false;
  #work: Promise<void> = Promise.resolve();
  #ended = false;
  #option = 0;
  #drainLeft = 0;
  #buffer = new Uint8Array(CLIENT_FLAGS_SIZE);
  #fill = 0;
  readonly #services: NegotiationServices;

  constructor(services: NegotiationServices) {
    this.#services = services;
    const { out } = services;
    const at = out.reserve(18);
    putU32(out.bytes, at, NBDMAGIC_HIGH);
    putU32(out.bytes, at + 4, NBDMAGIC_LOW);
    putU32(out.bytes, at + 8, IHAVEOPT_HIGH);
    putU32(out.bytes, at + 12, IHAVEOPT_LOW);
    putU16(out.bytes, at + 16, NBD_FLAG_FIXED_NEWSTYLE | NBD_FLAG_NO_ZEROES);
  }

  /** The session is over: a device that is being opened is closed when it comes. Resolves when nothing is under way. */
  async end(): Promise<void> {
    this.#ended = true;
    await this.#work;
  }

  /** Takes bytes from `start`. @returns the position reached: short of the end when the rest belongs to a later turn or stage */
  feed(input: Uint8Array, start: number): number {
    let at = start;
    while (!this.#busy && !this.#ended && this.#services.out.unsentBytes < UNSENT_MAX) {
      if (this.#stage === "draining") {
        const drained = Math.min(this.#drainLeft, input.length - at);
        this.#drainLeft -= drained;
        at += drained;
        if (this.#drainLeft > 0) return at;
        this.#expect("header", OPTION_HEADER_SIZE);
      }
      const taken = Math.min(this.#buffer.length - this.#fill, input.length - at);
      this.#buffer.set(input.subarray(at, at + taken), this.#fill);
      this.#fill += taken;
      at += taken;
      if (this.#fill < this.#buffer.length) return at;
      this.#complete(this.#buffer, at === input.length);
    }
    return at;
  }

  #expect(stage: "header" | "data", size: number): void {
    this.#stage = stage;
    this.#buffer = new Uint8Array(size);
    this.#fill = 0;
  }

  #complete(bytes: Uint8Array, lastOfInput: boolean): void {
    if (this.#stage === "flags") {
      this.#clientFlags(getU32(bytes, 0));
    } else if (this.#stage === "header") {
      this.#header(bytes, lastOfInput);
    } else {
      this.#expect("header", OPTION_HEADER_SIZE);
      this.#handle(this.#option, bytes, lastOfInput);
    }
  }

  #clientFlags(flags: number): void {
    if ((flags & NBD_FLAG_FIXED_NEWSTYLE) === 0 || (flags & ~(NBD_FLAG_FIXED_NEWSTYLE | NBD_FLAG_NO_ZEROES)) !== 0) {
      this.#services.fail(`client flags 0x${flags.toString(16)} are not those of fixed newstyle`);
      return;
    }
    this.#noZeroes = (flags & NBD_FLAG_NO_ZEROES) !== 0;
    this.#expect("header", OPTION_HEADER_SIZE);
  }

  #header(bytes: Uint8Array, lastOfInput: boolean): void {
    if (getU32(bytes, 0) !== IHAVEOPT_HIGH || getU32(bytes, 4) !== IHAVEOPT_LOW) {
      this.#services.fail("an option did not begin with the magic number");
      return;
    }
    this.#option = getU32(bytes, 8);
    const size = getU32(bytes, 12);
    if (size === 0) {
      this.#expect("header", OPTION_HEADER_SIZE);
      this.#handle(this.#option, new Uint8Array(0), lastOfInput);
    } else if (size <= OPTION_SIZE_MAX) {
      this.#expect("data", size);
    } else if (size <= OPTION_DRAIN_MAX && this.#option !== NBD_OPT_EXPORT_NAME) {
      this.#error(this.#option, NBD_REP_ERR_TOO_BIG, `an option holds at most ${OPTION_SIZE_MAX} bytes`);
      this.#stage = "draining";
      this.#drainLeft = size;
    } else {
      this.#services.fail(`option ${this.#option} announced ${size} bytes`);
    }
  }

  #handle(option: number, data: Uint8Array, lastOfInput: boolean): void {
    const { tls, secured, out } = this.#services;
    if (option === NBD_OPT_ABORT) {
      this.#ack(option);
      this.#services.disconnect();
      return;
    }
    if (tls === "required" && !secured && option !== NBD_OPT_STARTTLS) {
      if (option === NBD_OPT_EXPORT_NAME) this.#services.fail("an export was asked for without TLS");
      else this.#error(option, NBD_REP_ERR_TLS_REQD, "this server requires TLS");
      return;
    }
    switch (option) {
      case NBD_OPT_STARTTLS:
        this.#startTls(data, lastOfInput);
        return;
      case NBD_OPT_STRUCTURED_REPLY:
        if (data.length > 0) {
          this.#error(option, NBD_REP_ERR_INVALID, "this option takes no data");
          return;
        }
        this.#structured = true;
        this.#ack(option);
        return;
      case NBD_OPT_LIST:
        if (data.length > 0) this.#error(option, NBD_REP_ERR_INVALID, "this option takes no data");
        else this.#wait(option, this.#list());
        return;
      case NBD_OPT_LIST_META_CONTEXT:
      case NBD_OPT_SET_META_CONTEXT:
        this.#metaContext(option, data);
        return;
      case NBD_OPT_INFO:
      case NBD_OPT_GO: {
        const request = decodeInfoRequest(data);
        if (request === undefined) {
          this.#error(option, NBD_REP_ERR_INVALID, "the data of this option is malformed");
        } else if (option === NBD_OPT_INFO) {
          this.#wait(option, this.#info(request.name, request.wanted));
        } else {
          this.#wait(option, this.#go(request.name, request.wanted));
        }
        return;
      }
      case NBD_OPT_EXPORT_NAME: {
        const name = decodeString(data);
        if (name === undefined) this.#services.fail("the export's name is not a string");
        else this.#wait(option, this.#exportName(name));
        return;
      }
      default:
        optionError(out, option, NBD_REP_ERR_UNSUP, `option ${option} is not supported`);
    }
  }

  #startTls(data: Uint8Array, lastOfInput: boolean): void {
    const { tls, secured } = this.#services;
    if (tls === "none") {
      this.#error(NBD_OPT_STARTTLS, NBD_REP_ERR_UNSUP, "this server has no TLS certificate");
    } else if (secured || data.length > 0) {
      this.#error(NBD_OPT_STARTTLS, NBD_REP_ERR_INVALID, secured ? "TLS is on already" : "STARTTLS takes no data");
    } else if (!lastOfInput) {
      this.#services.fail("plaintext followed STARTTLS");
    } else {
      this.#structured = false;
      this.#allocationFor = undefined;
      this.#ack(NBD_OPT_STARTTLS);
      this.#services.startTls();
    }
  }

  #metaContext(option: number, data: Uint8Array): void {
    const request = decodeMetaRequest(data);
    if (!this.#structured) {
      this.#error(option, NBD_REP_ERR_INVALID, "metadata contexts need structured replies first");
    } else if (request === undefined) {
      this.#error(option, NBD_REP_ERR_INVALID, "the data of this option is malformed");
    } else {
      this.#wait(option, this.#answerMetaContext(option, request.name, request.queries));
    }
  }

  /** Holds back further options until `work` has answered. */
  #wait(option: number, work: Promise<void>): void {
    this.#busy = true;
    this.#work = work.then(
      () => {
        this.#busy = false;
        if (!this.#ended) this.#services.answered();
      },
      (error: unknown) => {
        this.#busy = false;
        if (this.#ended) return;
        // EXPORT_NAME has no way to say no but to hang up.
        if (option === NBD_OPT_EXPORT_NAME) this.#services.fail(messageOf(error));
        else this.#error(option, optionErrorOf(error), messageOf(error));
        this.#services.answered();
      },
    );
  }

  async #list(): Promise<void> {
    const { exports, out, limits } = this.#services;
    const listed = await exports.list(this.#services.peer);
    if (this.#ended) return;
    if (listed.length > limits.listedExportsMax) {
      this.#error(NBD_OPT_LIST, NBD_REP_ERR_TOO_BIG, `${listed.length} exports are too many to list`);
      return;
    }
    for (const { name, description } of listed) serverReply(out, NBD_OPT_LIST, name, description);
    this.#ack(NBD_OPT_LIST);
  }

  async #answerMetaContext(option: number, name: string, queries: readonly string[]): Promise<void> {
    if (option === NBD_OPT_SET_META_CONTEXT) this.#allocationFor = undefined;
    await this.#services.exports.describe(name, this.#services.peer);
    if (this.#ended) return;
    const set = option === NBD_OPT_SET_META_CONTEXT;
    const known = queries.includes(BASE_ALLOCATION);
    // A listing may ask for everything, or for the whole namespace; a selection names what it wants.
    if (known || (!set && (queries.length === 0 || queries.includes("base:")))) {
      metaContextReply(this.#services.out, option, set ? ALLOCATION_CONTEXT_ID : 0, BASE_ALLOCATION);
      if (set) this.#allocationFor = name;
    }
    this.#ack(option);
  }

  async #info(name: string, wanted: readonly number[]): Promise<void> {
    const facts = await this.#services.exports.describe(name, this.#services.peer);
    if (this.#ended) return;
    infoReplies(this.#services.out, NBD_OPT_INFO, name, facts, this.#structured, wanted);
    this.#ack(NBD_OPT_INFO);
  }

  async #go(name: string, wanted: readonly number[]): Promise<void> {
    await this.#open(name, (exported) => {
      const facts = {
        sizeBytes: exported.device.sizeBytes,
        readOnly: exported.readOnly,
        description: exported.description,
      };
      infoReplies(this.#services.out, NBD_OPT_GO, name, facts, this.#structured, wanted);
      this.#ack(NBD_OPT_GO);
    });
  }

  async #exportName(name: string): Promise<void> {
    await this.#open(name, (exported) => {
      const { out } = this.#services;
      const size = 10 + (this.#noZeroes ? 0 : EXPORT_NAME_ZEROES);
      const at = out.reserve(size);
      out.bytes.fill(0, at, at + size);
      putU64(out.bytes, at, exported.device.sizeBytes);
      putU16(out.bytes, at + 8, transmissionFlags(exported.readOnly, this.#structured));
    });
  }

  async #open(name: string, answer: (exported: NbdExport) => void): Promise<void> {
    const exported = await this.#services.exports.open(name, this.#services.peer);
    if (this.#ended) {
      await exported.device.close();
      return;
    }
    if (!Number.isSafeInteger(exported.device.sizeBytes)) {
      await exported.device.close();
      throw new SternwayError("internal", "the device's size is not a whole number of bytes");
    }
    answer(exported);
    this.#ended = true;
    this.#services.opened(name, exported, {
      structured: this.#structured,
      allocation: this.#structured && this.#allocationFor === name,
    });
    this.#services.answered();
  }

  #ack(option: number): void {
    optionReply(this.#services.out, option, NBD_REP_ACK, 0);
  }

  #error(option: number, type: number, message: string): void {
    optionError(this.#services.out, option, type, message);
  }
}
