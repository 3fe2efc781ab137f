/**
 * The contenders that take in whole images and give them back: Sternway, and the tools people back images up with.
 * None encrypts where it has the choice (restic has none). All run with what their manuals give as the default, borg with the
 * compression that is nearest to the others'.
 */
import { join } from "node:path";
import { sternway, startSternway, type BlockServer } from "./block-servers.ts";
import { diskUse, runCommand, settle } from "./process.ts";

export interface ImageKeeper {
  name: string;
  needs: readonly string[];
  /** Whether it gives back the space of what is forgotten: {@link OpenKeeper.forget} is there. */
  prunes: boolean;
  /** @param folder - its own, existing and empty */
  open(folder: string): Promise<OpenKeeper>;
}

export interface OpenKeeper {
  /** Takes an image in; the measured part. */
  ingest(image: string, name: string): Promise<void>;
  /** Gives it back as a raw file at `target`; the measured part. */
  restore(name: string, target: string): Promise<void>;
  /** The same, and reads the target back to compare; only where the tool does that. */
  restoreVerified?(name: string, target: string): Promise<void>;
  /** Deletes an image and gives its space back; the measured part. */
  forget?(name: string): Promise<void>;
  /** Waits for work behind the answers, where there is any. */
  finish(): Promise<void>;
  /** What it keeps, in bytes on disk, once finished. */
  storedBytes(): Promise<number>;
  close(): Promise<void>;
}

const nothing = (): Promise<void> => Promise.resolve();

const restic: ImageKeeper = {
  name: "restic",
  needs: ["restic"],
  prunes: true,
  async open(folder) {
    const repository = join(folder, "repository");
    const env = {
      RESTIC_PASSWORD: "benchmark",
      RESTIC_REPOSITORY: repository,
      RESTIC_CACHE_DIR: join(folder, "cache"),
    };
    await runCommand(["restic", "init"], env);
    const images = new Map<string, string>();
    return {
      async ingest(image, name) {
        images.set(name, image);
        await runCommand(["restic", "backup", "--quiet", "--tag", name, image], env);
      },
      async restore(name, target) {
        await runCommand(
          ["sh", "-c", 'exec restic dump --tag "$1" latest "$2" > "$3"', "sh", name, images.get(name)!, target],
          env,
        );
      },
      async forget(name) {
        const { stdout } = await runCommand(["restic", "snapshots", "--json", "--tag", name], env);
        const ids = (JSON.parse(stdout) as { id: string }[]).map(({ id }) => id);
        await runCommand(["restic", "forget", "--prune", "--max-unused", "0", ...ids], env);
      },
      finish: nothing,
      storedBytes: () => diskUse(repository),
      close: nothing,
    };
  },
};

const borg: ImageKeeper = {
  name: "borg zstd,1",
  needs: ["borg"],
  prunes: true,
  async open(folder) {
    const repository = join(folder, "repository");
    const env = { BORG_BASE_DIR: join(folder, "base"), BORG_UNKNOWN_UNENCRYPTED_REPO_ACCESS_IS_OK: "yes" };
    await runCommand(["borg", "init", "--encryption=none", repository], env);
    const images = new Map<string, string>();
    return {
      async ingest(image, name) {
        images.set(name, image);
        await runCommand(["borg", "create", "--compression", "zstd,1", `${repository}::${name}`, image], env);
      },
      async restore(name, target) {
        const path = images.get(name)!.replace(/^\//, "");
        await runCommand(
          ["sh", "-c", 'exec borg extract --stdout "$1" "$2" > "$3"', "sh", `${repository}::${name}`, path, target],
          env,
        );
      },
      async forget(name) {
        await runCommand(["borg", "delete", `${repository}::${name}`], env);
        await runCommand(["borg", "compact", "--threshold", "0", repository], env);
      },
      finish: nothing,
      storedBytes: () => diskUse(repository),
      close: nothing,
    };
  },
};

const qemuImg: ImageKeeper = {
  name: "qemu-img zstd",
  needs: ["qemu-img"],
  prunes: false,
  open(folder) {
    const path = (name: string): string => join(folder, `${name}.qcow2`);
    return Promise.resolve({
      async ingest(image, name) {
        await runCommand([
          "qemu-img",
          "convert",
          "-c",
          "-f",
          "raw",
          "-O",
          "qcow2",
          "-o",
          "compression_type=zstd",
          image,
          path(name),
        ]);
      },
      async restore(name, target) {
        await runCommand(["qemu-img", "convert", "-O", "raw", path(name), target]);
      },
      finish: nothing,
      storedBytes: () => diskUse(folder),
      close: nothing,
    });
  },
};

const sternwayKeeper: ImageKeeper = {
  name: "sternway",
  needs: [],
  prunes: true,
  async open(folder) {
    const server: BlockServer = await startSternway(folder);
    return {
      async ingest(image, name) {
        await runCommand(sternway(server.folder, "import", image, name));
      },
      async restore(name, target) {
        // Like the others, without reading the target back; that is what "verified" measures.
        await runCommand(sternway(server.folder, "restore", name, "--to", target, "--no-verify"));
      },
      async restoreVerified(name, target) {
        await runCommand(sternway(server.folder, "restore", name, "--to", target));
      },
      async forget(name) {
        await runCommand(sternway(server.folder, "volume", "delete", name, "--force"));
        await runCommand(sternway(server.folder, "gc", "run"));
      },
      async finish() {
        await settle(server.pid, 600);
      },
      storedBytes: () => keptBytes(server.folder),
      close: () => server.stop(),
    };
  },
};

/**
 * Everything on disk but the journal's files, which are written once in advance and recycled, plus the part of them that still
 * waits to be sealed.
 */
async function keptBytes(data: string): Promise<number> {
  const { stdout } = await runCommand(["du", "-s", "-B1", "--exclude=journal", data]);
  const status = await runCommand(sternway(data, "status", "--json"));
  const { vaults } = JSON.parse(status.stdout) as {
    vaults: { status?: { lastLsn: number; sealedLsn: number; journalUsedBytes: number } }[];
  };
  const waiting = vaults.map(({ status: vault }) =>
    vault && vault.sealedLsn < vault.lastLsn ? vault.journalUsedBytes : 0,
  );
  return Number(stdout.split("\t")[0]) + waiting.reduce((sum, bytes) => sum + bytes, 0);
}

export const IMAGE_KEEPERS: readonly ImageKeeper[] = [sternwayKeeper, restic, borg, qemuImg];
