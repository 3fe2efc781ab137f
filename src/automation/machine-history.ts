/** What changes the course of several volumes at once: bookmarks and branches, all or none of them, and rollbacks, which say of each what it is. */
import { errorText, SternwayError } from "../base/errors.ts";
import type { Lsn, Micros } from "../base/units.ts";
import type { Bookmark, ResolvedMoment, VolumeInfo, Volumes } from "../volume/volumes.ts";
import type { MachineMoment } from "./machine-moment.ts";

const NAME = /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/;

export interface VolumeBookmark {
  volume: string;
  bookmark: Bookmark;
}

export interface VolumeRollback {
  volume: string;
  vault: string;
  state: "rolled-back" | "failed" | "untouched";
  to: ResolvedMoment;
  /** The moment just before. */
  undoLsn: Lsn;
  error?: string;
}

/** @throws conflict: a volume has a bookmark of that name; not_found: no such volume */
export function requireFreeName(volumes: Volumes, names: readonly string[], bookmark: string): void {
  const taken = names.filter((name) => volumes.bookmarks(name).some((each) => each.name === bookmark));
  if (taken.length === 0) return;
  const message = `bookmark ${bookmark} exists already on ${taken.join(", ")}: remove it first or choose another name`;
  throw new SternwayError("conflict", message, { bookmark });
}

/**
 * Gives each volume's moment one name. Durable when it resolves: the mark that says so lies behind the moment in its vault's log.
 * @throws why one could not be made; those made before it are removed again, or named in the message where that failed too
 */
export async function bookmarkAll(
  volumes: Volumes,
  { volumes: moments }: MachineMoment,
  bookmark: string,
  note: string,
): Promise<VolumeBookmark[]> {
  const made: VolumeBookmark[] = [];
  try {
    for (const { volume, moment } of moments) {
      const at = { kind: "lsn" as const, lsn: moment.lsn };
      made.push({ volume, bookmark: await volumes.bookmark(volume, bookmark, at, note) });
    }
    return made;
  } catch (error) {
    const names = made.map(({ volume }) => volume);
    const left = await undone(names, (volume) => volumes.removeBookmark(volume, bookmark));
    throw withLeftovers(error, left, `bookmark ${bookmark} remains on`);
  }
}

/** Removes a bookmark from all volumes that have it. @throws not_found: none has it; why one could not be removed */
export async function removeFromAll(volumes: Volumes, names: readonly string[], bookmark: string): Promise<void> {
  const having = names.filter((name) => volumes.bookmarks(name).some((each) => each.name === bookmark));
  if (having.length === 0) {
    throw new SternwayError("not_found", `none of ${names.join(", ")} has a bookmark ${bookmark}`, { bookmark });
  }
  for (const name of having) await volumes.removeBookmark(name, bookmark);
}

/** @throws invalid, conflict: a name cannot be one, or is taken; nothing was made */
export function branchNames(
  volumes: Volumes,
  members: readonly VolumeInfo[],
  { prefix = "", suffix = "" }: { prefix?: string | undefined; suffix?: string | undefined },
): Map<string, string> {
  const taken = new Set(volumes.list().map(({ name }) => name));
  const names = new Map(members.map(({ name }) => [name, prefix + name + suffix]));
  for (const name of names.values()) {
    if (!NAME.test(name)) {
      const rule = "1 to 64 letters, digits, dots, underscores and hyphens, beginning with a letter or digit";
      throw new SternwayError("invalid", `"${name}" is not a name: use ${rule}`);
    }
    if (taken.has(name)) throw new SternwayError("conflict", `there is a volume ${name} already`, { volume: name });
  }
  return names;
}

/** @param names - of the branches, by volume @throws why one could not be made; those made before it are deleted again */
export async function branchAll(
  volumes: Volumes,
  { volumes: moments }: MachineMoment,
  names: ReadonlyMap<string, string>,
): Promise<VolumeInfo[]> {
  const made: VolumeInfo[] = [];
  try {
    for (const { volume, moment } of moments) {
      const at = { kind: "lsn" as const, lsn: moment.lsn };
      made.push(await volumes.branch(volume, at, names.get(volume)!));
    }
    return made;
  } catch (error) {
    const left = await undone(
      made.map(({ name }) => name),
      (name) => volumes.delete(name),
    );
    throw withLeftovers(error, left, "these branches remain:");
  }
}

/** @throws conflict: clients are attached, and force was not asked for */
export function requireDetached(members: readonly VolumeInfo[], force: boolean): void {
  const attached = members.filter((info) => info.attached > 0);
  if (attached.length === 0 || force) return;
  const names = attached.map(({ name }) => name).join(", ");
  const message = `clients are attached to ${names}: detach them, or force it. Nothing was changed`;
  throw new SternwayError("conflict", message, { attached: attached.length });
}

/**
 * Sets the volumes back, one after the other, and stops at the first that fails: what is where then is in the answer.
 * @param before - where each was
 */
export async function rollbackAll(
  volumes: Volumes,
  to: MachineMoment,
  before: MachineMoment,
  force: boolean,
): Promise<VolumeRollback[]> {
  let hasFailed = false;
  const answers: VolumeRollback[] = [];
  for (const [i, { volume, vault, moment }] of to.volumes.entries()) {
    const answer: VolumeRollback = {
      volume,
      vault,
      state: "untouched",
      to: moment,
      undoLsn: before.volumes[i]!.moment.lsn,
    };
    answers.push(answer);
    if (hasFailed) continue;
    try {
      const done = await volumes.rollback(volume, { kind: "lsn", lsn: moment.lsn }, { force });
      answer.state = "rolled-back";
      answer.to = done.to;
    } catch (error) {
      hasFailed = true;
      answer.state = "failed";
      answer.error = errorText(error);
    }
  }
  return answers;
}

/** @returns those for which it failed, each with why */
async function undone(names: readonly string[], undo: (name: string) => Promise<void>): Promise<string[]> {
  const left: string[] = [];
  for (const name of names) {
    try {
      await undo(name);
    } catch (error) {
      left.push(`${name} (${errorText(error)})`);
    }
  }
  return left;
}

function withLeftovers(error: unknown, left: readonly string[], what: string): unknown {
  if (left.length === 0 || !(error instanceof SternwayError)) return error;
  return new SternwayError(error.kind, `${error.message}; ${what} ${left.join(", ")}`, error.facts, { cause: error });
}

export interface MachineBookmark {
  name: string;
  createdAt: Micros;
  isOne: boolean;
  volumes: VolumeBookmark[];
}

/** @param known - whether its volumes are at one moment; default: by their LSNs */
export function toMachineBookmark(
  name: string,
  found: readonly { info: VolumeInfo; bookmark: VolumeBookmark["bookmark"] }[],
  known?: boolean,
): MachineBookmark {
  const lsns = new Map<string, Set<number>>();
  for (const { info, bookmark } of found) {
    lsns.set(info.vault, (lsns.get(info.vault) ?? new Set()).add(bookmark.lsn));
  }
  const createdAt = found.reduce(
    (first, { bookmark }) => (bookmark.createdAt < first ? bookmark.createdAt : first),
    found[0]!.bookmark.createdAt,
  );
  return {
    name,
    createdAt,
    isOne: known ?? [...lsns.values()].every((each) => each.size === 1),
    volumes: found.map(({ info, bookmark }) => ({ volume: info.name, bookmark })),
  };
}
