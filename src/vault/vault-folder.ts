/** The folder of a vault: made, and told from one that has lost its manifests. */
import type { Disk } from "../base/disk.ts";
import { SternwayError } from "../base/errors.ts";
import { claimedSequenceOf } from "../journal/scan.ts";

/** Durable when it resolves; fine where it is there. */
export async function makeFolders(disk: Disk, dir: string): Promise<void> {
  // Folders above that are made on the way must be durable too, or a crash takes the whole vault with them.
  const made: string[] = [];
  for (let path = parentOf(dir); path !== "/" && path !== "."; path = parentOf(path)) {
    const parent = parentOf(path);
    if (!(await disk.list(parent)).includes(path.slice(path.lastIndexOf("/") + 1))) made.push(parent);
  }
  for (const name of ["journal", "packs", "layers", "chronicles", "manifest"]) await disk.mkdir(`${dir}/${name}`);
  for (const path of [dir, parentOf(dir), ...made]) await disk.syncDir(path);
}

/**
 * A vault without any manifest is a new one. One that has lost them must not be taken for that: what no manifest names is removed.
 * @throws corrupt: there are parts of one
 */
export async function assertEmpty(disk: Disk, dir: string): Promise<void> {
  for (const name of ["packs", "layers", "chronicles"]) {
    if ((await disk.list(`${dir}/${name}`)).length === 0) continue;
    throw new SternwayError(
      "corrupt",
      `the vault in ${dir} has ${name} and no manifest: restore its manifests from a copy`,
    );
  }
  // Nor one that was never sealed: its writer's first manifest was durable before its first group (law 7).
  for (const name of await disk.list(`${dir}/journal`)) {
    const file = await disk.open(`${dir}/journal/${name}`, "read");
    try {
      if ((await claimedSequenceOf(file)) === 0) continue;
    } finally {
      await file.close();
    }
    throw new SternwayError(
      "corrupt",
      `the vault in ${dir} has a journal and no manifest: restore its manifests from a copy`,
    );
  }
}

/** The folder above; `/` and `.` are their own. */
function parentOf(path: string): string {
  const at = path.lastIndexOf("/");
  return at > 0 ? path.slice(0, at) : at === 0 ? "/" : ".";
}
