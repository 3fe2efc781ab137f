/**
 * Who may write to a tier (law 7), without trusting a clock: the objects `writers/N`, made by create-if-absent and never replaced. The writer
 * is the one that made the highest. Whoever opens a vault for writing claims the next number at each of its tiers before anything else, so whoever
 * was the writer before learns of it:
 * after each manifest and each piece of the journal's tail it asks for the claim after its own, and answers for them only when that is absent: then whoever claims
 * later finds them. What it publishes after that is never the newest (manifests-there.ts).
 *
 * The ledger knows the nonce of this installation's last claim, and of the one that it was about to make. A highest claim with neither was made
 * by another installation: one that took over, and says so, or one that runs on a copy of this folder.
 *
 * Claims are never removed: a writer that slept through several of them asks for the one right after its own.
 */
import { isSternwayError, SternwayError } from "../base/errors.ts";
import type { Random } from "../base/random.ts";
import { bytesSource, type ObjectStore } from "../tiers/store.ts";
import type { Ledger, TierRecord, WriterClaim } from "./ledger.ts";
import { writerNumberOf, writerObject } from "./objects.ts";
import { z } from "zod";

const content = z.object({
  nonce: z.string().min(8).max(64),
  /** The epoch that the vault had at that writer. */
  epoch: z.int().min(0),
  /** Wall time, microseconds; for people. */
  at: z.number(),
  /** The host, for people. */
  host: z.string().max(255),
  /** It took over from whoever wrote before. */
  takeOver: z.boolean(),
  /** The newest claim that took over, this one included; 0: there was none. Pieces of tail of writers before it count no more. */
  tookOverAt: z.int().min(0),
});

export type ClaimContent = z.infer<typeof content>;
export type Claim = ClaimContent & { sequence: number };

const NONCE_BYTES = 16;
const CLAIM_BYTES_MAX = 4096;

export interface Claimant {
  store: ObjectStore;
  random: Random;
  epoch: number;
  wall: number;
  host: string;
}

/** The highest claim; undefined: nobody ever wrote there. @throws corrupt: it is none */
export async function highestClaim(store: ObjectStore): Promise<Claim | undefined> {
  return await claimOf(store, (await sequences(store)).at(-1));
}

/** The highest claim, when another installation made it. */
export async function foreignClaim(store: ObjectStore, record: TierRecord | undefined): Promise<Claim | undefined> {
  const highest = await highestClaim(store);
  return highest && !isOwnClaim(highest, record) ? highest : undefined;
}

/**
 * Claims a tier, at each opening of the vault.
 * @param highest - as it was just now
 * @returns `other`: another installation made that, or was faster with the next one @throws unavailable
 */
export async function claimWriter(
  claimant: Claimant,
  ledger: Ledger,
  tier: string,
  highest: Claim | undefined,
): Promise<{ claim: Claim } | { other: Claim }> {
  const { store } = claimant;
  if (highest && !isOwnClaim(highest, ledger.tier(tier))) return { other: highest };
  const sequence = (highest?.sequence ?? 0) + 1;
  const claim = newClaim(claimant, sequence, highest, false);
  const claiming: WriterClaim = { sequence, nonce: claim.nonce };
  const claimed = highest && { sequence: highest.sequence, nonce: highest.nonce };
  await ledger.changeTier(tier, (before) => ({ ...before, ...(claimed && { claimed }), claiming }));
  const made = await make(store, claim);
  if (made.nonce !== claim.nonce) return { other: made };
  await ledger.changeTier(tier, ({ claiming: _, ...before }) => ({ ...before, claimed: claiming }));
  return { claim };
}

/** Claims a tier whoever wrote there before. The ledger does not know the tier yet. @throws conflict: somebody else takes over at this moment */
export async function takeOver(claimant: Claimant): Promise<Claim> {
  const highest = await highestClaim(claimant.store);
  const claim = newClaim(claimant, (highest?.sequence ?? 0) + 1, highest, true);
  const made = await make(claimant.store, claim);
  if (made.nonce === claim.nonce) return claim;
  throw new SternwayError(
    "conflict",
    `${made.host} takes the vault over at this moment: look what it does, then try again`,
  );
}

/** True when nobody claimed after `sequence`. */
export async function isStillHighest(store: ObjectStore, sequence: number): Promise<boolean> {
  try {
    // Not by asking for its size: an S3 service answers that in a way that needs a second question when there is none.
    await store.get(writerObject(sequence + 1), { offset: 0, length: 1 });
    return false;
  } catch (error) {
    if (isSternwayError(error, "not_found")) return true;
    throw error;
  }
}

/** True for a claim that this installation made, or was about to make. */
export const isOwnClaim = ({ sequence, nonce }: Claim, record: TierRecord | undefined): boolean =>
  [record?.claimed, record?.claiming].some((known) => known?.nonce === nonce && known.sequence === sequence);

function newClaim(claimant: Claimant, sequence: number, highest: Claim | undefined, isTakeOver: boolean): Claim {
  const { random, epoch, wall, host } = claimant;
  return {
    sequence,
    nonce: Buffer.from(random.bytes(NONCE_BYTES)).toString("hex"),
    epoch,
    at: wall,
    host,
    takeOver: isTakeOver,
    tookOverAt: isTakeOver ? sequence : (highest?.tookOverAt ?? 0),
  };
}

/** @returns the claim that has the number now: ours, or that of whoever was faster */
async function make(store: ObjectStore, { sequence, ...rest }: Claim): Promise<Claim> {
  const bytes = new TextEncoder().encode(`${JSON.stringify(rest)}\n`);
  try {
    await store.put(writerObject(sequence), bytesSource(bytes), { ifAbsent: true });
    return { sequence, ...rest };
  } catch (error) {
    // Perhaps our own, when an earlier try was done and its answer was lost.
    if (!isSternwayError(error, "conflict")) throw error;
    return (await claimOf(store, sequence))!;
  }
}

async function sequences(store: ObjectStore): Promise<number[]> {
  const found: number[] = [];
  for await (const { name } of store.list("writers")) {
    const sequence = writerNumberOf(name);
    if (sequence !== undefined) found.push(sequence);
  }
  return found.sort((a, b) => a - b);
}

/** @throws not_found; corrupt */
export async function claimOf(store: ObjectStore, sequence: number | undefined): Promise<Claim | undefined> {
  if (sequence === undefined) return undefined;
  const name = writerObject(sequence);
  const bytes = await store.get(name, { offset: 0, length: CLAIM_BYTES_MAX });
  try {
    return { sequence, ...content.parse(JSON.parse(new TextDecoder().decode(bytes))) };
  } catch (cause) {
    throw new SternwayError(
      "corrupt",
      `${name} at ${store.url} is damaged: nobody can tell who writes there`,
      {},
      { cause },
    );
  }
}
