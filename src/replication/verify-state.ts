/**
 * What a tier holds besides sealed files: whose place it is, `vault.json` (with it the wrapped keys), the manifests, our claim, and the journal's tail. All of it is small,
 * and without any of it the sealed files are worth little: whoever lost this machine opens the vault by these.
 */
import { readWhole } from "../base/disk.ts";
import { isSternwayError, SternwayError } from "../base/errors.ts";
import { bytesSource, IDENTITY_OBJECT, type ObjectStore } from "../tiers/store.ts";
import { identityPath } from "../vault/identity.ts";
import { manifestName, manifestParts } from "../vault/manifest.ts";
import type { Vault } from "../vault/vault.ts";
import { claimOf } from "./claims.ts";
import { TAIL_PIECE_BYTES } from "./journal-tail.ts";
import type { Revision, TierRecord } from "./ledger.ts";
import { manifestsThere, newestOf, sha256Of } from "./manifests-there.ts";
import { manifestObject, tailObject, tailPieceOf, VAULT_OBJECT, writerObject, type TailPiece } from "./objects.ts";

/** What a tier is to hold besides sealed files. */
export interface StateExpected {
  vault: Vault;
  store: ObjectStore;
  /** What this installation knows of the tier, as it is when asked; undefined: it only reads from there. */
  record: () => TierRecord | undefined;
  /** Everything up to here is there, as far as is known; as it is when asked. */
  reachedLsn: () => number;
  signal: AbortSignal;
}

/** One object that is not what it should be. */
export interface StateFinding {
  object: string;
  message: string;
  /** Puts it anew. Absent: it cannot be, and the message says what to do. @returns false: the right bytes are not on this machine any more */
  repair?: () => Promise<boolean>;
}

/** Objects looked at, and what is wrong with them. */
export interface StateVerified {
  objects: number;
  bytes: number;
  findings: StateFinding[];
}

/** A tier whose manifest changes while it is looked at is looked at again. */
const LOOKS_MAX = 8;

/** @throws unavailable and what else the store says */
export async function verifyState(expected: StateExpected): Promise<StateVerified> {
  const verified: StateVerified = { objects: 0, bytes: 0, findings: [] };
  await verifyIdentity(expected, verified);
  await verifyVaultObject(expected, verified);
  await verifyClaim(expected, verified);
  await verifyManifests(expected, verified);
  await verifyTail(expected, verified);
  return verified;
}

async function verifyIdentity({ vault, store, signal }: StateExpected, verified: StateVerified): Promise<void> {
  const found = await store.identify(signal);
  verified.objects++;
  const own = vault.sealing.manifest.vault;
  if (found === own) return;
  const what = found === undefined ? "is missing" : "is damaged, or another vault's";
  verified.findings.push({
    object: IDENTITY_OBJECT,
    message: `${IDENTITY_OBJECT} ${what}: nobody could connect to the place; it should be the text ${own}`,
  });
}

async function verifyVaultObject(expected: StateExpected, verified: StateVerified): Promise<void> {
  const { vault, store, signal } = expected;
  const { disk, dir } = vault.parts;
  const ours = (): Promise<Uint8Array> => readWhole(disk, identityPath(dir));
  const there = await objectOf(store, VAULT_OBJECT, signal);
  note(verified, there);
  // Keys may be changed meanwhile: then what is here now is there a moment later.
  if (there && Buffer.compare(there, await ours()) === 0) return;
  const message = there
    ? `${VAULT_OBJECT} is not the one of this machine: the vault's keys and settings there are damaged or old`
    : `${VAULT_OBJECT} is missing: nobody could open the vault from there`;
  const repair = async (): Promise<boolean> => {
    await store.put(VAULT_OBJECT, bytesSource(await ours()), { signal });
    return true;
  };
  verified.findings.push({ object: VAULT_OBJECT, message, ...(expected.record() && { repair }) });
}

/** Our claim keeps other writers away: were it gone, somebody else could make the same. */
async function verifyClaim({ store, record, reachedLsn }: StateExpected, verified: StateVerified): Promise<void> {
  const claimed = record()?.claimed;
  // A tier that is not being written to now may hold a claim that was never made, or a later one.
  if (!claimed || reachedLsn() === 0) return;
  const object = writerObject(claimed.sequence);
  const todo = "remove the tier and add it again";
  verified.objects++;
  try {
    const claim = await claimOf(store, claimed.sequence);
    if (claim?.nonce === claimed.nonce || record()?.claimed?.sequence !== claimed.sequence) return;
    verified.findings.push({ object, message: `${object} is not the claim that this machine made there: ${todo}` });
  } catch (error) {
    if (!isSternwayError(error, "not_found") && !isSternwayError(error, "corrupt")) throw error;
    const what = error.kind === "corrupt" ? "is damaged" : "is missing";
    verified.findings.push({ object, message: `${object}, by which this machine is the writer, ${what}: ${todo}` });
  }
}

async function verifyManifests(expected: StateExpected, verified: StateVerified): Promise<void> {
  const { store, record, signal } = expected;
  for (let look = 1; look <= LOOKS_MAX; look++) {
    const held = record()?.old;
    const seen: StateVerified = { objects: 0, bytes: 0, findings: [] };
    const manifests = newestOf(await manifestsThere(store));
    for (const { name, number } of manifests) {
      const bytes = await objectOf(store, name, signal);
      note(seen, bytes);
      const isWhole = bytes !== undefined && manifestParts(bytes).isWhole;
      const isHeld = held?.number !== number || (bytes && sha256Of(bytes) === held.sha256);
      if (isWhole && isHeld) continue;
      const put = putManifest(expected, name, number, held);
      const isNewest = number === manifests.at(-1)?.number;
      const repair = async (): Promise<boolean> => {
        if (await put()) return true;
        // An older one that is nowhere any more serves nobody.
        if (!isNewest) await store.remove(name, signal);
        return !isNewest;
      };
      const harm = isNewest ? "who opens the vault from there would get an older state of it" : "it is an older one";
      const message = `manifest ${number} is damaged: ${harm}`;
      seen.findings.push({ object: name, message, ...(held && { repair }) });
    }
    if (held && !manifests.some(({ number }) => number === held.number)) {
      const name = manifestObject(record()?.claimed?.sequence ?? 1, held.number);
      const message = `manifest ${held.number} is missing: who opens the vault from there would get an older state of it, or none`;
      seen.findings.push({ object: name, message, repair: putManifest(expected, name, held.number, held) });
    }
    const isSettled = record()?.old?.number === held?.number;
    if (seen.findings.length > 0 && !isSettled && look < LOOKS_MAX) continue;
    verified.objects += seen.objects;
    verified.bytes += seen.bytes;
    verified.findings.push(...seen.findings);
    return;
  }
}

/** Of the manifests here the newest few are kept, as there. */
function putManifest(
  { vault, store, record, signal }: StateExpected,
  name: string,
  number: number,
  held: Revision | undefined,
): () => Promise<boolean> {
  return async () => {
    const { disk, dir } = vault.parts;
    let bytes: Uint8Array;
    try {
      bytes = await readWhole(disk, `${dir}/manifest/${manifestName(number)}`);
    } catch (error) {
      if (isSternwayError(error, "not_found")) return false;
      throw error;
    }
    const { hash, isWhole } = manifestParts(bytes);
    if (!isWhole || (number === held?.number && hash !== held.sha256)) return false;
    // A newer one came meanwhile, and this one is not needed there any more.
    if (record()?.old?.number !== held?.number) return true;
    await store.put(name, bytesSource(bytes), { signal });
    return true;
  };
}

async function verifyTail(expected: StateExpected, verified: StateVerified): Promise<void> {
  const { vault, store, record, reachedLsn, signal } = expected;
  const writer = record()?.claimed?.sequence;
  if (writer === undefined) return;
  // In one turn: what had been reached by then was there by then, in all these files.
  const reached = reachedLsn();
  const sealed = vault.sealing.manifest.sealed.lsn;
  const files = vault.journal.tail().filter(({ lastLsn }) => lastLsn <= reached && lastLsn > sealed);
  const pieces = new Map<number, TailPiece[]>();
  for await (const info of store.list("tail", signal)) {
    const piece = tailPieceOf(info);
    if (piece?.writer === writer) pieces.set(piece.fileSequence, [...(pieces.get(piece.fileSequence) ?? []), piece]);
  }
  for (const { fileSequence, sizeBytes } of files) {
    const ofFile = (pieces.get(fileSequence) ?? []).sort((a, b) => a.offset - b.offset);
    let at = 0;
    for (const { name, offset, sizeBytes: length } of ofFile) {
      if (offset > at) lost(expected, verified, fileSequence, tailObject(writer, fileSequence, at), at, offset - at);
      const bytes = await objectOf(store, name, signal);
      note(verified, bytes);
      const ours = await stored(vault, fileSequence, offset, length);
      // Sealed meanwhile: the tier lets go of it, too.
      if (!ours) return;
      if (!bytes || Buffer.compare(bytes, ours) !== 0) lost(expected, verified, fileSequence, name, offset, length);
      at = Math.max(at, offset + length);
    }
    if (at < sizeBytes) {
      const name = tailObject(writer, fileSequence, at);
      // The file may have been sealed and its pieces let go between our looks.
      if (await stored(vault, fileSequence, at, 1)) lost(expected, verified, fileSequence, name, at, sizeBytes - at);
    }
  }
}

function lost(
  { vault, store, signal }: StateExpected,
  verified: StateVerified,
  fileSequence: number,
  object: string,
  offset: number,
  length: number,
): void {
  const [, writer] = object.split("/");
  const repair = async (): Promise<boolean> => {
    for (let at = offset; at < offset + length; at += TAIL_PIECE_BYTES) {
      const bytes = await stored(vault, fileSequence, at, Math.min(TAIL_PIECE_BYTES, offset + length - at));
      // Sealed meanwhile: it is in packs, and not needed any more.
      if (!bytes) return true;
      await store.put(tailObject(Number(writer), fileSequence, at), bytesSource(bytes), { signal });
    }
    return true;
  };
  const message = `${length} bytes of the journal's newest writes are damaged or missing there`;
  verified.findings.push({ object, message, repair });
}

/** @returns undefined: what was there is sealed, and its file used for something else */
async function stored(
  vault: Vault,
  fileSequence: number,
  offset: number,
  length: number,
): Promise<Uint8Array | undefined> {
  const bytes = new Uint8Array(length);
  return (await vault.journal.readStored(fileSequence, bytes, offset)) ? bytes : undefined;
}

/** @returns undefined: there is none; nothing of it where the place itself says that it is damaged */
async function objectOf(store: ObjectStore, name: string, signal: AbortSignal): Promise<Uint8Array | undefined> {
  if (signal.aborted) throw new SternwayError("unavailable", `verifying ${store.url} was given up`, { aborted: true });
  try {
    return await store.get(name, { signal });
  } catch (error) {
    if (isSternwayError(error, "not_found")) return undefined;
    // A service that keeps checksums gives nothing of what it finds damaged.
    if (isSternwayError(error, "corrupt")) return new Uint8Array(0);
    throw error;
  }
}

function note(verified: StateVerified, bytes: Uint8Array | undefined): void {
  verified.objects++;
  verified.bytes += bytes?.length ?? 0;
}
