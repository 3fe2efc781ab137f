/** One vault's place in the appliance: open with its engine, or closed with the reason. */
import { errorText, isSternwayError, SternwayError } from "../base/errors.ts";
import type { FileLock } from "../base/file-lock.ts";
import type { WireVault } from "../contract/contract.ts";
import type { VolumeHome } from "../volume/vault-volumes.ts";
import type { Volumes } from "../volume/volumes.ts";
import type { Engine } from "./engine.ts";
import { isKnown, knownCount, printsOf, type KnownVault } from "./known-volumes.ts";

export type ClosedState = Exclude<WireVault["state"], "writable" | "read-only">;

/** What is told of a volume is told soon after it was deleted. */
const PAST_NAMES_MAX = 1000;

export class VaultSlot implements VolumeHome {
  readonly name: string;
  readonly dir: string;
  engine: Engine | undefined;
  lock: FileLock | undefined;
  /** Past moments that are open, and checks that run. */
  readers = 0;
  /** What is being done with it, while it is neither open nor closed: `being opened`. */
  busy: string | undefined;
  closed: { state: ClosedState; reason: string } = { state: "unavailable", reason: "it was not opened yet" };
  /** Undefined until it was open once. */
  encrypted: boolean | undefined;
  /** As it was when it was last open. */
  private known: KnownVault;
  /** Names on their way to become volumes. */
  private readonly coming = new Set<string>();
  /** The newest names that volumes had here and have no more. */
  private readonly past = new Set<string>();
  private readonly printSalt: Uint8Array;

  /** @param printSalt - for the prints of its names, should it be encrypted */
  constructor(name: string, dir: string, known: KnownVault, printSalt: Uint8Array) {
    this.name = name;
    this.dir = dir;
    this.known = known;
    this.printSalt = printSalt;
    if (this.wasEncrypted) this.encrypted = true;
  }

  /** It was encrypted when it was last open: should it say now that it is not, it is another one. */
  get wasEncrypted(): boolean {
    return "prints" in this.known;
  }

  get volumes(): Volumes | undefined {
    return this.engine?.volumes;
  }

  /** Of an encrypted vault that is closed nothing but a number is known: {@link volumeCount}. */
  volumeNames(): readonly string[] {
    if (this.engine) return this.engine.volumes.list().map((info) => info.name);
    return "names" in this.known ? this.known.names : [];
  }

  get volumeCount(): number {
    return this.engine ? this.engine.volumes.list().length : knownCount(this.known);
  }

  holds(volume: string): boolean {
    if (!this.engine) return isKnown(this.known, volume);
    // Asked for with every request: a list of all volumes would be made each time.
    try {
      this.engine.volumes.get(volume);
      return true;
    } catch (error) {
      if (isSternwayError(error, "not_found")) return false;
      throw error;
    }
  }

  /** True for any name that may stand in a text about its volumes, also about one that was deleted just now. */
  mayName(word: string): boolean {
    return this.holds(word) || this.coming.has(word) || this.past.has(word);
  }

  /** What `vaults.json` says of it. */
  toKeep(): KnownVault {
    if (this.engine) {
      const names = [...new Set([...this.volumeNames(), ...this.coming])].sort();
      this.known = this.engine.encrypted ? printsOf(names, this.printSalt) : { names };
    }
    return this.known;
  }

  expect(volume: string): void {
    this.coming.add(volume);
  }

  /** It is a volume now, or never will be. */
  settle(volume: string): void {
    this.coming.delete(volume);
    this.past.delete(volume);
    if (this.holds(volume)) return;
    this.past.add(volume);
    const [oldest] = this.past;
    if (this.past.size > PAST_NAMES_MAX && oldest !== undefined) this.past.delete(oldest);
  }

  closedError(volume?: string): SternwayError {
    const what = volume === undefined ? `vault ${this.name}` : `volume ${volume} is in vault ${this.name}, which`;
    const { state, reason } = this.closed;
    const facts = { vault: this.name, state, ...(volume === undefined ? {} : { volume }) };
    if (this.busy !== undefined) return new SternwayError("unavailable", `${what} is ${this.busy}`, facts);
    const words = state === "unavailable" ? "cannot be used" : `is ${state}`;
    // Whether waiting may help, or somebody has to do something first.
    const kind = state === "locked" || state === "closed" ? "conflict" : "unavailable";
    return new SternwayError(kind, `${what} ${words}: ${reason}`, facts);
  }

  /** @returns what keeps it from being used, or from working as it should */
  trouble(): string | undefined {
    if (this.engine) return this.engine.trouble();
    // Closed by somebody: that is how they want it.
    if (this.closed.state === "closed" || this.busy !== undefined) return undefined;
    return this.closedError().message;
  }

  /** Notes why it could not be opened. Only what may happen to a vault counts; a defect is thrown on. */
  failed(error: unknown): void {
    if (!(error instanceof SternwayError)) throw error;
    switch (error.kind) {
      case "denied":
        this.encrypted = true;
        this.closed = { state: "locked", reason: errorText(error) };
        break;
      case "corrupt":
        this.closed = { state: "damaged", reason: errorText(error) };
        break;
      case "not_found":
        this.closed = { state: "missing", reason: errorText(error) };
        break;
      case "conflict":
      case "fenced":
      case "invalid":
      case "unavailable":
        this.closed = { state: "unavailable", reason: errorText(error) };
        break;
      case "internal":
        throw error;
    }
  }
}
