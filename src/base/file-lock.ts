/**
 * "One process owns this folder": an exclusive lock that the kernel releases when its process ends, however it ends.
 *
 * The runtime has no flock. The choices were a lock file with a pid (stale after kill -9, and pids are reused), an abstract socket (a
 * container with its own network does not see it), flock by FFI (not for production), and SQLite: BEGIN EXCLUSIVE in locking_mode=EXCLUSIVE
 * holds kernel fcntl locks on a file of its own. It works between containers that share the folder, and SQLite also keeps two locks
 * of one process apart, which fcntl alone would not. Nothing is ever written: the file stays empty.
 *
 * POSIX locks end when their process closes *any* descriptor of the file: nobody else in the process may open it.
 */
import { Database, SQLiteError } from "bun:sqlite";
import * as fs from "node:fs";
import { SternwayError } from "./errors.ts";
import { deviceNumber } from "./real-disk.ts";

export interface FileLock {
  /** Idempotent. The file stays: removing it would let two processes lock two files of one name. */
  release(): void;
}

/**
 * Locks a file, creating it empty where it is missing; does not wait.
 * @param path - in an existing directory; a file for this purpose alone
 * @throws conflict: it is held, by another process or this one; facts.pid names the holder where the kernel tells
 * @throws unavailable: the file cannot be created or locked
 */
export function lockFile(path: string): FileLock {
  let database: Database | undefined;
  try {
    database = new Database(path, { create: true, readwrite: true });
    database.run("PRAGMA busy_timeout = 0");
    // Without this SQLite would drop the lock between transactions; with it the lock lasts as long as the connection.
    database.run("PRAGMA locking_mode = EXCLUSIVE");
    // No journal file beside it: there is nothing to roll back. (OFF is refused.)
    database.run("PRAGMA journal_mode = MEMORY");
    database.run("BEGIN EXCLUSIVE");
  } catch (error) {
    database?.close();
    if (!(error instanceof SQLiteError && error.code?.startsWith("SQLITE_BUSY"))) {
      throw new SternwayError("unavailable", `cannot lock ${path}`, { path }, { cause: error });
    }
    const pid = holderOf(path);
    const who = pid === undefined ? "another process" : pid === process.pid ? "this process" : `process ${pid}`;
    throw new SternwayError(
      "conflict",
      `${path} is locked by ${who}: only one may use this folder at a time`,
      pid === undefined ? { path } : { path, pid },
      { cause: error },
    );
  }
  const held = database;
  return { release: () => held.close() };
}

/** Who holds a lock on the file, as /proc/locks has it. Looks without opening the file; undefined where it cannot tell. */
function holderOf(path: string): number | undefined {
  let locks: string;
  let stats: fs.Stats;
  try {
    locks = fs.readFileSync("/proc/locks", "utf8");
    stats = fs.statSync(path);
  } catch {
    // Only the wording of a message depends on it.
    return undefined;
  }
  const { major, minor } = deviceNumber(stats.dev);
  const hex = (value: number): string => value.toString(16).padStart(2, "0");
  const file = `${hex(major)}:${hex(minor)}:${stats.ino}`;
  // 1: POSIX  ADVISORY  WRITE 1234 fe:01:5678 0 EOF
  for (const line of locks.split("\n")) {
    const fields = line.trim().split(/\s+/);
    const pid = Number(fields[4]);
    if (fields[1] === "POSIX" && fields[3] === "WRITE" && fields[5] === file && pid > 0) return pid;
  }
  return undefined;
}
