/**
 * Deletes files that no manifest names any more, when nobody reads them. What cannot be deleted, and what a crash leaves, goes when the vault opens.
 */
import type { Disk } from "../../base/disk.ts";
import { isSternwayError } from "../../base/errors.ts";
import type { LayerSet } from "../open-set.ts";
import { layerPath } from "../paths.ts";

export class Disposal {
  /** Files that could not be deleted; they cost space until the next open, and nothing else. */
  leftovers = 0;
  private readonly disk: Disk;
  private readonly dir: string;
  private readonly layers: LayerSet;
  private readonly discarding = new Set<Promise<void>>();
  /** Who keeps replaced files on disk, and what waits for them. */
  private holds = 0;
  private readonly held: (() => void)[] = [];
  private stopping = false;

  /** @param dir - the vault's */
  constructor(disk: Disk, dir: string, layers: LayerSet) {
    this.disk = disk;
    this.dir = dir;
    this.layers = layers;
  }

  /** Deletes a file beneath the vault's folder, once `set` has closed it; later, while somebody holds files. */
  discard(path: string, set: { forget(id: number): Promise<void> }, id: number): void {
    if (this.holds > 0) this.held.push(() => this.remove(path, set, id));
    else this.remove(path, set, id);
  }

  /** Deletes layers, unless somebody holds files. */
  discardLayers(ids: Iterable<number>): void {
    for (const id of ids) this.discard(layerPath(id), this.layers, id);
  }

  /** Keeps the files that are replaced from now on. Ends with the call of what it returns. */
  holdFiles(): () => void {
    this.holds++;
    return () => {
      // A vault that stops leaves them to the next open.
      if (--this.holds === 0 && !this.stopping) for (const remove of this.held.splice(0)) remove();
    };
  }

  /** Resolves when the files that could be deleted by now are. */
  async discarded(): Promise<void> {
    await Promise.all(this.discarding);
  }

  /** Lets go of nothing that is held any more, and waits for what is being deleted. */
  async stop(): Promise<void> {
    this.stopping = true;
    await this.discarded();
  }

  private remove(path: string, set: { forget(id: number): Promise<void> }, id: number): void {
    const gone = set
      .forget(id)
      .then(() => this.disk.remove(`${this.dir}/${path}`))
      .catch((error: unknown) => {
        if (!isSternwayError(error)) throw error;
        this.leftovers++;
      })
      .finally(() => this.discarding.delete(gone));
    this.discarding.add(gone);
  }
}
