/**
 * The store interface: a place that holds a vault's sealed files as named objects. A directory, a network share, an S3 bucket and another
 * appliance are stores. What a vault keeps in one, and when, is for `replication/` to decide.
 *
 * Objects are few and large: packs (up to 64 MiB), layers, chronicles, manifests, pieces of the journal's tail. A name is a path of 1 to 8 parts of
 * [A-Za-z0-9._-], none of them beginning with ".", at most 200 characters (object-name.ts); nothing else reaches a place.
 *
 * Errors are SternwayErrors. `unavailable`: this try failed and another may work; whether a put or remove that failed so was done is unknown.
 * `not_found`, `conflict` (it exists already), `denied` (credentials), `corrupt` (what came is not what was stored), `invalid` (the place is not
 * what it is taken for; another try cannot help). Every call ends within its time limit, whatever the place does: one whose mount hangs or whose peer
 * falls silent answers `unavailable`. None of the stores retries; that is for {@link Tier}.
 */

/** What a put stores: bytes that can be read again from the start for another try. */
export interface ObjectSource {
  sizeBytes: number;
  /** Reads a part, all of it. Called in order, from 0; the array is the store's until the next call. */
  read(offset: number, length: number): Promise<Uint8Array>;
  /** The same for bytes that are only looked at, for a checksum: where what is sent is limited, this is not. Absent: as read. */
  preview?(offset: number, length: number): Promise<Uint8Array>;
}

export interface ObjectInfo {
  name: string;
  sizeBytes: number;
}

export interface PutOptions {
  /** Store it only if there is no object of that name: `conflict` otherwise, and never a replacement. How writers are fenced. Default: replaces. */
  ifAbsent?: boolean;
  signal?: AbortSignal | undefined;
}

export interface ReadOptions {
  /** Byte range; default: the whole object. Short only at the object's end, empty when it begins at or past that. */
  offset?: number;
  length?: number;
  signal?: AbortSignal | undefined;
}

export interface ObjectStore {
  /** For people and events: the URL without secrets. */
  readonly url: string;
  /** The whole object is there, complete and durable, when it resolves; before that none of it can be seen under its name. @throws conflict */
  put(name: string, source: ObjectSource, options?: PutOptions): Promise<void>;
  /** @throws not_found */
  get(name: string, options?: ReadOptions): Promise<Uint8Array>;
  /** @returns undefined: there is none */
  stat(name: string, signal?: AbortSignal): Promise<ObjectInfo | undefined>;
  /** Fine if there is none. Durable when it resolves. */
  remove(name: string, signal?: AbortSignal): Promise<void>;
  /** Objects below a prefix of whole parts ("packs"), in any order; "" lists all. Costs requests: never in steady state. */
  list(prefix: string, signal?: AbortSignal): AsyncIterable<ObjectInfo>;
  /**
   * Proves that the place is what it is taken for, before anything else is asked of it and after each failure: a mount that vanished is not
   * an empty store. Compares with what {@link ObjectStore.attach} left there (the object `identity`). Also removes what an earlier end left half done.
   * @throws invalid: it holds something else, or nothing, where an identity was expected
   */
  connect(identity: string, signal?: AbortSignal): Promise<void>;
  /**
   * Makes an empty place this identity's, and probes what a store must do: a put with ifAbsent that must fail does fail, ranges are ranges.
   * Fine where the same identity is already. @throws conflict: it belongs to somebody else; invalid: a probe failed, and says which, or the place does not exist
   */
  attach(identity: string, signal?: AbortSignal): Promise<void>;
  /** The identity that the place holds; undefined: none. For whoever opens a vault from a place. @throws invalid: there is no such place */
  identify(signal?: AbortSignal): Promise<string | undefined>;
  /** Gives back connections, memory and processes. Nothing is asked of it afterwards. */
  close(): Promise<void>;
}

/** The object that says whose a place is. */
export const IDENTITY_OBJECT = "identity";

/** A source over bytes in memory. */
export function bytesSource(bytes: Uint8Array): ObjectSource {
  return {
    sizeBytes: bytes.length,
    read: (offset, length) => Promise.resolve(bytes.subarray(offset, offset + length)),
  };
}
