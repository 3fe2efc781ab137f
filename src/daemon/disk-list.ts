/** What `/v1/disks` answers: the machine's disks, and the file systems that hold the data folder and each vault. */
import { realpathSync } from "node:fs";
import { readFile } from "node:fs/promises";
import type { DiskList } from "../contract/contract.ts";
import { readDiskUsage } from "./disk-usage.ts";
import { describeMount, mountHolding, parseMountInfo, readBlockDevices } from "./inventory.ts";
import type { VaultSpaces } from "./vault-space.ts";

/** Never rejects for what a machine hides: that is left out and named in `warnings`. */
export async function listDisks(options: {
  dataDir: string;
  vaults: readonly { vault: string; dir: string }[];
  reserveBytes: number;
  spaces: VaultSpaces;
}): Promise<DiskList> {
  const { dataDir, reserveBytes, spaces } = options;
  const warnings: string[] = [];
  const answer = await readDiskUsage();
  if (answer.error !== undefined) warnings.push(`how full file systems are is not known: ${answer.error}`);
  if (answer.complaint) warnings.push(`how full some file systems are is not known: ${answer.complaint}`);
  const usages = answer.usages ?? [];
  const mounts = parseMountInfo(await readFile("/proc/self/mountinfo", "utf8").catch(() => ""));
  const disks = await readBlockDevices("/sys", mounts, usages).catch((error: Error) => {
    warnings.push(`disks could not be listed: ${error.message}`);
    return [];
  });
  const holding = (dir: string) => {
    const mount = mountHolding(realPath(dir), mounts);
    const held = mount ? describeMount(mount, usages) : { path: "/", fsType: "unknown" };
    const space = spaces.of(dir);
    // Ours is fresher, and does not depend on df.
    const sizes = space === undefined ? {} : { sizeBytes: space.totalBytes, freeBytes: space.freeBytes };
    return { ...held, ...sizes, low: spaces.levelOf(dir) !== "enough" };
  };
  return {
    disks,
    store: { ...holding(dataDir), dataDir, reserveBytes },
    vaults: options.vaults.map(({ vault, dir }) => ({ ...holding(dir), vault, dir })),
    warnings,
  };
}

/** A vault's folder may be a link to another disk; to one that is away it stays what it is. */
function realPath(path: string): string {
  try {
    return realpathSync(path);
  } catch {
    // Missing or unreachable: the mount that holds the link itself is the best answer.
    return path;
  }
}
