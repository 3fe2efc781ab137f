/**
 * Two real root file systems of one Debian release, as ext4 images: what a small server and its sibling hold. The second has other
 * packages beside the common ones and its files were laid down in another order, so nothing lies where it lies in the first.
 *
 * Needs root (loop mounts) and mmdebstrap. Built once and kept: an image is named complete by a rename.
 */
import { existsSync, mkdirSync, mkdtempSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { seededRandom } from "../../src/base/random.ts";
import { runCommand } from "./process.ts";

const COMMON = [
  "linux-image-cloud-amd64",
  "systemd-sysv",
  "openssh-server",
  "python3",
  "perl",
  "gcc",
  "g++",
  "make",
  "git",
  "curl",
  "vim",
  "postgresql",
  "ca-certificates",
];
const MACHINES = [
  { name: "machine-1.ext4", extra: ["nginx", "default-jre-headless"], seed: 1 },
  { name: "machine-2.ext4", extra: ["apache2", "nodejs"], seed: 2 },
] as const;
const IMAGE_BYTES = 3 * 2 ** 30;

export interface SourceImages {
  /** Paths of the two images, equal in size. */
  paths: readonly [string, string];
  sizeBytes: number;
}

function shuffled(list: string[], seed: number): string[] {
  const random = seededRandom(seed);
  for (let i = list.length - 1; i > 0; i--) {
    const j = random.below(i + 1);
    [list[i], list[j]] = [list[j]!, list[i]!];
  }
  return list;
}

async function buildImage(path: string, extra: readonly string[], seed: number): Promise<void> {
  const scratch = mkdtempSync(`${path}.building-`);
  const tree = join(scratch, "tree");
  const mountPoint = join(scratch, "mount");
  const image = join(scratch, "image");
  mkdirSync(mountPoint);
  try {
    const sources = ["/etc/apt/sources.list", "/etc/apt/sources.list.d/debian.sources"].filter((file) =>
      existsSync(file),
    );
    const settings = (await runCommand(["apt-config", "dump", "Acquire"])).stdout.split("\n");
    const options = join(scratch, "apt.conf");
    writeFileSync(
      options,
      `${settings.filter((line) => /^Acquire::(https?|ftp|Check-|Retries)[^ ]* "/.test(line)).join("\n")}\n`,
    );
    const include = [...COMMON, ...extra].join(",");
    await runCommand([
      "mmdebstrap",
      "--mode=root",
      "--variant=minbase",
      `--include=${include}`,
      `--aptopt=${options}`,
      "bookworm",
      tree,
      ...sources,
    ]);
    const names = (await runCommand(["find", tree, "-mindepth", "1", "-printf", "%P\\0"])).stdout
      .split("\0")
      .filter(Boolean);
    const archive = join(scratch, "archive.tar");
    await archiveShuffled(tree, names, seed, scratch, archive);
    await layDown(archive, image, mountPoint);
    renameSync(image, path);
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
}

async function archiveShuffled(
  tree: string,
  names: string[],
  seed: number,
  scratch: string,
  archive: string,
): Promise<void> {
  const list = join(scratch, "names");
  writeFileSync(list, shuffled(names, seed).join("\0"));
  await runCommand(["tar", "-C", tree, "--null", "--no-recursion", "-T", list, "-cf", archive]);
}

async function layDown(archive: string, image: string, mountPoint: string): Promise<void> {
  await runCommand(["truncate", "-s", String(IMAGE_BYTES), image]);
  await runCommand(["mkfs.ext4", "-q", "-F", image]);
  await runCommand(["mount", "-o", "loop", image, mountPoint]);
  try {
    await runCommand(["tar", "-C", mountPoint, "--delay-directory-restore", "-xf", archive]);
  } finally {
    await runCommand(["umount", mountPoint]);
  }
}

/** The files of the second machine once more, laid down in a third order. @returns its path */
export async function thirdImage(folder: string, say: (text: string) => void): Promise<string> {
  const path = join(folder, "machine-3.ext4");
  if (existsSync(path)) return path;
  say("laying down machine-3.ext4, once");
  const scratch = mkdtempSync(`${path}.building-`);
  const mountPoint = join(scratch, "mount");
  const archive = join(scratch, "archive.tar");
  mkdirSync(mountPoint);
  try {
    await runCommand(["mount", "-o", "loop,ro", join(folder, MACHINES[1].name), mountPoint]);
    try {
      const found = await runCommand(["find", mountPoint, "-mindepth", "1", "-printf", "%P\\0"]);
      await archiveShuffled(mountPoint, found.stdout.split("\0").filter(Boolean), 3, scratch, archive);
    } finally {
      await runCommand(["umount", mountPoint]);
    }
    await layDown(archive, join(scratch, "image"), mountPoint);
    renameSync(join(scratch, "image"), path);
    return path;
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
}

/** @throws Error where root or mmdebstrap is missing, with what to do */
export async function sourceImages(folder: string, say: (text: string) => void): Promise<SourceImages> {
  mkdirSync(folder, { recursive: true });
  const paths: string[] = [];
  for (const machine of MACHINES) {
    const path = join(folder, machine.name);
    if (!existsSync(path)) {
      if (process.getuid?.() !== 0 || Bun.which("mmdebstrap") === null) {
        throw new Error(
          "building the Debian images needs root and mmdebstrap; run as root, or leave the ingest part out with --only nbd,moments",
        );
      }
      say(`building ${machine.name}, once`);
      await buildImage(path, machine.extra, machine.seed);
    }
    paths.push(path);
  }
  return { paths: [paths[0]!, paths[1]!], sizeBytes: IMAGE_BYTES };
}
