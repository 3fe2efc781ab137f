/** One vault's place in the appliance: open with its engine, or closed with the reason. */
import { errorText, SternwayError } from "../base/errors.ts";
import type { FileLock } from "../base/file-lock.ts";
import type { WireVault } from "../contract/contract.ts";
import type { VolumeHome } from "../volume/vault-volumes.ts";
import type { Volumes } from "../volume/volumes.ts";
import type { Engine } from "./engine.ts";

export type ClosedState = Exclude<WireVault["state"], "writable" | "read-only">;

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
  private known: readonly string[];
  /** Names on their way to become volumes. */
  private readonly coming = new Set<string>();

  constructor(name: string, dir: string, known: readonly string[]) {
    this.name = name;
    this.dir = dir;
    this.known = known;
  }

  get volumes(): Volumes | undefined {
    return this.engine?.volumes;
  }

  volumeNames(): readonly string[] {
    if (this.engine) this.known = this.engine.volumes.list().map((info) => info.name);
    return this.known;
  }

  /** What `vaults.json` says of it. */
  namesToKeep(): string[] {
    return [...new Set([...this.volumeNames(), ...this.coming])].sort();
  }

  expect(volume: string): void {
    this.coming.add(volume);
  }

  /** It is a volume now, or never will be. */
  settle(volume: string): void {
    this.coming.delete(volume);
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
