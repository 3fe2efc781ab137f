/**
 * What the sealer is asked for and what it answers: plain values, since in production they go from thread to thread. The requests of
 * collecting, accounting, scrubbing and long work over layers are described where they are carried out.
 */
import type { ContentRequest, ContentResult } from "../content/content-work.ts";
import type { StrandAreas } from "../content/content-map.ts";
import type { StrandWrites } from "../content/write-measure.ts";
import type { CollectRequest, CollectResult } from "../collecting/collect-work.ts";
import type { SpaceResult, SpaceWorkRequest } from "../collecting/space-work.ts";
import type { ChronicleRecord, LayerRecord, PackRecord, QuarantineRecord } from "../manifest.ts";
import type { ScrubRequest, ScrubResult } from "../scrubbing/scrub-work.ts";
import type { VaultCipher } from "../../security/cipher.ts";
import type { LayerWorkRequest, LayerWorkResult } from "./layer-work.ts";

export interface SealerOptions {
  /** The vault's directory. */
  dir: string;
  vaultId: Uint8Array;
  seed: bigint;
  /** Undefined: the vault is not encrypted. */
  cipher?: VaultCipher | undefined;
  journalFileBytes: number;
  indexBudgetBytes: number;
  cacheBytes: number;
  /** Test hook for planted bugs: takes every candidate for a match (breaks law 4). */
  plantTrustFingerprints?: boolean;
  /** Test hook: duplicates are proposed by so many bits of a fingerprint only, so that strangers meet often. Breaks nothing. */
  fingerprintBits?: number;
}

/** Full: deduplicate and compress. Raw: store as it is, when the sealer lags (law 8). */
export type SealEffort = "full" | "raw";

export interface SealRequest {
  kind: "seal";
  slot: string;
  fileSequence: number;
  groupCount: number;
  /** The LSN ranges that the layer and the chronicle will speak for: each from where the last of its kind ended. */
  layerFirstLsn: number;
  chronicleFirstLsn: number;
  lastLsn: number;
  /** Numbers to use; packs take further ones from `pack` on. */
  pack: number;
  layer: number;
  chronicle: number;
  effort: SealEffort;
}

export interface SealResult {
  packs: PackRecord[];
  /** Undefined when the stretch holds no entry. */
  layer: LayerRecord | undefined;
  chronicle: ChronicleRecord | undefined;
  blocks: number;
  zeroBlocks: number;
  duplicateBlocks: number;
  storedBytes: number;
  /** What the writes of each strand were like. */
  writes: StrandWrites[];
  /** Areas that were written to and of which it is not known what they held before; a bounded number of them. */
  strange: StrandAreas[];
}

/** Packs that the manifest names and this sealer does not know yet. */
export interface PacksRequest {
  kind: "packs";
  packs: PackRecord[];
  /** Also load their fingerprints into the index. */
  index: boolean;
  /** What the manifest says of damaged slots: they are never proposed. */
  quarantine: readonly QuarantineRecord[];
}

/** Keeps the fingerprint index on disk, when enough has come to it for that to pay. */
export interface SnapshotRequest {
  kind: "snapshot";
  /** The number of the next new pack. */
  pack: number;
  /** At a clean stop it pays sooner: what is not covered is read at the next open, while people wait. */
  isLast: boolean;
}

export type SealerRequest =
  | SealRequest
  | PacksRequest
  | SnapshotRequest
  | LayerWorkRequest
  | ScrubRequest
  | CollectRequest
  | SpaceWorkRequest
  | ContentRequest;
export type SealerResult<Request extends SealerRequest> = Request extends SealRequest
  ? SealResult
  : Request extends LayerWorkRequest
    ? LayerWorkResult<Request>
    : Request extends ScrubRequest
      ? ScrubResult<Request>
      : Request extends CollectRequest
        ? CollectResult<Request>
        : Request extends SpaceWorkRequest
          ? SpaceResult<Request>
          : Request extends ContentRequest
            ? ContentResult
            : void;
