/**
 * The data folder of one appliance:
 *
 *     lock           held while the daemon runs
 *     config.json    optional, written by people
 *     catalog.db     accounts, what people set up, jobs, events; losable
 *     audit/         who did what, as a signed chain (audit/audit.ts)
 *     authority.pem  the appliance's own authority (own-authority.ts)
 *     vaults/NAME/   journal, packs, layers, manifests of each vault: the truth (vault-folders.ts)
 *     vaults.json    which volumes closed vaults hold; losable (known-volumes.ts)
 *     received/NAME/ what is kept for other appliances, with received.json and peer.pem (received.ts)
 *     scripts/       executables that an administrator placed there, run around bookmarks (automation/script-folder.ts)
 *     control.sock   the API for the CLI, 0600
 *     nbd.sock       blocks for local clients, 0600
 *
 * It is ours alone: 0700, and a folder that holds other things is refused rather than made private.
 */
import { chmodSync, lstatSync, mkdirSync, readdirSync, statSync, unlinkSync } from "node:fs";
import { connect } from "node:net";
import { resolve } from "node:path";
import { lockFile, type FileLock } from "../base/file-lock.ts";
import { SternwayError } from "../base/errors.ts";

export interface DataDir {
  path: string;
  /** Made when it is opened. */
  vaultsDir: string;
  knownVolumesPath: string;
  /** Made when it is first needed. */
  scriptsDir: string;
  controlSocket: string;
  nbdSocket: string;
  lock: FileLock;
}

/** What may lie in a folder that we have not used before: a fresh file system's own, and what people prepare. */
const FOREIGN_ALLOWED = new Set(["lost+found", "config.json", "scripts"]);
/** A process that listens answers at once; a hung one counts as answering. */
const ANSWER_WAIT_MS = 1_000;
/** sun_path holds 108 bytes with the final zero (unix(7)). */
const SOCKET_PATH_BYTES_MAX = 107;

/** The paths of a data folder, without touching it. */
export function dataPaths(dataDir: string): Omit<DataDir, "lock"> {
  const path = resolve(dataDir);
  return {
    path,
    vaultsDir: `${path}/vaults`,
    knownVolumesPath: `${path}/vaults.json`,
    scriptsDir: `${path}/scripts`,
    controlSocket: `${path}/control.sock`,
    nbdSocket: `${path}/nbd.sock`,
  };
}

/**
 * Makes or takes over a data folder, and locks it.
 * @throws invalid: its path is too long for sockets; conflict: another daemon runs on it, or it holds other things;
 *   unavailable: it cannot be made or used
 */
export function openDataDir(dataDir: string): DataDir {
  const paths = dataPaths(dataDir);
  const socketBytes = Buffer.byteLength(paths.controlSocket);
  if (socketBytes > SOCKET_PATH_BYTES_MAX) {
    throw new SternwayError(
      "invalid",
      `${paths.path} is too long: the socket in it would have a path of ${socketBytes} bytes, and the kernel takes ${SOCKET_PATH_BYTES_MAX}`,
      { path: paths.path, socketBytes, socketBytesMax: SOCKET_PATH_BYTES_MAX },
    );
  }
  try {
    mkdirSync(paths.path, { recursive: true, mode: 0o700 });
    const names = readdirSync(paths.path);
    const foreign = names.includes("lock") ? [] : names.filter((name) => !FOREIGN_ALLOWED.has(name));
    if (foreign.length > 0) {
      const shown = foreign.slice(0, 3).join(", ");
      throw new SternwayError(
        "conflict",
        `${paths.path} holds other things (${shown}): name an empty folder, or one that does not exist yet`,
        { path: paths.path },
      );
    }
    const lock = lockFile(`${paths.path}/lock`);
    try {
      if ((statSync(paths.path).mode & 0o077) !== 0) chmodSync(paths.path, 0o700);
      mkdirSync(paths.vaultsDir, { recursive: true, mode: 0o700 });
    } catch (error) {
      lock.release();
      throw error;
    }
    return { ...paths, lock };
  } catch (cause) {
    if (cause instanceof SternwayError) throw cause;
    const { code = "unknown", message } = cause as NodeJS.ErrnoException;
    throw new SternwayError(
      "unavailable",
      `the data folder ${paths.path} cannot be used: ${message}`,
      { path: paths.path, code },
      { cause },
    );
  }
}

/**
 * Removes the socket file that a killed process left, so that the path can be listened on again.
 * @throws conflict: somebody answers there, or it is not a socket
 */
export async function clearStaleSocket(path: string): Promise<void> {
  const stats = lstatSync(path, { throwIfNoEntry: false });
  if (!stats) return;
  if (!stats.isSocket()) throw new SternwayError("conflict", `${path} exists and is not a socket`, { path });
  if (await answers(path)) {
    throw new SternwayError("conflict", `another process listens on ${path}`, { path });
  }
  unlinkSync(path);
}

function answers(path: string): Promise<boolean> {
  return new Promise((done) => {
    const socket = connect(path);
    const finish = (answer: boolean): void => {
      clearTimeout(timer);
      socket.removeAllListeners("connect");
      socket.destroy();
      done(answer);
    };
    const timer = setTimeout(() => finish(true), ANSWER_WAIT_MS);
    socket.once("connect", () => finish(true));
    // Only a refusal proves that nobody holds it; another error (no permission, a full queue) does not.
    socket.on("error", (error: NodeJS.ErrnoException) => finish(error.code !== "ECONNREFUSED"));
  });
}
