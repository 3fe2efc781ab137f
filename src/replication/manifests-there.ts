/**
 * The manifests at a tier, in the order that counts: by writer, then by number. So what a writer that was overtaken publishes late, under however high a number,
 * is never the newest once its successor has published anything (law 7).
 */
import type { ObjectStore } from "../tiers/store.ts";
import { HASH_DIGITS, MANIFESTS_KEPT } from "../vault/manifest.ts";
import type { Revision } from "./ledger.ts";
import { manifestThereOf, type ManifestThere } from "./objects.ts";

/** Oldest first. */
export async function manifestsThere(store: ObjectStore): Promise<ManifestThere[]> {
  const found: ManifestThere[] = [];
  for await (const { name } of store.list("manifest")) {
    const manifest = manifestThereOf(name);
    if (manifest) found.push(manifest);
  }
  return found.sort((a, b) => a.writer - b.writer || a.number - b.number);
}

/** The newest ones that belong to one history, oldest first: an overtaken writer's last ones may have the numbers of its successor's. */
export function newestOf(manifests: readonly ManifestThere[]): ManifestThere[] {
  const kept: ManifestThere[] = [];
  for (const manifest of manifests.toReversed()) {
    if (kept.length < MANIFESTS_KEPT && manifest.number < (kept[0]?.number ?? Infinity)) kept.unshift(manifest);
  }
  return kept;
}

export async function revisionAt(store: ObjectStore, { name, number }: ManifestThere): Promise<Revision> {
  return { number, sha256: sha256Of(await store.get(name, { offset: 0, length: HASH_DIGITS })) };
}

/** What a manifest's file says of itself. */
export const sha256Of = (file: Uint8Array): string => new TextDecoder().decode(file.subarray(0, HASH_DIGITS));
