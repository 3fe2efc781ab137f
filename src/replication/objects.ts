/**
 * What a vault keeps at a tier, by name:
 *
 *     identity                         whose place it is (tiers/store.ts): the vault's id
 *     vault.json                       as in the vault's folder; the one object that is ever replaced, when keys change
 *     manifest/WRITER-NNNNNNNNNN       as in the vault's folder, the last four. The newest, by writer and then by number, is the tier's revision
 *     packs/XXXXX/P-G-CHECKSUM.pack    sealed files under their names here, with their checksum: another content has another name,
 *     layers/N-CHECKSUM.layer          so that a writer that was overtaken can never replace what its successor stored
 *     chronicles/N-CHECKSUM.chronicle
 *     writers/NNNNNNNNNN               who may write there: the one of the highest number; made once, never replaced (claims.ts)
 *     tail/WRITER/FILE/OFFSET          pieces of journal files as they are stored, for what is not sealed yet (journal-tail.ts)
 *
 * All of it is written in the order data, manifest, deletions (law 5), so at any time the newest manifest there and the pieces of tail behind it are a vault. A writer's
 * first manifest covers all that it recovered, so when it took over, the tails of those before it count no more.
 */
import { SternwayError } from "../base/errors.ts";
import type { Manifest } from "../vault/manifest.ts";
import { manifestName } from "../vault/manifest.ts";
import { sealedFiles, type SealedFile } from "../vault/sealed-files.ts";

export const VAULT_OBJECT = "vault.json";

/** A sealed file as an object. */
export interface SealedObject {
  name: string;
  file: SealedFile;
}

/** A manifest at a tier. */
export interface ManifestThere {
  name: string;
  /** Number of the writer that published it. */
  writer: number;
  number: number;
}

/** A piece of one journal file. */
export interface TailPiece {
  name: string;
  /** Number of the writer that put it there. */
  writer: number;
  fileSequence: number;
  offset: number;
  sizeBytes: number;
}

const ten = (number: number): string => String(number).padStart(10, "0");

export function objectName({ path, checksum }: SealedFile): string {
  const dot = path.lastIndexOf(".");
  return `${path.slice(0, dot)}-${checksum}${path.slice(dot)}`;
}

/** The sealed file that an object is, as its name tells. */
export function sealedFileOf(name: string, sizeBytes: number): SealedFile | undefined {
  const match =
    /^(packs\/[0-9a-f]{5}|layers|chronicles)\/([0-9a-f]+(?:-\d+)?)-([0-9a-f]{16})\.(pack|layer|chronicle)$/.exec(name);
  if (!match) return undefined;
  const [, folder, number, checksum] = match as unknown as [string, string, string, string];
  const kind = match[4] as SealedFile["kind"];
  if (!folder.startsWith(`${kind}s`)) return undefined;
  const id = kind === "pack" ? Number.parseInt(number, 16) : Number(number);
  return { kind, id, path: `${folder}/${number}.${kind}`, sizeBytes, checksum };
}

/** All sealed files of a manifest, by object name, in the order in which they are copied. */
export function sealedObjects(manifest: Manifest): Map<string, SealedObject> {
  const objects = new Map<string, SealedObject>();
  for (const file of sealedFiles(manifest)) {
    const name = objectName(file);
    objects.set(name, { name, file });
  }
  return objects;
}

export const manifestObject = (writer: number, number: number): string =>
  `manifest/${ten(writer)}-${manifestName(number)}`;
export const writerObject = (sequence: number): string => `writers/${ten(sequence)}`;
export const tailObject = (writer: number, fileSequence: number, offset: number): string =>
  `tail/${ten(writer)}/${ten(fileSequence)}/${ten(offset)}`;

/** A writer's number; undefined: the name is no claim's. */
export function writerNumberOf(name: string): number | undefined {
  const match = /^writers\/(\d{10})$/.exec(name);
  return match ? Number(match[1]) : undefined;
}

export function manifestThereOf(name: string): ManifestThere | undefined {
  const match = /^manifest\/(\d{10})-(\d{10})$/.exec(name);
  return match ? { name, writer: Number(match[1]), number: Number(match[2]) } : undefined;
}

export function tailPieceOf({ name, sizeBytes }: { name: string; sizeBytes: number }): TailPiece | undefined {
  const match = /^tail\/(\d{10})\/(\d{10})\/(\d{10})$/.exec(name);
  if (!match) return undefined;
  return { name, writer: Number(match[1]), fileSequence: Number(match[2]), offset: Number(match[3]), sizeBytes };
}

/** True for the names of packs, layers and chronicles: only such objects are ever deleted because no manifest names them. */
export const isSealedName = (name: string): boolean => /^(packs\/[0-9a-f]{5}|layers|chronicles)\/[^/]+$/.test(name);

/** @throws corrupt: what a tier gave is not what the manifest names */
export function checkCopy(file: SealedFile, found: { sizeBytes: number; checksum: string }): void {
  if (found.sizeBytes === file.sizeBytes && found.checksum === file.checksum) return;
  const expected = `${file.sizeBytes} bytes with checksum ${file.checksum}`;
  const actual = `${found.sizeBytes} bytes with ${found.checksum}`;
  throw new SternwayError("corrupt", `${file.kind} ${file.id}: a copy should be ${expected}, and is ${actual}`, {
    [file.kind]: file.id,
  });
}
