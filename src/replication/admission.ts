/**
 * Whether this installation may write to a tier, and what it holds: asked whenever the tier is reached anew, before anything is written there.
 *
 * Its highest claim must be ours, and its newest manifest what the ledger says it held or was to hold. Then the next claim is made, and all is listed.
 */
import type { Clock } from "../base/clock.ts";
import { SternwayError } from "../base/errors.ts";
import type { Random } from "../base/random.ts";
import type { ObjectStore } from "../tiers/store.ts";
import type { Vault } from "../vault/vault.ts";
import { claimWriter, foreignClaim, highestClaim, isOwnClaim, type Claim } from "./claims.ts";
import type { Ledger, Revision, WriterClaim } from "./ledger.ts";
import { manifestsThere, revisionAt } from "./manifests-there.ts";
import { isSealedName, tailPieceOf, type ManifestThere, type TailPiece } from "./objects.ts";

export interface AdmissionOptions {
  vault: Vault;
  store: ObjectStore;
  /** The tier's name in the ledger. */
  name: string;
  ledger: Ledger;
  clock: Clock;
  random: Random;
  /** For people elsewhere. */
  host: string;
}

/** A tier that may be written to. */
export interface Admission {
  claim: Claim;
  revision: Revision | undefined;
  /** Oldest first. */
  manifests: ManifestThere[];
  /** Sealed objects: name and size. */
  have: Map<string, number>;
  pieces: TailPiece[];
}

/** Another installation is this tier's writer. */
export interface Stranger {
  error: SternwayError;
  /** Set when it took the vault over from us, and does not merely run on a copy of our folder. */
  tookOver: Claim | undefined;
}

/** @throws unavailable, and what else the store says */
export async function admit(options: AdmissionOptions): Promise<Admission | { stranger: Stranger }> {
  const { vault, store, name, ledger, random, clock, host } = options;
  const record = ledger.tier(name);
  const manifests = await manifestsThere(store);
  const newest = manifests.at(-1);
  const revision = newest && (await revisionAt(store, newest));
  const highest = await highestClaim(store);
  if (highest && !isOwnClaim(highest, record)) return { stranger: strangerOf(options, highest) };
  const known = [record?.old, ...(record?.intended ?? [])];
  const isKnown = revision ? known.some((each) => isSame(revision, each)) : !record?.old;
  // What a writer published after we had taken over from it: nobody was answered for it, and our first manifest is newer, whatever its number.
  const isOvertaken = newest !== undefined && newest.writer < (highest?.tookOverAt ?? 0);
  if (!isKnown && !isOvertaken) {
    const what = revision
      ? `holds revision ${revision.number}, which this installation did not write`
      : `holds no revision any more, though this installation put ${record!.old!.number} there`;
    return { stranger: { error: fenced(options, what), tookOver: undefined } };
  }
  const claimant = { store, random, epoch: vault.sealing.manifest.epoch, wall: clock.wall(), host };
  const outcome = await claimWriter(claimant, ledger, name, highest);
  if ("other" in outcome) return { stranger: strangerOf(options, outcome.other) };
  if (revision && isKnown) await ledger.changeTier(name, (before) => ({ ...before, old: revision }));
  const have = new Map<string, number>();
  for (const folder of ["packs", "layers", "chronicles"]) {
    for await (const { name: object, sizeBytes } of store.list(folder)) {
      if (isSealedName(object)) have.set(object, sizeBytes);
    }
  }
  const pieces: TailPiece[] = [];
  for await (const info of store.list("tail")) {
    const piece = tailPieceOf(info);
    if (piece) pieces.push(piece);
  }
  return { claim: outcome.claim, revision, manifests, have, pieces };
}

/** Who made the highest claim, if not this installation. */
export async function strangerAt(options: AdmissionOptions): Promise<Stranger | undefined> {
  const other = await foreignClaim(options.store, options.ledger.tier(options.name));
  return other && strangerOf(options, other);
}

/** That somebody else writes to a tier. */
export function fenced({ store, name }: AdmissionOptions, what: string, cause?: unknown): SternwayError {
  const todo = "stop that one, if there is one; then remove the tier and add it again";
  return new SternwayError(
    "fenced",
    `${store.url} ${what}: another one writes there, or what lay there was changed or removed; ${todo}`,
    { tier: name },
    { cause },
  );
}

/**
 * What a place that already holds this vault holds, when somebody makes it a tier: from then on it is ours.
 * @throws conflict: its history is newer than the vault's here, or another one
 */
export async function adopt(vault: Vault, store: ObjectStore): Promise<{ old?: Revision; claimed?: WriterClaim }> {
  const { number } = vault.sealing.manifest;
  const newest = (await manifestsThere(store)).at(-1);
  const revision = newest && (await revisionAt(store, newest));
  const isOurs = !revision || revision.number < number || revision.sha256 === vault.sealing.manifestSha256;
  if (!isOurs) {
    throw new SternwayError(
      "conflict",
      `${store.url} holds revision ${revision.number} of this vault, and here it is at ${number}: open the vault from there, or use an empty place`,
    );
  }
  const claim = await highestClaim(store);
  return {
    ...(revision && { old: revision }),
    ...(claim && { claimed: { sequence: claim.sequence, nonce: claim.nonce } }),
  };
}

export const isSame = (a: Revision | undefined, b: Revision | undefined): boolean =>
  a !== undefined && a.number === b?.number && a.sha256 === b.sha256;

function strangerOf(options: AdmissionOptions, other: Claim): Stranger {
  const { store, name, ledger } = options;
  const who = `${other.host} at ${new Date(other.at / 1000).toISOString()}`;
  const own = ledger.tier(name)?.claimed?.sequence ?? 0;
  if (other.tookOverAt <= own) {
    return {
      error: fenced(options, `was claimed by ${who}, perhaps on a copy of this one's data`),
      tookOver: undefined,
    };
  }
  const error = new SternwayError("fenced", `${who} took the vault over at ${store.url}`, { tier: name });
  return { error, tookOver: other };
}
