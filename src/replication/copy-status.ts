/** How a copy of the vault at a tier stands. */
import type { Revision } from "./ledger.ts";

/**
 * - `connecting`: not reached yet, or being compared
 * - `unsynchronised`: being brought up
 * - `online`: as new as its mode asks for, or little behind
 * - `offline`: out of reach; it is tried again
 * - `foreign`: another installation writes there; nothing is written, until somebody removes the tier and adds it again
 * - `overtaken`: another installation took the vault over there
 */
export type CopyState = "connecting" | "unsynchronised" | "online" | "offline" | "foreign" | "overtaken";

export interface Progress {
  doneBytes: number;
  totalBytes: number;
}

export interface CopyStatus {
  state: CopyState;
  /** Wall time since when, microseconds. */
  since: number;
  /** Why it is not online. */
  reason: string | undefined;
  revision: Revision | undefined;
  /** Everything up to this LSN can be had from the tier. */
  reachedLsn: number;
  lagSeconds: number;
  lagBytes: number;
  /** Of the attempt under way. */
  progress: Progress | undefined;
  objectsPut: number;
  bytesPut: number;
}
