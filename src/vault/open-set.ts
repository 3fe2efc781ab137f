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
import { chroniclePath, layerPath } from "./paths.ts";

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

/**
 * @param dir - the vault's directory
 * @param cacheBytes - for decoded pages of all layers together
 * @param cipher - where the vault is encrypted
 */
export function layerSet(
  disk: Disk,
  dir: string,
  vaultId: Uint8Array,
  cacheBytes: number,
  cipher?: VaultCipher,
): LayerSet {
  const cache = new PageCache<LayerPage>(cacheBytes);
  return new OpenSet((meta) => openLayer({ disk, path: `${dir}/${layerPath(meta.id)}`, vaultId, cipher, meta, cache }));
}

/** As {@link layerSet}. */
export function chronicleSet(
  disk: Disk,
  dir: string,
  vaultId: Uint8Array,
  cacheBytes: number,
  cipher?: VaultCipher,
): ChronicleSet {
  const cache = new PageCache<ChroniclePage>(cacheBytes);
  return new OpenSet((meta) =>
    openChronicle({ disk, path: `${dir}/${chroniclePath(meta.id)}`, vaultId, cipher, meta, cache }),
  );
}
