/**
 * The files that a manifest names, as files: what tiers copy, and what a damaged one is brought back by. Each is immutable; its name, size and
 * checksum say which one it is, and a file of other content never has the same three.
 */
import { isSternwayError, type SternwayError } from "../base/errors.ts";
import type { Manifest, PackRecord } from "./manifest.ts";
import { packPath } from "./packs/pack-format.ts";
import { chroniclePath, layerPath } from "./paths.ts";

export interface SealedFile {
  kind: "pack" | "layer" | "chronicle";
  id: number;
  /** Beneath the vault's folder. */
  path: string;
  sizeBytes: number;
  /** XXH64 of the file, seed 0, 16 hex digits. */
  checksum: string;
}

/** Puts a sound copy of a sealed file in its place, or sees to it that reads of it come from elsewhere. @returns false: there is none to be had */
export type RestoreFile = (file: SealedFile) => Promise<boolean>;

type FileRecord = { id: number; sizeBytes: number; checksum: string };

export const sealedPack = ({ pack, generation, sizeBytes, checksum }: PackRecord): SealedFile => ({
  kind: "pack",
  id: pack,
  path: packPath(pack, generation),
  sizeBytes,
  checksum,
});

export const sealedLayer = ({ id, sizeBytes, checksum }: FileRecord): SealedFile => ({
  kind: "layer",
  id,
  path: layerPath(id),
  sizeBytes,
  checksum,
});

export const sealedChronicle = ({ id, sizeBytes, checksum }: FileRecord): SealedFile => ({
  kind: "chronicle",
  id,
  path: chroniclePath(id),
  sizeBytes,
  checksum,
});

/** All that a manifest names: packs, then layers, then chronicles, since a copy that is cut short is worth most with the data first. */
export function sealedFiles({ packs, layers, chronicles }: Manifest): SealedFile[] {
  return [...packs.map(sealedPack), ...layers.map(sealedLayer), ...chronicles.map(sealedChronicle)];
}

/** True for an error that another copy of the file may cure. */
export const isCurable = (error: unknown): error is SternwayError =>
  isSternwayError(error, "corrupt") || isSternwayError(error, "not_found");
