/**
 * The disk interface: everything the engine ever asks of storage. `real-disk.ts` gives the machine's own,
 * `simulated-disk.ts` one that loses, tears, reorders and corrupts on command.
 *
 * Errors are {@link SternwayError}s of kind `unavailable` with `facts.code` set to the errno name
 * (`ENOSPC`, `EIO`, …), or `not_found` for a missing path, `conflict` for one that exists already.
 */

/**
 * - `read`: an existing file, reading only
 * - `create`: a file that must not exist yet, reading and buffered writing; durable after sync()
 * - `write`: an existing file, reading and buffered writing; durable after sync()
 * - `write-through`: an existing file; every write is durable when its promise resolves. Offset, length and memory
 *   are multiples of 4,096 (allocate with {@link Disk.allocate}). Reads are buffered and see finished writes.
 */
export type OpenMode = "read" | "create" | "write" | "write-through";

export interface DiskFile {
  readonly path: string;
  /** Fills `into` from `offset`. @returns bytes read; short only at the end of the file */
  read(into: Uint8Array, offset: number): Promise<number>;
  /** Writes all of `data` at `offset`. The caller must not change `data` until it resolves. */
  write(data: Uint8Array, offset: number): Promise<void>;
  /** Makes earlier finished writes and the size durable. After an error nothing is known about any of them. */
  sync(): Promise<void>;
  size(): Promise<number>;
  /** Idempotent. Operations in flight finish first. */
  close(): Promise<void>;
}

export interface Disk {
  open(path: string, mode: OpenMode): Promise<DiskFile>;
  /** Names in a directory, sorted; empty if it does not exist. */
  list(dir: string): Promise<string[]>;
  /** Size in bytes, or undefined if there is no such file. */
  sizeOf(path: string): Promise<number | undefined>;
  /** Creates a directory and its parents; fine if it exists. Durable after syncDir of the parent. */
  mkdir(dir: string): Promise<void>;
  /** Replaces `to` atomically. Durable after syncDir of the directory. */
  rename(from: string, to: string): Promise<void>;
  /** Gives a file a second name, if nothing has that. Durable after syncDir of its directory. @throws conflict: `to` exists; nothing has changed */
  link(from: string, to: string): Promise<void>;
  /** Fine if the file does not exist. Durable after syncDir of the directory. */
  remove(path: string): Promise<void>;
  syncDir(dir: string): Promise<void>;
  /** Bytes free for us and in total on the file system that holds `dir`. */
  space(dir: string): Promise<{ freeBytes: number; totalBytes: number }>;
  /** Zeroed memory fit for write-through files. */
  allocate(sizeBytes: number): Uint8Array;
}

/** Reads a whole file. @throws not_found */
export async function readWhole(disk: Disk, path: string): Promise<Uint8Array> {
  const file = await disk.open(path, "read");
  try {
    const bytes = new Uint8Array(await file.size());
    const got = await file.read(bytes, 0);
    return got === bytes.length ? bytes : bytes.subarray(0, got);
  } finally {
    await file.close();
  }
}

/**
 * Publishes a file: temporary name, write, sync, rename, sync of the directory. After a crash the path holds either
 * all of `parts` or what was there before; leftovers end in `.tmp` and are removed when the vault opens.
 */
export async function publish(disk: Disk, path: string, parts: readonly Uint8Array[]): Promise<void> {
  const temporary = `${path}.tmp`;
  await disk.remove(temporary);
  const file = await disk.open(temporary, "create");
  try {
    let offset = 0;
    for (const part of parts) {
      await file.write(part, offset);
      offset += part.length;
    }
    await file.sync();
  } finally {
    await file.close();
  }
  await disk.rename(temporary, path);
  // Sync the directory too: after a crash the rename may otherwise be lost.
  await disk.syncDir(path.slice(0, path.lastIndexOf("/")));
}
