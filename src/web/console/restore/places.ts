/** Addresses of restoring. */
import { pathWith } from "../route.ts";

/** The wizard, with what is known already. @param query.to - the id of a target */
export function restorePath(query: { volume?: string; machine?: string; at?: string; to?: string }): string {
  return pathWith("/restore", query);
}

/** What a browser downloads: the disk's bytes as of a moment. */
export function imagePath(volume: string, at: string): string {
  return `/v1/volumes/${encodeURIComponent(volume)}/image?at=${encodeURIComponent(at)}`;
}

export function timelinePath(volume: string, at?: string): string {
  return pathWith(`/volumes/${encodeURIComponent(volume)}`, { at });
}
