/**
 * Open files of one kind (layers, chronicles): opened when first asked for, shared by all who read them, closed when nothing names them any more.
 */
import type { Disk } from "../base/disk.ts";
import type { VaultCipher } from "../security/cipher.ts";
import type { ChronicleMeta, ChroniclePage } from "./chronicles/chronicle-format.ts";
import { openChronicle, type ChronicleReader } from "./chronicles/chronicle-reader.ts";
import type { LayerMeta, LayerPage } from "./layers/layer-format.ts";
import { openLayer, type LayerReader } from "./layers/layer-reader.ts";
import { PageCache } from "./files/page-cache.ts";
import { isCurable, sealedChronicle, sealedLayer, type RestoreFile, type SealedFile } from "./sealed-files.ts";

export class OpenSet<Meta extends { id: number }, Reader extends { close(): Promise<void> }> {
  private readonly openFile: (meta: Meta) => Promise<Reader>;
  private readonly opening = new Map<number, Promise<Reader>>();
  private readonly ready = new Map<number, Reader>();

  constructor(openFile: (meta: Meta) => Promise<Reader>) {
    this.openFile = openFile;
  }

  /** One that is open already: the quick way. */
  peek(id: number): Reader | undefined {
    return this.ready.get(id);
  }

  /** @throws corrupt, not_found; a failed opening is tried again the next time */
  open(meta: Meta): Promise<Reader> {
    const known = this.opening.get(meta.id);
    if (known) return known;
    const opening = this.openFile(meta).then(
      (reader) => {
        this.ready.set(meta.id, reader);
        return reader;
      },
      (error: unknown) => {
        this.opening.delete(meta.id);
        throw error;
      },
    );
    this.opening.set(meta.id, opening);
    return opening;
  }

  /**
   * Has a file opened anew by whoever asks next: another one lies in its place now. Those who read the old one go on.
   * @param unread - resolves when nobody reads the old one any more
   */
  async renew(id: number, unread: () => Promise<void>): Promise<void> {
    const opening = this.opening.get(id);
    if (!opening) return;
    this.opening.delete(id);
    this.ready.delete(id);
    const reader = await opening;
    await unread();
    await reader.close();
  }

  /** Closes one that no manifest and no reader needs any more. */
  async forget(id: number): Promise<void> {
    const opening = this.opening.get(id);
    if (!opening) return;
    this.opening.delete(id);
    this.ready.delete(id);
    const reader = await opening;
    await reader.close();
  }

  async close(): Promise<void> {
    for (const id of [...this.opening.keys()]) await this.forget(id);
  }
}

export type LayerSet = OpenSet<LayerMeta, LayerReader>;
export type ChronicleSet = OpenSet<ChronicleMeta, ChronicleReader>;

/** Opens a sealed file; one that is damaged or missing is brought back first, where that is possible. */
async function openSound<Reader>(
  file: SealedFile,
  open: () => Promise<Reader>,
  restore: RestoreFile | undefined,
): Promise<Reader> {
  try {
    return await open();
  } catch (error) {
    if (!restore || !isCurable(error) || !(await restore(file))) throw error;
    return await open();
  }
}

/**
 * @param dir - the vault's directory
 * @param cacheBytes - for decoded pages of all layers together
 * @param cipher - where the vault is encrypted
 * @param restore - brings back a damaged or missing file
 */
export function layerSet(
  disk: Disk,
  dir: string,
  vaultId: Uint8Array,
  cacheBytes: number,
  cipher?: VaultCipher,
  restore?: RestoreFile,
): LayerSet {
  const cache = new PageCache<LayerPage>(cacheBytes);
  return new OpenSet((meta) => {
    const file = sealedLayer(meta);
    const path = `${dir}/${file.path}`;
    return openSound(file, () => openLayer({ disk, path, vaultId, cipher, meta, cache }), restore);
  });
}

/** As {@link layerSet}. */
export function chronicleSet(
  disk: Disk,
  dir: string,
  vaultId: Uint8Array,
  cacheBytes: number,
  cipher?: VaultCipher,
  restore?: RestoreFile,
): ChronicleSet {
  const cache = new PageCache<ChroniclePage>(cacheBytes);
  return new OpenSet((meta) => {
    const file = sealedChronicle(meta);
    const path = `${dir}/${file.path}`;
    return openSound(file, () => openChronicle({ disk, path, vaultId, cipher, meta, cache }), restore);
  });
}
