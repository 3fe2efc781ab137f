/**
 * Reads from a vault's tiers: the first one in order that is online answers, the next one where it fails or gives something damaged. Tiers that are not
 * synchronised come last: what they have is right all the same, since an object's name says its content.
 */
import type { Disk } from "../base/disk.ts";
import { isSternwayError, SternwayError } from "../base/errors.ts";
import { hashText, xxh64Stream } from "../base/hash.ts";
import type { ObjectStore } from "../tiers/store.ts";
import type { SealedFile } from "../vault/sealed-files.ts";
import { checkCopy, objectName } from "./objects.ts";

/** A tier as a place to read from. */
export interface ReadableTier {
  name: string;
  store: ObjectStore;
  /** Lower is asked first; undefined: not to be asked now. */
  rank(): number | undefined;
}

/** What one request for a whole file asks for. */
const PIECE_BYTES = 4 * 2 ** 20;

export class TierReads {
  private readonly tiers: () => readonly ReadableTier[];
  /** Told of a copy at a tier that is not what the manifest names. */
  private readonly onDamage: (tier: string, file: SealedFile, error: SternwayError) => void;

  constructor(
    tiers: () => readonly ReadableTier[],
    onDamage: (tier: string, file: SealedFile, error: SternwayError) => void,
  ) {
    this.tiers = tiers;
    this.onDamage = onDamage;
  }

  /** True when some tier may be asked. */
  get isPossible(): boolean {
    return this.ordered().length > 0;
  }

  /**
   * Reads a part of a sealed file. Its content is for the caller to check.
   * @returns short only at the end of the file @throws unavailable, not_found: what the last tier said
   */
  async read(file: SealedFile, offset: number, length: number): Promise<Uint8Array> {
    return await this.first(file, (store) => store.get(objectName(file), { offset, length }));
  }

  /**
   * Copies a whole sealed file into another disk, and checks it: after a crash it is there whole or not at all.
   * @returns false: no tier has a sound copy that could be had now @throws unavailable: the disk refused
   */
  async copyTo(disk: Disk, path: string, file: SealedFile): Promise<boolean> {
    for (const tier of this.ordered()) {
      try {
        await this.copyFrom(tier, disk, path, file);
        return true;
      } catch (error) {
        if (!isSternwayError(error)) throw error;
        if (error.kind === "corrupt") this.onDamage(tier.name, file, error);
        else if (error.facts["home"] === true) throw error;
      }
    }
    return false;
  }

  /** Reads a whole object at one tier and says what it is. @throws not_found, unavailable */
  static async sum(
    store: ObjectStore,
    name: string,
    signal?: AbortSignal,
  ): Promise<{ sizeBytes: number; checksum: string }> {
    const hash = xxh64Stream(0n);
    let sizeBytes = 0;
    for (;;) {
      const piece = await store.get(name, { offset: sizeBytes, length: PIECE_BYTES, signal });
      hash.update(piece);
      sizeBytes += piece.length;
      if (piece.length < PIECE_BYTES) break;
    }
    return { sizeBytes, checksum: hashText(hash.digest()) };
  }

  private async copyFrom({ store }: ReadableTier, disk: Disk, path: string, file: SealedFile): Promise<void> {
    const temporary = `${path}.tmp`;
    const dir = path.slice(0, path.lastIndexOf("/"));
    await atHome(async () => {
      await disk.mkdir(dir);
      await disk.syncDir(dir.slice(0, dir.lastIndexOf("/")));
      await disk.remove(temporary);
    });
    const target = await atHome(() => disk.open(temporary, "create"));
    const hash = xxh64Stream(0n);
    let at = 0;
    try {
      while (at < file.sizeBytes) {
        const length = Math.min(PIECE_BYTES, file.sizeBytes - at);
        const piece = await store.get(objectName(file), { offset: at, length });
        if (piece.length === 0) break;
        hash.update(piece);
        await atHome(() => target.write(piece, at));
        at += piece.length;
      }
      checkCopy(file, { sizeBytes: at, checksum: hashText(hash.digest()) });
      await atHome(() => target.sync());
    } finally {
      await target.close();
    }
    await atHome(async () => {
      await disk.rename(temporary, path);
      await disk.syncDir(dir);
    });
  }

  private async first<Result>(file: SealedFile, ask: (store: ObjectStore) => Promise<Result>): Promise<Result> {
    let failure: SternwayError | undefined;
    for (const { store } of this.ordered()) {
      try {
        return await ask(store);
      } catch (error) {
        if (!isSternwayError(error)) throw error;
        failure = error;
      }
    }
    const facts = { [file.kind]: file.id };
    const why = `${file.kind} ${file.id} is not on this machine, and no tier gives it`;
    if (!failure) throw new SternwayError("unavailable", `${why}: none is online`, facts);
    throw new SternwayError("unavailable", `${why}: ${failure.message}`, facts, { cause: failure });
  }

  private ordered(): ReadableTier[] {
    return this.tiers()
      .map((tier) => ({ tier, rank: tier.rank() }))
      .filter((each): each is { tier: ReadableTier; rank: number } => each.rank !== undefined)
      .sort((a, b) => a.rank - b.rank)
      .map(({ tier }) => tier);
  }
}

/** Marks what this machine's disk says, so that it is not taken for the tier's words. */
async function atHome<Result>(work: () => Promise<Result>): Promise<Result> {
  try {
    return await work();
  } catch (error) {
    if (!isSternwayError(error)) throw error;
    throw new SternwayError(error.kind, error.message, { ...error.facts, home: true }, { cause: error });
  }
}
