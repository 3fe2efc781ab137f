/**
 * The names of a simulated disk: directories, each with the entries that are seen now, those that a power cut cannot take,
 * and the changes in between, in order.
 *
 * A change is durable after syncDir of its directory. After a power cut every directory holds its durable entries plus, by default, the
 * first few of its pending changes: a prefix of their order, as a journaling file system gives. With `any-order` each change is there
 * or not by itself. A rename is never half done, also between two directories. What hangs below a lost entry is lost with it.
 */
import { diskError } from "./disk-errors.ts";
import type { Random } from "./random.ts";
import { FileNode } from "./simulated-file.ts";

/** How unsynced directory changes survive a power cut. */
export type DirectoryOrder = "prefix" | "any-order";

export type TreeChange =
  | { op: "create"; path: string }
  | { op: "mkdir"; path: string }
  | { op: "remove"; path: string }
  | { op: "rename"; path: string; to: string }
  | { op: "link"; path: string; to: string };

type Node = FileNode | DirNode;

/** One change of names; all its edits happen together. */
interface Change {
  id: number;
  edits: readonly { dir: DirNode; name: string; node: Node | undefined }[];
}

class DirNode {
  readonly kind = "directory";
  current = new Map<string, Node>();
  durable = new Map<string, Node>();
  pending: Change[] = [];
}

export class SimulatedTree {
  #root = new DirNode();
  #nextId = 1;

  /** Numbers grow with every write and change on this disk; a sync covers those up to the number it began with. */
  nextId(): number {
    return this.#nextId++;
  }

  /** What a sync that begins now covers. */
  lastId(): number {
    return this.#nextId - 1;
  }

  /** @throws not_found; unavailable ENOTDIR, EISDIR */
  file(path: string, op: string): FileNode {
    const node = this.#find(path, op);
    if (node === undefined) throw diskError("ENOENT", op, path);
    if (node.kind === "directory") throw diskError("EISDIR", op, path);
    return node;
  }

  /** Undefined where there is nothing, or a directory. */
  fileOrNothing(path: string): FileNode | undefined {
    const node = this.#lookup(path);
    return node?.kind === "file" ? node : undefined;
  }

  list(path: string): string[] {
    const node = this.#find(path, "list");
    if (node === undefined) return [];
    if (node.kind === "file") throw diskError("ENOTDIR", "list", path);
    return [...node.current.keys()].sort();
  }

  /** Paths of all files that can be reached. */
  paths(): string[] {
    const found: string[] = [];
    const walk = (dir: DirNode, prefix: string): void => {
      for (const [name, node] of dir.current) {
        if (node.kind === "directory") walk(node, `${prefix}/${name}`);
        else found.push(`${prefix}/${name}`);
      }
    };
    walk(this.#root, "");
    return found.sort();
  }

  /** All files that can be reached, each once. */
  files(): Set<FileNode> {
    const found = new Set<FileNode>();
    for (const dir of reachable(this.#root, "current")) {
      for (const node of dir.current.values()) if (node.kind === "file") found.add(node);
    }
    return found;
  }

  /** Makes a change visible; durable only after {@link syncDir}. @returns files that lost a name */
  apply(change: TreeChange): FileNode[] {
    switch (change.op) {
      case "create":
        if (this.#find(change.path, "create") !== undefined) throw diskError("EEXIST", "create", change.path);
        return this.#edit([this.#place(change.path, "create", new FileNode())]);
      case "mkdir":
        return this.#mkdir(change.path);
      case "remove": {
        const node = this.#find(change.path, "remove");
        if (node === undefined) return [];
        if (node.kind === "directory") throw diskError("EISDIR", "remove", change.path);
        return this.#edit([this.#place(change.path, "remove", undefined)]);
      }
      case "rename":
        return this.#rename(change.path, change.to);
      case "link": {
        const node = this.file(change.path, "link");
        if (this.#find(change.to, "link") !== undefined) throw diskError("EEXIST", "link", change.to);
        return this.#edit([this.#place(change.to, "link", node)]);
      }
    }
  }

  /** Makes a directory's changes up to a number durable. @throws not_found */
  syncDirectory(path: string, upTo: number): void {
    commit(this.#directory(path, "syncDir"), upTo);
  }

  /** A copy that shares bytes but no state. */
  clone(): SimulatedTree {
    const copy = new SimulatedTree();
    const known = new Map<Node, Node>();
    const knownChanges = new Map<Change, Change>();
    const cloneNode = (node: Node): Node => {
      const seen = known.get(node);
      if (seen !== undefined) return seen;
      if (node.kind === "file") {
        const file = node.clone();
        known.set(node, file);
        return file;
      }
      return cloneDir(node);
    };
    const cloneDir = (dir: DirNode): DirNode => {
      const seen = known.get(dir);
      if (seen?.kind === "directory") return seen;
      const twin = new DirNode();
      known.set(dir, twin);
      for (const [name, node] of dir.current) twin.current.set(name, cloneNode(node));
      for (const [name, node] of dir.durable) twin.durable.set(name, cloneNode(node));
      twin.pending = dir.pending.map(cloneChange);
      return twin;
    };
    const cloneChange = (change: Change): Change => {
      const seen = knownChanges.get(change);
      if (seen !== undefined) return seen;
      const edits: { dir: DirNode; name: string; node: Node | undefined }[] = [];
      const twin: Change = { id: change.id, edits };
      knownChanges.set(change, twin);
      for (const { dir, name, node } of change.edits) {
        edits.push({ dir: cloneDir(dir), name, node: node === undefined ? undefined : cloneNode(node) });
      }
      return twin;
    };
    copy.#root = cloneDir(this.#root);
    copy.#nextId = this.#nextId;
    copy.#countLinks();
    return copy;
  }

  /** What is left when the power returns becomes all there is. */
  settleAfterPowerCut(random: Random, order: DirectoryOrder): void {
    const directories = reachable(this.#root);
    if (order === "prefix") {
      for (const dir of directories) {
        const count = random.below(dir.pending.length + 1);
        const last = dir.pending[count - 1];
        if (last !== undefined) commit(dir, last.id);
      }
    } else {
      const changes = new Set(directories.flatMap((dir) => dir.pending));
      const survived = [...changes].sort((a, b) => a.id - b.id).filter(() => random.below(2) === 0);
      for (const change of survived) applyTo(change, "durable");
    }
    for (const dir of reachable(this.#root)) {
      dir.pending = [];
      dir.current = new Map(dir.durable);
    }
    for (const file of this.files()) file.settleAfterPowerCut(random);
    this.#countLinks();
  }

  /** Everything pending becomes durable, as when a machine is shut down in order. */
  settleAfterShutdown(): void {
    for (const dir of reachable(this.#root)) commit(dir, this.#nextId);
    for (const file of this.files()) {
      file.applySync(this.#nextId);
      file.inFlight.clear();
    }
  }

  #countLinks(): void {
    for (const file of this.files()) file.linkCount = 0;
    for (const dir of reachable(this.#root, "current")) {
      for (const node of dir.current.values()) if (node.kind === "file") node.linkCount++;
    }
  }

  #mkdir(path: string): FileNode[] {
    const names = split(path);
    for (let i = 1; i <= names.length; i++) {
      const prefix = `/${names.slice(0, i).join("/")}`;
      const node = this.#find(prefix, "mkdir");
      if (node === undefined) this.#edit([this.#place(prefix, "mkdir", new DirNode())]);
      else if (node.kind === "file") throw diskError(i === names.length ? "EEXIST" : "ENOTDIR", "mkdir", path);
    }
    return [];
  }

  #rename(from: string, to: string): FileNode[] {
    const node = this.#find(from, "rename");
    if (node === undefined) throw diskError("ENOENT", "rename", from);
    const target = this.#find(to, "rename");
    const edit = this.#place(to, "rename", node);
    if (target === node) return [];
    if (node.kind === "directory" && reachable(node).includes(edit.dir)) throw diskError("EINVAL", "rename", to);
    if (target?.kind === "directory") {
      if (node.kind === "file") throw diskError("EISDIR", "rename", to);
      if (target.current.size > 0) throw diskError("ENOTEMPTY", "rename", to);
    } else if (target !== undefined && node.kind === "directory") {
      throw diskError("ENOTDIR", "rename", to);
    }
    return this.#edit([this.#place(from, "rename", undefined), edit]);
  }

  #edit(edits: Change["edits"]): FileNode[] {
    const change: Change = { id: this.nextId(), edits };
    const replaced = edits.map(({ dir, name }) => dir.current.get(name));
    applyTo(change, "current");
    for (const dir of new Set(edits.map((edit) => edit.dir))) dir.pending.push(change);
    for (const node of replaced) if (node?.kind === "file") node.linkCount--;
    for (const { node } of edits) if (node?.kind === "file") node.linkCount++;
    return replaced.filter((node): node is FileNode => node?.kind === "file");
  }

  #place(path: string, op: string, node: Node | undefined): Change["edits"][number] {
    const names = split(path);
    const name = names.pop();
    if (name === undefined) throw diskError("EINVAL", op, path);
    return { dir: this.#directory(`/${names.join("/")}`, op, path), name, node };
  }

  #directory(path: string, op: string, named: string = path): DirNode {
    const node = this.#find(path, op);
    if (node === undefined) throw diskError("ENOENT", op, named);
    if (node.kind === "file") throw diskError("ENOTDIR", op, named);
    return node;
  }

  /** Undefined where the last name or one before it is missing. @throws unavailable ENOTDIR: the path leads through a file */
  #find(path: string, op: string): Node | undefined {
    let node: Node = this.#root;
    for (const name of split(path)) {
      if (node.kind === "file") throw diskError("ENOTDIR", op, path);
      const next = node.current.get(name);
      if (next === undefined) return undefined;
      node = next;
    }
    return node;
  }

  #lookup(path: string): Node | undefined {
    let node: Node | undefined = this.#root;
    for (const name of split(path)) node = node?.kind === "directory" ? node.current.get(name) : undefined;
    return node;
  }
}

const split = (path: string): string[] => path.split("/").filter((name) => name !== "");

function applyTo(change: Change, state: "current" | "durable"): void {
  for (const { dir, name, node } of change.edits) {
    if (node === undefined) dir[state].delete(name);
    else dir[state].set(name, node);
  }
}

/** Makes a directory's changes up to a number durable, and with a rename between two directories what came before it in the other. */
function commit(dir: DirNode, upTo: number): void {
  for (;;) {
    const change = dir.pending[0];
    if (change === undefined || change.id > upTo) return;
    for (const { dir: other } of change.edits) {
      if (other !== dir) commit(other, change.id - 1);
    }
    applyTo(change, "durable");
    for (const { dir: each } of change.edits) each.pending = each.pending.filter((pending) => pending !== change);
  }
}

/** A directory and those below it: as seen now, or also those that only a power cut would bring back. */
function reachable(root: DirNode, state: "current" | "any" = "any"): DirNode[] {
  const found = new Set<DirNode>([root]);
  for (const dir of found) {
    for (const node of dir.current.values()) if (node.kind === "directory") found.add(node);
    if (state === "current") continue;
    for (const node of dir.durable.values()) if (node.kind === "directory") found.add(node);
  }
  return [...found];
}
