/**
 * A real file system that is served by a process, so that it can hang, die, vanish and come back: ext4 in a file, by fuse2fs. Needs root.
 *
 * While it is stalled nothing in the calling process may touch it: a thread that does is gone until it is resumed.
 */
import { mkdirSync, readFileSync, truncateSync, writeFileSync } from "node:fs";
import { succeed } from "./daemon-process.ts";

export const FUSE_TOOLS = ["root", "fuse2fs", "mkfs.ext4", "umount"] as const;

const ATTEMPTS_MAX = 2000;

export class FuseMount implements AsyncDisposable {
  readonly dir: string;
  private readonly image: string;
  private server: Bun.Subprocess<"ignore", "ignore", "ignore"> | undefined;

  private constructor(image: string, dir: string) {
    this.image = image;
    this.dir = dir;
  }

  /** Makes an empty file system in a new file, and mounts it at a new folder. */
  static async make(image: string, dir: string, sizeBytes: number): Promise<FuseMount> {
    writeFileSync(image, "");
    truncateSync(image, sizeBytes);
    await succeed(["mkfs.ext4", "-q", "-F", image]);
    mkdirSync(dir);
    const made = new FuseMount(image, dir);
    await made.mount();
    return made;
  }

  async mount(): Promise<void> {
    const server = Bun.spawn(["fuse2fs", "-f", this.image, this.dir], {
      stdin: "ignore",
      stdout: "ignore",
      stderr: "ignore",
    });
    this.server = server;
    await eventually(`${this.dir} is mounted`, () => {
      if (server.exitCode !== null) throw new Error(`fuse2fs ended with ${server.exitCode}`);
      return this.isMounted();
    });
  }

  /** Its server stops answering, as one that lost its network. */
  async stall(): Promise<void> {
    const { pid } = this.running();
    process.kill(pid, "SIGSTOP");
    await eventually("fuse2fs has stopped", () => /^State:\tT/m.test(readFileSync(`/proc/${pid}/status`, "utf8")));
  }

  resume(): void {
    process.kill(this.running().pid, "SIGCONT");
  }

  /** Its server dies and leaves the mount point behind. */
  async die(): Promise<void> {
    const server = this.running();
    server.kill("SIGKILL");
    await server.exited;
  }

  /** As `umount -l`: the folder under it shows at once. */
  async unmount(): Promise<void> {
    await succeed(["umount", "--lazy", this.dir]);
    await eventually(`${this.dir} is unmounted`, () => !this.isMounted());
  }

  async [Symbol.asyncDispose](): Promise<void> {
    // Killed first: that breaks the connection, and whoever waits in it comes free.
    await this.die();
    if (this.isMounted()) await this.unmount();
  }

  private isMounted(): boolean {
    return readFileSync("/proc/self/mountinfo", "utf8").includes(` ${this.dir} `);
  }

  private running(): Bun.Subprocess<"ignore", "ignore", "ignore"> {
    if (!this.server) throw new Error(`${this.dir} was never mounted`);
    return this.server;
  }
}

/** Waits for what another process does. */
export async function eventually(what: string, isSo: () => boolean): Promise<void> {
  for (let attempt = 0; attempt < ATTEMPTS_MAX; attempt++) {
    if (isSo()) return;
    await Bun.sleep(10);
  }
  throw new Error(`it did not come about that ${what}`);
}
