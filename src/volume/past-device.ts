/**
 * A volume as of a past moment: an LSN and nothing else, so opening one takes no time. While it is open, retention keeps its moment.
 */
import { assert } from "../base/assert.ts";
import type { Extent } from "../base/device.ts";
import type { Vault } from "../vault/vault.ts";
import { checkRange } from "./live-volume.ts";
import { extentsAt, readAt } from "./reading.ts";
import type { PastDevice, ResolvedMoment } from "./volumes.ts";

export class OpenPastDevice implements PastDevice {
  readonly moment: ResolvedMoment;
  readonly sizeBytes: number;
  private readonly vault: Vault;
  private readonly strand: number;
  private readonly closed: () => void;
  private isClosed = false;

  /** @param closed - called once, when it is closed */
  constructor(vault: Vault, strand: number, sizeBytes: number, moment: ResolvedMoment, closed: () => void) {
    this.vault = vault;
    this.strand = strand;
    this.sizeBytes = sizeBytes;
    this.moment = moment;
    this.closed = closed;
  }

  read(offset: number, length: number, into?: Uint8Array): Promise<Uint8Array> {
    this.check(offset, length);
    return readAt(this.vault, this.strand, this.moment.lsn, offset, length, into);
  }

  extents(offset: number, length: number): Promise<Extent[]> {
    this.check(offset, length);
    return extentsAt(this.vault, this.strand, this.moment.lsn, offset, length);
  }

  close(): Promise<void> {
    if (!this.isClosed) this.closed();
    this.isClosed = true;
    return Promise.resolve();
  }

  private check(offset: number, length: number): void {
    assert(!this.isClosed, "a closed device is not used");
    checkRange(offset, length, this.sizeBytes);
  }
}
