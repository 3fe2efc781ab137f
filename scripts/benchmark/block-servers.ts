/**
 * The contenders that serve a writable disk over NBD on a unix socket: Sternway, and the peers that keep only the present.
 * All of them keep their data in a folder on the same file system, and a FLUSH reaches its disk.
 */
import { existsSync, mkdirSync } from "node:fs";
import { join, resolve } from "node:path";
import { runCommand, startServer, stopServer } from "./process.ts";

export interface BlockServer {
  contender: string;
  pid: number;
  socketPath: string;
  exportName: string;
  /** Where it keeps its data, for size. */
  folder: string;
  stop(): Promise<void>;
}

export interface BlockContender {
  name: string;
  /** Programs that must be on PATH. */
  needs: readonly string[];
  /** @param folder - its own, existing and empty or holding what it left there */
  start(folder: string, sizeBytes: number): Promise<BlockServer>;
}

const ROOT = resolve(import.meta.dir, "../..");
const ENTRY = resolve(ROOT, "src/daemon/main.ts");
const VOLUME = "disk";

/** A command line of Sternway's own CLI, against the daemon that serves `dataFolder`. */
export const sternway = (dataFolder: string, ...rest: string[]): string[] => [
  process.execPath,
  ENTRY,
  ...rest,
  "--data",
  dataFolder,
];

function served(
  contender: string,
  folder: string,
  exportName: string,
  child: Bun.Subprocess,
  socketPath: string,
): BlockServer {
  return { contender, pid: child.pid, socketPath, exportName, folder, stop: () => stopServer(child) };
}

function qemuNbd(name: string, format: "raw" | "qcow2"): BlockContender {
  return {
    name,
    needs: ["qemu-nbd", "qemu-img"],
    async start(folder, sizeBytes) {
      const image = join(folder, `disk.${format}`);
      const socketPath = join(folder, "nbd.sock");
      if (!existsSync(image)) await runCommand(["qemu-img", "create", "-q", "-f", format, image, String(sizeBytes)]);
      // writeback: plain writes may stay in the page cache, FLUSH syncs the file.
      const child = await startServer(
        ["qemu-nbd", "-f", format, "--cache=writeback", "-e", "16", "-t", "-x", VOLUME, "-k", socketPath, image],
        () => existsSync(socketPath),
      );
      return served(name, folder, VOLUME, child, socketPath);
    },
  };
}

const nbdkitFile: BlockContender = {
  name: "nbdkit file",
  needs: ["nbdkit"],
  async start(folder, sizeBytes) {
    const image = join(folder, "disk.raw");
    const socketPath = join(folder, "nbd.sock");
    if (!existsSync(image)) await runCommand(["truncate", "-s", String(sizeBytes), image]);
    const child = await startServer(["nbdkit", "-f", "-U", socketPath, "file", image], () => existsSync(socketPath));
    return served("nbdkit file", folder, "", child, socketPath);
  },
};

/** Starts the daemon on `folder`; volumes are the caller's business. */
export async function startSternway(folder: string): Promise<BlockServer> {
  const data = join(folder, "data");
  mkdirSync(data, { recursive: true });
  const socketPath = join(folder, "nbd.sock");
  const child = await startServer(
    sternway(data, "serve", "--http", "off", "--log-level", "warn", "--nbd", `unix:${socketPath}`),
    () => existsSync(socketPath) && existsSync(join(data, "control.sock")),
  );
  return served("sternway", data, VOLUME, child, socketPath);
}

const sternwayServe: BlockContender = {
  name: "sternway",
  needs: [],
  async start(folder, sizeBytes) {
    const isNew = !existsSync(join(folder, "data"));
    const server = await startSternway(folder);
    if (isNew) await runCommand(sternway(server.folder, "volume", "create", VOLUME, String(sizeBytes)));
    return server;
  },
};

export const BLOCK_CONTENDERS: readonly BlockContender[] = [
  sternwayServe,
  qemuNbd("qemu-nbd qcow2", "qcow2"),
  qemuNbd("qemu-nbd raw", "raw"),
  nbdkitFile,
];

/** False for ours while the daemon is not there, and for peers that are not installed. */
export function isAvailable(contender: { name: string; needs: readonly string[] }): boolean {
  if (contender.name === "sternway") return existsSync(ENTRY);
  return contender.needs.every((program) => Bun.which(program) !== null);
}
