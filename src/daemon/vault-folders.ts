/**
 * The folders of an appliance's vaults: `DATA/vaults/NAME/`, one each. A vault is what its folder says; there is no other list that
 * could disagree. A folder may be a mount point or a symbolic link, so that a vault can lie on a disk of its own.
 *
 * Making one is marked by a file `making` in its folder, which goes when the vault is whole. After a crash in between the
 * folder still has it and no `vault.json`: it is removed. Deleting one goes the same way back. Without the mark a folder without `vault.json` is never touched: it is
 * the mount point of a disk that is not there.
 */
import {
  closeSync,
  fsyncSync,
  lstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { SternwayError } from "../base/errors.ts";
import type { Log } from "../observe/log.ts";

const NAME = /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/;
const MARK = "making";
/** A new file system's own folder does not make a mount point a used one. */
const EMPTY_HOLDS = new Set(["lost+found", MARK]);

/** A vault's name becomes a folder's: nothing that leads elsewhere. @throws invalid */
export function checkVaultName(name: string): void {
  if (NAME.test(name)) return;
  const rule = "1 to 64 of a-z A-Z 0-9 . _ -, starting with a letter or digit";
  throw new SternwayError("invalid", `"${name}" is not a name for a vault: use ${rule}`);
}

/** Names of the vaults in `DATA/vaults`, sorted; those of unfinished ones are not among them. Reads only. */
export function vaultNames(vaultsDir: string): string[] {
  const names = listed(vaultsDir).filter((name) => NAME.test(name) && isFolder(join(vaultsDir, name)));
  return names.filter((name) => !isUnfinished(join(vaultsDir, name))).sort();
}

/** The vault's folder holds one, as far as can be seen without opening it. */
export function holdsVault(dir: string): boolean {
  return lstatSync(join(dir, "vault.json"), { throwIfNoEntry: false }) !== undefined;
}

/** Brings the folder in order at a start: an older layout's `DATA/vault` is moved, unfinished vaults are removed. @throws unavailable */
export function settleVaultFolders(dataDir: string, vaultsDir: string, log: Log): void {
  attempt(vaultsDir, () => {
    mkdirSync(vaultsDir, { recursive: true, mode: 0o700 });
    const old = join(dataDir, "vault");
    const target = join(vaultsDir, "default");
    if (holdsVault(old) && lstatSync(target, { throwIfNoEntry: false }) === undefined) {
      renameSync(old, target);
      syncFolder(vaultsDir);
      syncFolder(dataDir);
      log.info({ from: old, to: target }, "the vault was moved to its place among several vaults");
    }
    for (const name of listed(vaultsDir)) {
      const dir = join(vaultsDir, name);
      if (!NAME.test(name) || !isFolder(dir)) continue;
      if (isUnfinished(dir)) {
        removeContents(dir);
        log.warn({ dir }, "a vault that was being made when the appliance ended was removed");
      } else if (holdsVault(dir)) finishVaultFolder(dir);
    }
    syncFolder(vaultsDir);
  });
}

/** Makes the folder of a new vault, or takes an empty one. @throws conflict: it holds something; unavailable */
export function beginVaultFolder(vaultsDir: string, name: string): string {
  checkVaultName(name);
  const dir = join(vaultsDir, name);
  return attempt(dir, () => {
    mkdirSync(dir, { recursive: true, mode: 0o700 });
    const inside = listed(dir).filter((each) => !EMPTY_HOLDS.has(each));
    if (inside.length > 0) {
      throw new SternwayError(
        "conflict",
        `${dir} holds other things (${inside.slice(0, 3).join(", ")}): empty it first`,
      );
    }
    writeFileSync(join(dir, MARK), "");
    syncFolder(dir);
    syncFolder(vaultsDir);
    return dir;
  });
}

/** Removes a whole vault. A crash before its identity is gone leaves it whole; after that, the next start removes the rest. @throws unavailable */
export function removeVaultFolder(dir: string): void {
  attempt(dir, () => {
    writeFileSync(join(dir, MARK), "");
    syncFolder(dir);
    // First of all: with it goes every wrapped key, and nothing else in the folder can be read again.
    rmSync(join(dir, "vault.json"));
    syncFolder(dir);
    removeContents(dir);
  });
}

/** The vault in it is whole. */
export function finishVaultFolder(dir: string): void {
  rmSync(join(dir, MARK), { force: true });
  syncFolder(dir);
}

/** Takes back a vault that could not be made. */
export function abandonVaultFolder(dir: string): void {
  if (isUnfinished(dir)) removeContents(dir);
}

function isUnfinished(dir: string): boolean {
  return lstatSync(join(dir, MARK), { throwIfNoEntry: false }) !== undefined && !holdsVault(dir);
}

/** The mark goes last, so that a second crash finds it; a mount point stays. */
function removeContents(dir: string): void {
  for (const name of listed(dir)) if (!EMPTY_HOLDS.has(name)) rmSync(join(dir, name), { recursive: true, force: true });
  if (listed(dir).includes("lost+found") || lstatSync(dir).isSymbolicLink() || isMountPoint(dir)) {
    rmSync(join(dir, MARK), { force: true });
  } else rmSync(dir, { recursive: true, force: true });
}

const isMountPoint = (dir: string): boolean => statSync(dir).dev !== statSync(join(dir, "..")).dev;

/** A link to a disk that is away is the folder of a vault that is missing. */
function isFolder(path: string): boolean {
  const own = lstatSync(path, { throwIfNoEntry: false });
  return own?.isDirectory() === true || own?.isSymbolicLink() === true;
}

function listed(dir: string): string[] {
  return statSync(dir, { throwIfNoEntry: false })?.isDirectory() === true ? readdirSync(dir) : [];
}

function syncFolder(dir: string): void {
  const fd = openSync(dir, "r");
  try {
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
}

function attempt<Result>(dir: string, work: () => Result): Result {
  try {
    return work();
  } catch (cause) {
    if (cause instanceof SternwayError) throw cause;
    const { code = "unknown", message } = cause as NodeJS.ErrnoException;
    throw new SternwayError("unavailable", `${dir} cannot be used: ${message}`, { path: dir, code }, { cause });
  }
}
