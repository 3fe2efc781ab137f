/**
 * Removes what a crash left behind: temporary files, and packs, layers and chronicles that no manifest names. Only the vault's
 * one writer calls it, before it makes anything new; files of other names stay.
 */
import type { Disk } from "../base/disk.ts";
import type { Manifest } from "./manifest.ts";
import { packPath } from "./packs/pack-format.ts";
import { chroniclePath, layerPath } from "./paths.ts";

/** @returns how many were removed */
export async function removeOrphans(disk: Disk, dir: string, manifest: Manifest): Promise<number> {
  const named = new Set<string>([
    ...manifest.packs.map((pack) => packPath(pack.pack, pack.generation)),
    ...manifest.layers.map((layer) => layerPath(layer.id)),
    ...manifest.chronicles.map((chronicle) => chroniclePath(chronicle.id)),
  ]);
  const folders = ["layers", "chronicles", ...(await disk.list(`${dir}/packs`)).map((name) => `packs/${name}`)];
  let removed = 0;
  for (const folder of folders) {
    for (const name of await disk.list(`${dir}/${folder}`)) {
      const path = `${folder}/${name}`;
      const isOurs = /\.(pack|layer|chronicle)(\.tmp)?$/.test(name);
      if (!isOurs || named.has(path)) continue;
      await disk.remove(`${dir}/${path}`);
      removed++;
    }
  }
  for (const name of await disk.list(`${dir}/manifest`)) {
    if (!name.endsWith(".tmp")) continue;
    await disk.remove(`${dir}/manifest/${name}`);
    removed++;
  }
  return removed;
}
