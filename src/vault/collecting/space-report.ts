/**
 * Asks for an account of stored space, and for previews: what other needs would free. It changes nothing; counting runs in the sealer in
 * short slices between its own steps. Only what is sealed counts: what waits in the journal has no place in a pack yet.
 */
import type { Lsn } from "../../base/units.ts";
import { needsOf } from "../needs.ts";
import type { Registry } from "../registry.ts";
import type { Sealing } from "../sealing/sealing.ts";
import type { SpaceReport } from "./space.ts";
import type { Needs } from "../layers/thin.ts";

/** Some 100 ms of the sealer's time. */
const SLICE_ENTRIES = 2 ** 20;

/**
 * Counts what is stored, by the registry as it is now. One account at a time.
 * @param instead - needs that a preview asks about: those of a registry that is not yet
 * @throws unavailable: the vault is read-only or stops; corrupt: a damaged layer
 */
export async function accountSpace(sealing: Sealing, registry: Registry, instead?: Needs): Promise<SpaceReport> {
  let letGo: (() => void) | undefined;
  let report: SpaceReport | undefined;
  try {
    await sealing.perform(async () => {
      const { manifest, runner } = sealing;
      letGo = sealing.holdFiles();
      const newest = Number.MAX_SAFE_INTEGER as Lsn;
      const volumes = registry
        .volumes()
        .map((volume) => ({ volume: volume.id, needs: needsOf(registry, newest, [volume]) }));
      const deltas = manifest.layers.filter((layer) => layer.kind === "delta");
      await runner.run({ kind: "space", deltas, packs: manifest.packs, volumes, instead });
      return undefined;
    });
    while (!report) {
      await sealing.perform(async () => {
        report = await sealing.runner.run({ kind: "space-more", entries: SLICE_ENTRIES });
        return undefined;
      });
    }
    return report;
  } finally {
    letGo?.();
  }
}
