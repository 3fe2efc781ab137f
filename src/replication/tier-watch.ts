/**
 * Notices that a tier holds something newer than what was read there, by asking for the names that come next: the claim after the last, the
 * manifests with the next few numbers, and the piece of tail that would continue the journal. While nothing changes that is seven small requests
 * and no listing.
 *
 * A writer whose tier was away, or is brought up by schedule, skips as many numbers as it likes. That is found by a listing of the few manifests,
 * which every {@link LOOKS_PER_LISTING}-th look makes, and each look while a writer that took over has published nothing yet: its numbers
 * need not be higher than those of the one before.
 */
import { isSternwayError } from "../base/errors.ts";
import type { ObjectStore } from "../tiers/store.ts";
import type { Arrived, TailEnd } from "./arrival.ts";
import { claimOf, isStillHighest } from "./claims.ts";
import { eachOf } from "./each-of.ts";
import { manifestsThere } from "./manifests-there.ts";
import { manifestObject, tailObject } from "./objects.ts";

/** A copy that takes as long as four manifests is one that has fallen behind. */
const NUMBERS_AHEAD = 4;
/** At a look in 30 s, ten minutes: six listings an hour. */
const LOOKS_PER_LISTING = 20;

export class TierWatch {
  private readonly store: ObjectStore;
  private readonly newest: Arrived["newest"];
  private readonly tailEnd: TailEnd | undefined;
  private readonly sealedFile: number;
  private claim: number;
  private isTakenOver = false;
  private looks = 0;

  /** @param arrived - what was read @param sealedFile - the last journal file that its manifest covers */
  constructor(store: ObjectStore, { newest, tailEnd }: Pick<Arrived, "newest" | "tailEnd">, sealedFile: number) {
    this.store = store;
    this.newest = newest;
    this.claim = newest.writer;
    this.tailEnd = tailEnd && tailEnd.fileSequence > sealedFile ? tailEnd : undefined;
    this.sealedFile = sealedFile;
  }

  /** @throws unavailable: the tier cannot be asked; corrupt: nobody can tell who writes there */
  async isNewer(): Promise<boolean> {
    this.looks++;
    while (!(await isStillHighest(this.store, this.claim))) {
      this.claim++;
      const { tookOverAt = 0 } = (await claimOf(this.store, this.claim)) ?? {};
      this.isTakenOver = tookOverAt > this.newest.writer;
    }
    if (this.isTakenOver || this.looks % LOOKS_PER_LISTING === 0) {
      if ((await manifestsThere(this.store)).at(-1)?.name !== this.newest.name) return true;
    }
    // What an overtaken writer still sends is nobody's.
    return !this.isTakenOver && (await this.isAnyThere(this.nextNames()));
  }

  private nextNames(): string[] {
    const { newest, claim, tailEnd, sealedFile } = this;
    const names = Array.from({ length: NUMBERS_AHEAD }, (_, i) => manifestObject(claim, newest.number + 1 + i));
    // Whoever claims anew, if only because the tier was away, sends the tail from its beginning.
    if (tailEnd?.writer !== claim) return [...names, tailObject(claim, sealedFile + 1, 0)];
    const { fileSequence, offset } = tailEnd;
    return [...names, tailObject(claim, fileSequence, offset), tailObject(claim, fileSequence + 1, 0)];
  }

  private async isAnyThere(names: readonly string[]): Promise<boolean> {
    let isThere = false;
    await eachOf(names, async (name) => {
      if (await exists(this.store, name)) isThere = true;
    });
    return isThere;
  }
}

async function exists(store: ObjectStore, name: string): Promise<boolean> {
  try {
    await store.get(name, { offset: 0, length: 1 });
    return true;
  } catch (error) {
    if (isSternwayError(error, "not_found")) return false;
    throw error;
  }
}
