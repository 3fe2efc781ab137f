/**
 * DATA/scripts: executables that an administrator placed there to run around bookmarks. They run as the daemon's user, so whoever could write to one
 * would be that user: each must belong to root or to the daemon's user and be writable by its owner alone, and so must the folder.
 *
 * A script is opened once, judged by that descriptor, and run from that descriptor: what is put in its place meanwhile is not what runs. Symbolic
 * links are refused, for what they point to is nobody's who looks into the folder.
 */
import * as fs from "node:fs";
import { SternwayError } from "../base/errors.ts";
import type { WireScriptList } from "../contract/scripts.ts";

const { O_RDONLY, O_NOFOLLOW, O_NONBLOCK, O_DIRECTORY } = fs.constants;
const NAME = /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/;
/** A folder with more entries than this holds something else. */
const ENTRIES_MAX = 500;

/** A script that was found fit, open. Close it when its last run has been started. */
export interface OpenScript extends Disposable {
  readonly name: string;
  readonly fd: number;
}

export interface ScriptFolderOptions {
  dir: string;
  /** Whose scripts are run beside root's; default: the user of this process. */
  user?: number;
}

export class ScriptFolder {
  readonly dir: string;
  private readonly user: number;

  constructor({ dir, user }: ScriptFolderOptions) {
    this.dir = dir;
    this.user = user ?? process.geteuid?.() ?? 0;
  }

  /** Makes the folder where it is missing, for its owner alone. @throws unavailable: it cannot be made */
  prepare(): void {
    try {
      fs.mkdirSync(this.dir, { recursive: true, mode: 0o700 });
    } catch (cause) {
      throw unusable(`the folder for scripts ${this.dir} cannot be made`, cause);
    }
  }

  /** All entries by name, each with whether it would be run. */
  list(): WireScriptList {
    let names: string[];
    try {
      using folder = this.openFolder();
      names = fs.readdirSync(`/proc/self/fd/${folder.fd}`).sort().slice(0, ENTRIES_MAX);
    } catch (error) {
      return { folder: this.dir, scripts: [], reason: reasonOf(error) };
    }
    return { folder: this.dir, scripts: names.map((name) => this.describe(name)) };
  }

  /**
   * Opens one to run it.
   * @throws not_found: there is none of this name; denied: it or the folder is not fit to be run, and why
   */
  open(name: string): OpenScript {
    using folder = this.openFolder();
    const fd = openBelow(folder.fd, name);
    try {
      const unfit = this.unfitness(fs.fstatSync(fd), name);
      if (unfit !== undefined)
        throw new SternwayError("denied", `script ${name} is not run: ${unfit}`, { script: name });
    } catch (error) {
      fs.closeSync(fd);
      throw error;
    }
    return owned(name, fd);
  }

  private describe(name: string): WireScriptList["scripts"][number] {
    try {
      using folder = this.openFolder();
      using script = owned(name, openBelow(folder.fd, name));
      const stats = fs.fstatSync(script.fd);
      const unfit = this.unfitness(stats, name);
      return {
        name,
        owner: stats.uid,
        mode: (stats.mode & 0o7777).toString(8).padStart(4, "0"),
        sizeBytes: stats.size,
        fit: unfit === undefined,
        ...(unfit === undefined ? {} : { reason: unfit }),
      };
    } catch (error) {
      return { name, fit: false, reason: reasonOf(error) };
    }
  }

  private openFolder(): OpenScript {
    let fd: number;
    try {
      fd = fs.openSync(this.dir, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
    } catch (cause) {
      throw unusable(`the folder for scripts ${this.dir} cannot be opened`, cause);
    }
    const folder = owned(this.dir, fd);
    try {
      const reason = this.ownership(fs.fstatSync(fd));
      if (reason === undefined) return folder;
      throw new SternwayError("denied", `no script is run: the folder ${this.dir} ${reason}`, { folder: this.dir });
    } catch (error) {
      folder[Symbol.dispose]();
      throw error;
    }
  }

  /** Why a script must not be run, with what to do about it. */
  private unfitness(stats: fs.Stats, name: string): string | undefined {
    if (!stats.isFile()) return "it is not a file";
    const ownership = this.ownership(stats);
    if (ownership !== undefined) return `it ${ownership}`;
    // Root may run what anybody may; others, here, what they own or what is for everybody.
    const mask = this.user === 0 ? 0o111 : stats.uid === this.user ? 0o100 : 0o001;
    if ((stats.mode & mask) === 0) return `it is not executable: chmod u+x ${name}`;
    return undefined;
  }

  private ownership({ uid, mode }: fs.Stats): string | undefined {
    if (uid !== 0 && uid !== this.user) {
      return `belongs to user ${uid}: it must belong to root or to the user of the daemon (${this.user})`;
    }
    if ((mode & 0o022) !== 0) return "can be written to by others than its owner: chmod go-w";
    return undefined;
  }
}

function owned(name: string, fd: number): OpenScript {
  let isOpen = true;
  return {
    name,
    fd,
    [Symbol.dispose]() {
      if (isOpen) fs.closeSync(fd);
      isOpen = false;
    },
  };
}

/** Opens an entry of a folder that is open, whatever has become of its path. */
function openBelow(folder: number, name: string): number {
  if (!NAME.test(name)) {
    const rule = "1 to 64 letters, digits, dots, underscores and hyphens, beginning with a letter or digit";
    throw new SternwayError("denied", `"${name}" is not a script's name: use ${rule}`);
  }
  try {
    // A pipe would keep us waiting for somebody who writes to it.
    return fs.openSync(`/proc/self/fd/${folder}/${name}`, O_RDONLY | O_NOFOLLOW | O_NONBLOCK);
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException;
    if (code === "ENOENT") throw new SternwayError("not_found", `there is no script ${name}`, { script: name });
    if (code === "ELOOP") {
      const message = `script ${name} is not run: it is a symbolic link; place the file itself`;
      throw new SternwayError("denied", message, { script: name }, { cause });
    }
    throw unusable(`script ${name} cannot be opened`, cause);
  }
}

function unusable(message: string, cause: unknown): SternwayError {
  const { code = "unknown" } = cause as NodeJS.ErrnoException;
  return new SternwayError("unavailable", `${message} (${code})`, { code }, { cause });
}

const reasonOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));
