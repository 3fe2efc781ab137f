/**
 * How one appliance keeps objects at another: paths, headers, limits and bodies, as both sides have them.
 *
 *     POST   /v1/peer/PLACE/hello             {id, nonce} → {proof}; the only one without credentials, and the first on each connection
 *     POST   /v1/peer/PLACE/connect           {identity}
 *     POST   /v1/peer/PLACE/attach            {identity}
 *     POST   /v1/peer/PLACE/identify          {} → {identity?}
 *     POST   /v1/peer/PLACE/stat              {name} → {sizeBytes?}
 *     GET    /v1/peer/PLACE/objects?prefix=   lines {line: "object", name, sizeBytes}, then {line: "end"}
 *     PUT    /v1/peer/PLACE/objects/NAME      the bytes, then 8 of checksum; If-None-Match: * creates only
 *     GET    /v1/peer/PLACE/objects/NAME      with Range: bytes=A-B or bytes=A-
 *     DELETE /v1/peer/PLACE/objects/NAME
 *
 * Names of objects need no escaping, so a path with a percent sign is refused before anybody takes it apart. Errors are problem documents.
 *
 * The checksum is XXH64 of the object's bytes, little-endian, seeded with its name: what was sent for one object cannot pass for another. It comes last, so
 * that a sender reads its source once; the receiver shows nothing under the name before it has compared. What travels the other way has no checksum of
 * its own: TLS keeps it whole on the wire, its length is known beforehand, and what it holds has checksums of its own.
 */
import { z } from "@hono/zod-openapi";
import { xxh64, xxh64Stream } from "../base/hash.ts";

const ROOT = "/v1/peer";
export const CHECKSUM_BYTES = 8;
/** Of one object; far above what a vault makes, and below what a number of bytes could go wrong at. */
export const OBJECT_BYTES_MAX = 2 ** 40;
/** Bodies that are JSON, in either direction. */
export const PEER_JSON_BYTES_MAX = 65_536;
/** Both sides handle objects in pieces of so much: it bounds what a connection holds. */
export const PEER_PIECE_BYTES = 2 ** 20;
/** Neither side waits longer for the next byte of the other. */
export const PEER_IDLE_MS = 30_000;
/** A connection without a request is kept for so long by the client … */
export const CLIENT_KEEP_MS = 60_000;
/** … and longer by the server, so that it does not close one that is just being used. */
export const SERVER_KEEP_MS = 120_000;

export type PeerCall = "hello" | "connect" | "attach" | "identify" | "stat";

export const callPath = (place: string, call: PeerCall): string => `${ROOT}/${place}/${call}`;
export const objectsPath = (place: string): string => `${ROOT}/${place}/objects`;
export const objectPath = (place: string, name: string): string => `${ROOT}/${place}/objects/${name}`;

/** What the path of a request may look like at all: nothing escaped, no empty part, none that begins with a dot. */
export const PEER_PATH = /^\/v1\/peer(?:\/[A-Za-z0-9_-][A-Za-z0-9._-]*){2,}$/;

/** `Bearer ID.CREDENTIAL` */
export const authorizationOf = (id: string, credential: string): string => `Bearer ${id}.${credential}`;

/** @returns undefined: it is not one of ours */
export function parseAuthorization(header: string | undefined): { id: string; credential: string } | undefined {
  const [, id, credential] = /^Bearer ([0-9a-f]{16})\.([A-Za-z0-9_-]{43})$/.exec(header ?? "") ?? [];
  return id === undefined || credential === undefined ? undefined : { id, credential };
}

/** The checksum that follows an object's bytes. */
export class ObjectChecksum {
  private readonly hash: ReturnType<typeof xxh64Stream>;

  constructor(name: string) {
    this.hash = xxh64Stream(xxh64(new TextEncoder().encode(name), 0n));
  }

  update(bytes: Uint8Array): void {
    this.hash.update(bytes);
  }

  digest(): Uint8Array {
    const out = new Uint8Array(CHECKSUM_BYTES);
    new DataView(out.buffer).setBigUint64(0, this.hash.digest(), true);
    return out;
  }
}

const hex32 = z.string().regex(/^[0-9a-f]{64}$/, "must be 64 hexadecimal digits");
const identity = z.string().min(1).max(256);
const objectName = z.string().min(1).max(256);

export const helloSchema = z.strictObject({ id: z.string().regex(/^[0-9a-f]{16}$/), nonce: hex32 });
export const helloAnswerSchema = z.object({ proof: hex32 });
export const identitySchema = z.strictObject({ identity });
export const identifySchema = z.strictObject({});
export const identifyAnswerSchema = z.object({ identity: identity.optional() });
export const statSchema = z.strictObject({ name: objectName });
export const statAnswerSchema = z.object({ sizeBytes: z.int().min(0).optional() });

export const objectLineSchema = z.discriminatedUnion("line", [
  z.object({ line: z.literal("object"), name: objectName, sizeBytes: z.int().min(0) }),
  z.object({ line: z.literal("end") }),
  z.object({ line: z.literal("failed"), problem: z.unknown() }),
]);
