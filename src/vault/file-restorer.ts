/**
 * Brings damaged or missing sealed files back from elsewhere (tiers), and has those who read them next read the new ones. A vault without other places has
 * nothing to bring them from.
 */
import { isSternwayError } from "../base/errors.ts";
import type { History } from "./chronicles/history.ts";
import type { LayerSet } from "./open-set.ts";
import type { PackStore } from "./packs/pack-reader.ts";
import { sealedLayer, sealedPack, type RestoreFile, type SealedFile } from "./sealed-files.ts";
import type { Sealing } from "./sealing/sealing.ts";

export interface RestorerParts {
  sealing: Sealing;
  packs: PackStore;
  layers: LayerSet;
  history: History;
  /** Undefined: there is no other place. */
  restoreFile?: RestoreFile | undefined;
}

export class FileRestorer {
  private readonly parts: RestorerParts;

  constructor(parts: RestorerParts) {
    this.parts = parts;
  }

  /** Brings back the file that an error is about. @returns false: it is about none, or there is no sound copy to be had */
  async restoreDamaged(error: unknown): Promise<boolean> {
    if (!isSternwayError(error, "corrupt")) return false;
    const { pack, layer } = error.facts;
    const { sealing } = this.parts;
    if (typeof pack === "number") {
      const record = sealing.locate(pack);
      return record !== undefined && (await this.restore(sealedPack(record)));
    }
    const record = sealing.manifest.layers.find(({ id }) => id === layer);
    return record !== undefined && (await this.restore(sealedLayer(record)));
  }

  /** Puts a sound copy of a file in its place. @returns false: there is none to be had */
  async restore(file: SealedFile): Promise<boolean> {
    if (!this.parts.restoreFile || !(await this.parts.restoreFile(file))) return false;
    await this.renew(file);
    return true;
  }

  /** Another file lies in the place of a sealed one: whoever reads it next opens that, and who reads the old one already goes on. */
  async renew({ kind, id }: SealedFile): Promise<void> {
    const { sealing, layers, packs, history } = this.parts;
    switch (kind) {
      case "pack":
        return await packs.forget(id);
      case "layer":
        // Its readers pin versions. Nobody waits for the old file to be closed.
        layers
          .renew(id, () => sealing.versions.idle())
          .catch((failure: unknown) => {
            if (!isSternwayError(failure)) throw failure;
          });
        return;
      case "chronicle":
        return await history.renew(id);
    }
  }
}
