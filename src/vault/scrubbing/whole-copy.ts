/**
 * Repair by the whole file: a tier that has the pack gives all of it back, under the same name and generation, so no map changes. What was quarantined of it is
 * released once the sealer has forgotten the old file, and the pack is read through before it counts.
 */
import type { PackRecord } from "../manifest.ts";
import { packPath } from "../packs/pack-format.ts";
import type { PackDamage } from "../packs/pack-verify.ts";
import { sealedPack } from "../sealed-files.ts";
import type { Vault } from "../vault.ts";
import { withQuarantine } from "./repair.ts";

/** @returns false: there is no other place to bring it from, or it is not sound all the same @throws unavailable */
export async function restoreWholePack(vault: Vault, record: PackRecord): Promise<boolean> {
  const { sealing } = vault;
  const { pack, generation } = record;
  if (!(await vault.restorer.restore(sealedPack(record)))) return false;
  const released = { pack, generation, slots: [] };
  await sealing.perform(async () => {
    const { manifest } = sealing;
    if (sealing.locate(pack)?.generation !== generation) return undefined;
    // The sealer reads by a descriptor of its own, and that is the old file's.
    await sealing.runner.run({ kind: "quarantine", record: released });
    const isHeld = manifest.quarantine?.some((known) => known.pack === pack) === true;
    return isHeld ? { changes: { quarantine: withQuarantine(manifest, released) } } : undefined;
  });
  const left = await sealing.runner.run({ kind: "verify", record });
  return left.length === 0;
}

/** The sealer reads by descriptors that it has open: a file that was deleted under it reads well there, until the next start. */
export async function missingPack(vault: Vault, { pack, generation }: PackRecord): Promise<PackDamage[]> {
  const { disk, dir } = vault.parts;
  if ((await disk.sizeOf(`${dir}/${packPath(pack, generation)}`)) !== undefined) return [];
  return [{ pack, frame: -1, slots: [], why: "its file is missing" }];
}
