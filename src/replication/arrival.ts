/**
 * A vault's folder made of what a tier holds: identity, the newest manifests, and the tail laid out as journal files. Packs, layers and chronicles stay
 * where they are, and are read from there (tiered-disk.ts), so every moment can be read after a few requests.
 *
 * To take the vault over, the tier is claimed first, and read after that: what its writer was answered for by then is there, and what it puts
 * there later it is not answered for (claims.ts).
 */
import type { Clock } from "../base/clock.ts";
import { publish, type Disk } from "../base/disk.ts";
import { isSternwayError, SternwayError } from "../base/errors.ts";
import { hashText, xxh64Stream } from "../base/hash.ts";
import type { Random } from "../base/random.ts";
import type { ObjectStore } from "../tiers/store.ts";
import type { SealedFile } from "../vault/sealed-files.ts";
import { identityPath, readIdentity } from "../vault/identity.ts";
import { manifestName } from "../vault/manifest.ts";
import { claimOf, highestClaim, takeOver, type Claim } from "./claims.ts";
import { eachOf } from "./each-of.ts";
import { Ledger, type Revision, type TierSettings } from "./ledger.ts";
import { TierReads } from "./tier-reads.ts";
import { manifestsThere, newestOf, revisionAt, sha256Of } from "./manifests-there.ts";
import { sealedFileOf, tailPieceOf, VAULT_OBJECT, type ManifestThere, type TailPiece } from "./objects.ts";

export interface ArrivalOptions {
  disk: Disk;
  clock: Clock;
  random: Random;
  /** The vault's folder; exists. */
  dir: string;
  host: string;
}

/** What a folder was made of. */
export interface Arrived {
  /** What its newest manifest is … */
  revision: Revision;
  /** … and where it lies. */
  newest: ManifestThere;
  /** The newest take-over by which the manifest's writer came to be it; 0: there was none. */
  tookOverAt: number;
  /** Where the last piece of the tail's last writer ends; undefined: there is none. */
  tailEnd: TailEnd | undefined;
  /** Where the tail's pieces lie in the folder, by their names. */
  pieces: ReadonlyMap<string, PieceHere>;
}

interface PieceHere {
  path: string;
  offset: number;
  sizeBytes: number;
}

export interface TailEnd {
  writer: number;
  fileSequence: number;
  offset: number;
}

/** A tier that goes on being written to has changed under us so often: it is written to faster than it can be read. */
const READS_MAX = 8;
const SECTOR = 4096;

/** Makes the folder of a vault that is only read here. @param followSeconds - undefined: the default; 0: it does not follow its tier @throws invalid: the place holds no vault; corrupt; unavailable */
export async function arriveAsReader(
  options: ArrivalOptions,
  store: ObjectStore,
  settings: TierSettings,
  followSeconds?: number,
): Promise<void> {
  const { disk, dir } = options;
  await connectToVault(store);
  await makeFolders(disk, dir);
  const ledger = await Ledger.open(disk, dir);
  await ledger.change((before) => ({
    ...before,
    role: "reader",
    tiers: [{ settings }],
    ...(followSeconds !== undefined && { followSeconds }),
  }));
  await fetchState(options, store);
}

/**
 * Makes a folder beside a reader's of what its tier holds now, in place of whatever was there. It serves no crash: a view is made anew.
 * @param options - its folder is the view's @param store - connected
 * @param before - of a folder that is still there: pieces of the tail that it has are not fetched again; undefined: all are
 * @throws unavailable; corrupt
 */
export async function arriveAsView(
  options: ArrivalOptions,
  store: ObjectStore,
  before: Arrived | undefined,
): Promise<Arrived> {
  await clearView(options.disk, options.dir);
  await makeFolders(options.disk, options.dir);
  return await fetchState(options, store, before?.pieces);
}

/** Removes the files of a view that nobody reads from. */
export async function clearView(disk: Disk, dir: string): Promise<void> {
  const packs = (await disk.list(`${dir}/packs`)).map((name) => `packs/${name}`);
  for (const folder of ["journal", ...packs, "layers", "chronicles", "manifest"]) {
    for (const name of await disk.list(`${dir}/${folder}`)) await disk.remove(`${dir}/${folder}/${name}`);
  }
  for (const path of [identityPath(dir), `${identityPath(dir)}.arriving`]) await disk.remove(path);
}

/** Brings the folder of a reader up to what its tier holds now. The vault is closed. @throws unavailable: it stays as it was, or is older in part */
export async function refreshReader(options: ArrivalOptions, store: ObjectStore): Promise<Arrived> {
  await connectToVault(store);
  return await fetchState(options, store);
}

/**
 * Makes this installation the writer of a vault that was opened from a tier. The vault is closed; when it is opened next, it is writable.
 * @throws conflict: somebody else takes over at this moment
 */
export async function becomeWriter(options: ArrivalOptions, store: ObjectStore): Promise<Claim> {
  const { disk, dir, clock, random, host } = options;
  await connectToVault(store);
  const epoch = ((await highestClaim(store))?.epoch ?? 0) + 1;
  const claim = await takeOver({ store, random, epoch, wall: clock.wall(), host });
  const { revision } = await fetchState(options, store);
  await fetchMap(options, store);
  const ledger = await Ledger.open(disk, dir);
  await ledger.change(({ overtaken: _, ...before }) => ({
    ...before,
    role: "arriving",
    tiers: before.tiers.map(({ settings }, i) => ({
      settings,
      ...(i === 0 && { old: revision, claimed: { sequence: claim.sequence, nonce: claim.nonce } }),
    })),
  }));
  return claim;
}

/**
 * Removes sealed files of this folder that are not the tier's: two writers may have given one number to different files, and their checksums inside
 * would fit all the same.
 */
async function dropStrangers(disk: Disk, dir: string, store: ObjectStore): Promise<void> {
  const folders = ["layers", "chronicles", ...(await disk.list(`${dir}/packs`)).map((name) => `packs/${name}`)];
  const isEmpty = (await Promise.all(folders.map((folder) => disk.list(`${dir}/${folder}`)))).flat().length === 0;
  if (isEmpty) return;
  const named = new Map<string, SealedFile | "several">();
  for (const folder of ["packs", "layers", "chronicles"]) {
    for await (const { name, sizeBytes } of store.list(folder)) {
      const file = sealedFileOf(name, sizeBytes);
      if (file) named.set(file.path, named.has(file.path) ? "several" : file);
    }
  }
  for (const folder of folders) {
    for (const name of await disk.list(`${dir}/${folder}`)) {
      const path = `${folder}/${name}`;
      const file = named.get(path);
      if (file === undefined || file === "several" || !(await isCopy(disk, `${dir}/${path}`, file))) {
        await disk.remove(`${dir}/${path}`);
      }
    }
  }
}

async function isCopy(disk: Disk, path: string, file: SealedFile): Promise<boolean> {
  if ((await disk.sizeOf(path)) !== file.sizeBytes) return false;
  const hash = xxh64Stream(0n);
  const opened = await disk.open(path, "read");
  try {
    const piece = new Uint8Array(2 ** 20);
    for (let at = 0; at < file.sizeBytes;) {
      const got = await opened.read(piece, at);
      if (got === 0) return false;
      hash.update(piece.subarray(0, got));
      at += got;
    }
  } finally {
    await opened.close();
  }
  return hashText(hash.digest()) === file.checksum;
}

/** Layers and chronicles, small beside the packs: a writer's sealer merges them, and has no tiers behind its disk. */
async function fetchMap({ disk, dir }: ArrivalOptions, store: ObjectStore): Promise<void> {
  const reads = new TierReads(
    () => [{ name: store.url, store, rank: () => 0 }],
    (_tier, _file, error) => {
      throw error;
    },
  );
  for (const folder of ["layers", "chronicles"]) {
    for await (const { name, sizeBytes } of store.list(folder)) {
      const file = sealedFileOf(name, sizeBytes);
      if (!file || (await disk.sizeOf(`${dir}/${file.path}`)) === sizeBytes) continue;
      // What is gone meanwhile was replaced by something else before we claimed.
      await reads.copyTo(disk, `${dir}/${file.path}`, file);
    }
  }
}

/** @returns the vault's id @throws invalid: there is none */
async function connectToVault(store: ObjectStore): Promise<string> {
  const identity = await store.identify();
  if (identity === undefined) throw new SternwayError("invalid", `${store.url} holds no vault`);
  await store.connect(identity);
  return identity;
}

async function makeFolders(disk: Disk, dir: string): Promise<void> {
  for (const name of ["journal", "packs", "layers", "chronicles", "manifest"]) await disk.mkdir(`${dir}/${name}`);
  await disk.syncDir(dir);
}

/** Reads manifests, tail and identity until none of it changed meanwhile; `vault.json` comes last, since its being there says that the folder is whole. */
async function fetchState(
  options: ArrivalOptions,
  store: ObjectStore,
  before: Arrived["pieces"] = new Map(),
): Promise<Arrived> {
  const { disk, dir } = options;
  let gone: SternwayError | undefined;
  for (let attempt = 1; ; attempt++) {
    try {
      const manifests = newestOf(await manifestsThere(store));
      const newest = manifests.at(-1);
      if (!newest) throw new SternwayError("invalid", `${store.url} holds no manifest yet: nothing was copied there`);
      const identity = await store.get(VAULT_OBJECT);
      const revision = await fetchManifests(disk, dir, store, manifests);
      await publish(disk, `${dir}/vault.json.arriving`, [identity]);
      const tail = await fetchTail(options, store, newest.writer, before);
      await dropStrangers(disk, dir, store);
      if ((await manifestsThere(store)).at(-1)?.name === newest.name) {
        await disk.rename(`${dir}/vault.json.arriving`, identityPath(dir));
        await disk.syncDir(dir);
        return { revision, newest, ...tail };
      }
    } catch (error) {
      // Its writer let go of something between our question and our reading.
      if (!isSternwayError(error, "not_found")) throw error;
      // What its writer let go of is not what is asked for next.
      if (attempt === READS_MAX && gone?.message === error.message) throw incomplete(store, error);
      gone = error;
    }
    if (attempt === READS_MAX) {
      throw new SternwayError("unavailable", `${store.url} changes faster than it can be read; try again`);
    }
  }
}

function incomplete({ url }: ObjectStore, cause: SternwayError): SternwayError {
  const todo = "the writer's `sternway tier verify --repair` puts it anew; or open another of the vault's tiers";
  return new SternwayError("corrupt", `${url} is not whole: ${cause.message}; ${todo}`, {}, { cause });
}

/** @param manifests - oldest first @returns what the newest is */
async function fetchManifests(
  disk: Disk,
  dir: string,
  store: ObjectStore,
  manifests: readonly ManifestThere[],
): Promise<Revision> {
  let revision: Revision | undefined;
  await eachOf(manifests, async (manifest) => {
    const { number } = manifest;
    const bytes = await manifestBytes(store, manifest);
    if (number === manifests.at(-1)?.number) revision = { number, sha256: sha256Of(bytes) };
    await publish(disk, `${dir}/manifest/${manifestName(number)}`, [bytes]);
  });
  const kept = new Set(manifests.map(({ number }) => manifestName(number)));
  for (const name of await disk.list(`${dir}/manifest`)) {
    if (!kept.has(name)) await disk.remove(`${dir}/manifest/${name}`);
  }
  await disk.syncDir(`${dir}/manifest`);
  return revision!;
}

/** @returns of one whose place says that it is damaged: its first line alone. So it lies here as a damaged one, too: the one before is opened, and people are told why. */
async function manifestBytes(store: ObjectStore, manifest: ManifestThere): Promise<Uint8Array> {
  try {
    return await store.get(manifest.name);
  } catch (error) {
    if (!isSternwayError(error, "corrupt")) throw error;
    return new TextEncoder().encode((await revisionAt(store, manifest)).sha256);
  }
}

/**
 * Lays out the pieces as journal files. Recovery takes what the chain of groups proves, and looks at nothing that a manifest covers.
 * @param publisher - number of the writer that published the newest manifest
 * @param before - pieces that are on this disk already
 */
async function fetchTail(
  { disk, dir }: ArrivalOptions,
  store: ObjectStore,
  publisher: number,
  before: Arrived["pieces"],
): Promise<Pick<Arrived, "tookOverAt" | "tailEnd" | "pieces">> {
  const { journalFileBytes } = await readIdentity(disk, dir, `${dir}/vault.json.arriving`);
  // Whoever took over published nothing before it covered all that it found. What those before it sent later they were never answered for, and it fits nothing.
  const tookOverAt = (await claimOf(store, publisher))?.tookOverAt ?? 0;
  const files = new Map<number, TailPiece[]>();
  for await (const info of store.list("tail")) {
    const piece = tailPieceOf(info);
    if (!piece || piece.writer < tookOverAt || piece.offset + piece.sizeBytes > journalFileBytes) continue;
    files.set(piece.fileSequence, [...(files.get(piece.fileSequence) ?? []), piece]);
  }
  for (const name of await disk.list(`${dir}/journal`)) await disk.remove(`${dir}/journal/${name}`);
  const pieces = new Map<string, PieceHere>();
  let slot = 0;
  for (const [, ofFile] of [...files].sort(([a], [b]) => a - b)) {
    const path = `${dir}/journal/${String(slot++).padStart(4, "0")}.journal`;
    const file = await disk.open(path, "create");
    try {
      await file.write(new Uint8Array(SECTOR), journalFileBytes - SECTOR);
      await eachOf(ofFile, async ({ name, offset, sizeBytes }) => {
        const here = before.get(name);
        const bytes = here?.sizeBytes === sizeBytes ? await readPiece(disk, here) : await store.get(name);
        await file.write(bytes, offset);
        pieces.set(name, { path, offset, sizeBytes: bytes.length });
      });
      await file.sync();
    } finally {
      await file.close();
    }
  }
  await disk.syncDir(`${dir}/journal`);
  return { tookOverAt, tailEnd: endOf([...files.values()].flat()), pieces };
}

/** A piece's name stands for its bytes, but for damage, which recovery tells from the groups' checksums. */
async function readPiece(disk: Disk, { path, offset, sizeBytes }: PieceHere): Promise<Uint8Array> {
  const bytes = new Uint8Array(sizeBytes);
  const file = await disk.open(path, "read");
  try {
    // What is short of it is zeroes, which no recovery takes for a group.
    await file.read(bytes, offset);
  } finally {
    await file.close();
  }
  return bytes;
}

function endOf(pieces: readonly TailPiece[]): TailEnd | undefined {
  const [last] = pieces.toSorted(
    (a, b) => b.writer - a.writer || b.fileSequence - a.fileSequence || b.offset - a.offset,
  );
  return last && { writer: last.writer, fileSequence: last.fileSequence, offset: last.offset + last.sizeBytes };
}
