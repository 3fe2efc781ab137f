/** What the peers' listener needs: the places that this appliance keeps for others. The daemon implements it. */
import type { KeptToken } from "../security/peer-token.ts";
import type { ObjectStore } from "../tiers/store.ts";

export interface ReceivedPlace {
  readonly name: string;
  readonly token: KeptToken;
  /** Within its quota. It outlives the requests on it. */
  readonly store: ObjectStore;
  /** An object to be read in pieces: what it was when it was opened, whatever replaces it meanwhile. @throws not_found */
  open(name: string): Promise<OpenObject>;
}

export interface OpenObject {
  readonly sizeBytes: number;
  read(offset: number, length: number): Promise<Uint8Array>;
  /** Idempotent. */
  close(): Promise<void>;
}

export interface PeerPlaces {
  /** The place that a token is for. @param id - of the token */
  placeOf(id: string): ReceivedPlace | undefined;
}
