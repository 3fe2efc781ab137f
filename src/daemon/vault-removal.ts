/**
 * Deleting a vault: first all that protects its volumes is asked (locks, holds, clients), then they are deleted by their own marks, under the same
 * guards again, then the folder goes. A refusal therefore leaves everything as it was, but for a lock or a hold that comes in between: then
 * the volumes before it are gone, and the vault and the others stay.
 */
import { SternwayError } from "../base/errors.ts";
import { formatTime } from "../base/units.ts";
import type { Volumes } from "../volume/volumes.ts";

/**
 * Deletes a vault's volumes.
 * @param isConfirmed - somebody typed the vault's name
 * @throws conflict: there are volumes and nobody confirmed, or something protects one
 */
export async function deleteVolumes(vault: string, volumes: Volumes, isConfirmed: boolean): Promise<void> {
  const names = volumes.list().map(({ name }) => name);
  if (names.length > 0 && !isConfirmed) {
    throw new SternwayError(
      "conflict",
      `vault ${vault} holds volumes (${names.slice(0, 5).join(", ")}${names.length > 5 ? ", …" : ""}): delete them first, or all at once with --force ${vault}`,
      { vault, volumes: names.length },
    );
  }
  const kept = (await Promise.all(names.map((name) => protectionOf(volumes, name)))).flat();
  if (kept.length > 0) {
    throw new SternwayError("conflict", `vault ${vault} is not deleted, nor anything in it: ${kept.join("; ")}`, {
      vault,
    });
  }
  for (const name of names) await volumes.delete(name);
}

/** What keeps a volume from being deleted, in words. */
async function protectionOf(volumes: Volumes, name: string): Promise<string[]> {
  const { lockMicros, lockedFrom, now } = await volumes.retention(name);
  const holds = volumes.holds(name).length;
  const { attached, lastLsn } = volumes.get(name);
  return [
    ...(lockedFrom !== undefined && lastLsn > lockedFrom
      ? [
          `volume ${name} is locked: nothing younger than ${lockMicros / 3600e6} h of running time may go (now ${formatTime(now)})`,
        ]
      : []),
    ...(holds > 0 ? [`volume ${name} has ${holds} hold(s)`] : []),
    ...(attached > 0 ? [`volume ${name} is in use by ${attached} client(s)`] : []),
  ];
}
