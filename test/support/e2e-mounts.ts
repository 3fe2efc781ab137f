/**
 * Exports as block devices and file systems of this machine: nbdfuse makes an export a file, a loop device makes the file a
 * disk. Works where the kernel has no NBD client. Needs root.
 *
 * Everything is disposable and lets go in the right order; disposing waits until the server has seen the client leave.
 */
import { existsSync, mkdirSync, rmdirSync } from "node:fs";
import { join } from "node:path";
import { execute, succeed } from "./daemon-process.ts";

/** What {@link attachExport} and {@link mountAt} need of the machine. */
export const MOUNT_TOOLS = ["root", "nbdfuse", "fusermount3", "losetup", "mount"] as const;

const ATTACH_MS_MAX = 20_000;
const DETACH_ATTEMPTS_MAX = 200;

export interface AttachedExport extends AsyncDisposable {
  /** `/dev/loopN`. */
  readonly device: string;
}

/** @param folder - scratch, ours alone; the mount point is made in it */
export async function attachExport(
  uri: string,
  folder: string,
  options: { readOnly?: boolean } = {},
): Promise<AttachedExport> {
  await using undo = new AsyncDisposableStack();
  const dir = join(folder, `fuse-${Bun.hash.crc32(uri)}-${attachments++}`);
  mkdirSync(dir, { recursive: true });
  undo.defer(() => rmdirSync(dir));
  const child = Bun.spawn(["nbdfuse", ...(options.readOnly === true ? ["-r"] : []), join(dir, "nbd"), uri], {
    stdin: "ignore",
    stdout: "ignore",
    stderr: "pipe",
  });
  undo.defer(async () => {
    if (child.exitCode === null) await execute(["fusermount3", "-u", "-z", dir]);
    await child.exited;
  });
  await eventually(`nbdfuse shows ${uri}`, () => {
    if (child.exitCode !== null) throw new Error(`nbdfuse ${uri} ended with ${child.exitCode}`);
    return existsSync(join(dir, "nbd"));
  });
  const device = (
    await succeed(["losetup", "--find", "--show", ...(options.readOnly === true ? ["-r"] : []), join(dir, "nbd")])
  ).trim();
  undo.defer(() => detachLoop(device));
  const held = undo.move();
  return { device, [Symbol.asyncDispose]: () => held.disposeAsync() };
}
let attachments = 0;

/** A loop device on a file. */
export async function attachFile(path: string): Promise<AttachedExport> {
  const device = (await succeed(["losetup", "--find", "--show", path])).trim();
  return { device, [Symbol.asyncDispose]: () => detachLoop(device) };
}

async function detachLoop(device: string): Promise<void> {
  await succeed(["losetup", "-d", device]);
  // Detaching is lazy: the kernel lets go when the last opener (udev, a probe) has.
  for (let attempt = 0; attempt < DETACH_ATTEMPTS_MAX; attempt++) {
    if ((await execute(["losetup", device])).code !== 0) return;
    await Bun.sleep(10);
  }
  throw new Error(`${device} stays attached`);
}

/** Mounts a device on a folder that is made; disposing unmounts, which writes everything back. */
export async function mountAt(device: string, dir: string, options: readonly string[] = []): Promise<AsyncDisposable> {
  mkdirSync(dir, { recursive: true });
  await succeed(["mount", ...(options.length > 0 ? ["-o", options.join(",")] : []), device, dir]);
  return {
    async [Symbol.asyncDispose]() {
      await succeed(["umount", dir]);
    },
  };
}

async function eventually(what: string, condition: () => boolean): Promise<void> {
  const from = performance.now();
  while (!condition()) {
    if (performance.now() - from > ATTACH_MS_MAX) throw new Error(`not within ${ATTACH_MS_MAX} ms: ${what}`);
    await Bun.sleep(5);
  }
}
