/**
 * A workload on a mounted file system, as a machine makes it: small files of a source tree that are rewritten, renamed and removed, a
 * large file, and a database with synced transactions. Each step ends in a sync and says what the tree holds then.
 */
import { Database } from "bun:sqlite";
import { mkdirSync, readdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import type { Random } from "../../src/base/random.ts";
import { succeed } from "./daemon-process.ts";

/** Contents by path: size and hash. */
export type Tree = ReadonlyMap<string, string>;

export interface Step {
  /** All files but the database's, as they were when the sync had been answered. */
  tree: Tree;
  /** Transactions that the database had committed by then. */
  rows: number;
  /** Paths that this step made, changed, moved or removed. */
  touched: ReadonlySet<string>;
}

const DATABASE = "data/app.db";
const isDatabase = (path: string): boolean => path.startsWith(DATABASE);

/** What a folder holds. */
export function readTree(root: string): Map<string, string> {
  const tree = new Map<string, string>();
  for (const entry of readdirSync(root, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile()) continue;
    const path = join(entry.parentPath, entry.name);
    const name = relative(root, path);
    if (!isDatabase(name)) tree.set(name, describe(readFileSync(path)));
  }
  return tree;
}

const describe = (bytes: Uint8Array): string => `${bytes.length} bytes, ${Bun.hash.xxHash3(bytes).toString(16)}`;

export class FileWorkload {
  readonly #root: string;
  readonly #random: Random;
  #rows = 0;
  #names = 0;

  constructor(root: string, random: Random) {
    this.#root = root;
    this.#random = random;
    for (const dir of ["src", "objects", "data"]) mkdirSync(join(root, dir), { recursive: true });
  }

  async step(): Promise<Step> {
    const touched = new Set<string>();
    const random = this.#random;
    const write = (path: string, bytes: Uint8Array): void => {
      touched.add(path);
      mkdirSync(dirname(join(this.#root, path)), { recursive: true });
      writeFileSync(join(this.#root, path), bytes);
    };
    for (let i = 0; i < 24; i++) {
      const name = this.#names++;
      // As git does: under a temporary name, then renamed into a folder of its own.
      const path = `objects/${(name % 16).toString(16)}/${name}`;
      write(`objects/tmp-${name}`, random.bytes(random.below(9000)));
      mkdirSync(dirname(join(this.#root, path)), { recursive: true });
      renameSync(join(this.#root, `objects/tmp-${name}`), join(this.#root, path));
      touched.add(path);
    }
    for (let i = 0; i < 6; i++) write(`src/file-${random.below(20)}.c`, random.bytes(random.below(30_000)));
    write(`data/large-${random.below(3)}`, random.bytes(2 ** 20 + random.below(2 ** 20)));
    this.#removeSome(touched);
    this.#commitRows(5 + random.below(10));
    await succeed(["sync", "--file-system", this.#root]);
    return { tree: readTree(this.#root), rows: this.#rows, touched };
  }

  #removeSome(touched: Set<string>): void {
    const paths = [...readTree(this.#root).keys()];
    for (let i = 0; i < 5; i++) {
      const path = paths[this.#random.below(paths.length)]!;
      touched.add(path);
      if (!statSync(join(this.#root, path), { throwIfNoEntry: false })) continue;
      if (this.#random.below(2) === 0) {
        rmSync(join(this.#root, path));
      } else {
        touched.add(`${path}.moved`);
        renameSync(join(this.#root, path), join(this.#root, `${path}.moved`));
      }
    }
  }

  /** One transaction a row, each with its syncs, as a server would. */
  #commitRows(count: number): void {
    using database = new Database(join(this.#root, DATABASE), { create: true, strict: true });
    database.run("PRAGMA journal_mode = DELETE");
    database.run("PRAGMA synchronous = FULL");
    database.run("CREATE TABLE IF NOT EXISTS rows (number INTEGER PRIMARY KEY, bytes BLOB)");
    const insert = database.prepare("INSERT INTO rows (number, bytes) VALUES (?, randomblob(300))");
    for (let i = 0; i < count; i++) insert.run(++this.#rows);
  }
}

/** Differences of a tree from what it must hold; paths in `except` may be anything. */
export function differences(actual: Tree, expected: Tree, except: ReadonlySet<string> = new Set()): string[] {
  const found: string[] = [];
  for (const [path, contents] of expected) {
    if (except.has(path) || actual.get(path) === contents) continue;
    found.push(`${path}: ${actual.get(path) ?? "missing"} instead of ${contents}`);
  }
  for (const path of actual.keys()) if (!expected.has(path) && !except.has(path)) found.push(`${path}: not expected`);
  return found;
}

/** Committed rows of the database on a mounted file system, which must be whole. @throws when it is not */
export function readRows(root: string): number {
  const path = join(root, DATABASE);
  if (!statSync(path, { throwIfNoEntry: false })) return 0;
  using database = new Database(path, { strict: true });
  const check = database.query<{ integrity_check: string }, []>("PRAGMA integrity_check").all();
  if (check.length !== 1 || check[0]?.integrity_check !== "ok") throw new Error(`${path}: ${JSON.stringify(check)}`);
  const hasTable = database.query<{ count: number }, []>(
    "SELECT count(*) AS count FROM sqlite_master WHERE name = 'rows'",
  );
  if (hasTable.get()?.count === 0) return 0;
  return (
    database.query<{ count: number; most: number }, []>("SELECT count(*) AS count, max(number) AS most FROM rows").get()
      ?.count ?? 0
  );
}
