/** The place of the block door for other users of the machine: whoever connects there must be sure to reach the appliance. */
import { chmodSync, mkdirSync, statSync, type Stats } from "node:fs";
import { dirname } from "node:path";
import { systemError } from "../base/descriptor.ts";
import { SternwayError } from "../base/errors.ts";

/** Others enter and list; only the daemon's user puts sockets there. As systemd's RuntimeDirectory. */
const FOLDER_MODE = 0o755;
const OTHERS_WRITE = 0o022;

/**
 * Makes the folder of a socket if it is not there, which below /run is so after each start of the machine.
 * @throws invalid: others could put a socket of their own in its place, or it is no folder; not_found, denied, unavailable: it cannot be made
 */
export function prepareSocketFolder(socketPath: string): void {
  const folder = dirname(socketPath);
  const stats = lookAt(folder) ?? make(folder);
  if (!stats.isDirectory()) throw new SternwayError("invalid", `nbd.localSocket: ${folder} is not a folder`);
  // In a folder with the sticky bit nobody removes our socket, but anybody can be there first.
  const isOurs = stats.uid === 0 || stats.uid === process.getuid?.();
  if (!isOurs || (stats.mode & OTHERS_WRITE) !== 0) {
    throw new SternwayError(
      "invalid",
      `nbd.localSocket: others can write to ${folder}, and could put a socket of their own there: name a folder such as /run/sternway`,
      { folder },
    );
  }
}

function lookAt(folder: string): Stats | undefined {
  try {
    return statSync(folder, { throwIfNoEntry: false });
  } catch (error) {
    throw systemError(error, `nbd.localSocket: the folder ${folder} cannot be looked at`);
  }
}

function make(folder: string): Stats {
  try {
    mkdirSync(folder, { mode: FOLDER_MODE });
    // Whatever the umask says.
    chmodSync(folder, FOLDER_MODE);
    return statSync(folder);
  } catch (error) {
    throw systemError(
      error,
      `nbd.localSocket: the folder ${folder} cannot be made (under systemd set RuntimeDirectory=sternway and use /run/sternway)`,
    );
  }
}
