/**
 * The main job: a real file system on a live volume, used, and then read as of many of its flush points; damaged, and put back.
 *
 * Each flush point is checked through a branch, because a journalling file system must replay its journal, which writes. What was
 * synced by then must be there to the byte, unless the step that was under way had touched it.
 */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { readdirSync, renameSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { seededRandom, type Random } from "../../src/base/random.ts";
import { connectNbd } from "../../src/nbd/client.ts";
import { DaemonProcess, removeScratch, scratchFolder, succeed } from "../support/daemon-process.ts";
import { differences, FileWorkload, readRows, readTree, type Step, type Tree } from "../support/e2e-files.ts";
import { attachExport, mountAt, MOUNT_TOOLS } from "../support/e2e-mounts.ts";
import { describeWith } from "../support/require-tool.ts";

const seed = Number(process.env["STERNWAY_SEED"] ?? Math.floor(Math.random() * 2 ** 31));
const TIMEOUT_MS = 300_000;
const STEPS = 10;
/** Checked at least: every step's end, and as many in between as make up the number. */
const POINTS = 30;

interface FileSystem {
  name: string;
  /** xfs refuses less than 300 MiB. */
  size: string;
  make: string[];
  /** Two file systems of one identity are seen: the live one and its past. */
  options: string[];
  /** Ends with 0 for a clean file system, and changes nothing. */
  check: string[];
}

const FILE_SYSTEMS: readonly FileSystem[] = [
  { name: "ext4", size: "256M", make: ["mkfs.ext4", "-q"], options: [], check: ["e2fsck", "-f", "-n"] },
  { name: "xfs", size: "320M", make: ["mkfs.xfs", "-q"], options: ["nouuid"], check: ["xfs_repair", "-n"] },
  { name: "btrfs", size: "256M", make: ["mkfs.btrfs", "-q"], options: [], check: ["btrfs", "check", "--readonly"] },
];

const folder = scratchFolder();
let daemon: DaemonProcess;

beforeAll(async () => {
  daemon = await DaemonProcess.start(join(folder, "data"), { config: { storage: { journalFileBytes: "16MiB" } } });
}, TIMEOUT_MS);

afterAll(async () => {
  const { complaints } = daemon;
  await daemon.stop();
  removeScratch(folder);
  expect(complaints).toEqual([]);
}, TIMEOUT_MS);

interface SyncPoint extends Step {
  /** The flush point that the sync was answered with. */
  lsn: number;
}

const lastFlush = async (volume: string): Promise<number> =>
  (await daemon.command<{ lastFlushLsn: number }>("volume", "show", volume)).lastFlushLsn;

/** Mounts an export, lets `use` do its work, unmounts and detaches. @param after - runs on the device after the unmounting */
async function onMount<Result>(
  kind: FileSystem,
  exportName: string,
  use: (root: string) => Promise<Result>,
  options: { readOnly?: boolean; after?: (device: string) => Promise<void> } = {},
): Promise<Result> {
  await using attached = await attachExport(daemon.uri(exportName), folder, options);
  const root = join(folder, "mount", kind.name);
  let result: Result;
  {
    await using _mounted = await mountAt(attached.device, root, [
      ...kind.options,
      ...(options.readOnly === true ? ["ro"] : []),
    ]);
    result = await use(root);
  }
  await options.after?.(attached.device);
  // btrfs remembers devices by their identity, and would take the next one for a second disk of this.
  if (kind.name === "btrfs") await succeed(["btrfs", "device", "scan", "--forget"]);
  return result;
}

for (const kind of FILE_SYSTEMS) {
  describeWith([...MOUNT_TOOLS, ...[kind.make[0]!, kind.check[0]!, "sync"]], `${kind.name} (seed ${seed})`, () => {
    const volume = `disk-${kind.name}`;
    const random: Random = seededRandom(seed);
    const points: SyncPoint[] = [];
    /** Flush point before the first file: the file system was made by then. */
    let madeAt = 0;
    let lastTree: Tree = new Map();
    let lastRows = 0;

    test(
      "is made and used through the live export",
      async () => {
        await daemon.command("volume", "create", volume, kind.size);
        {
          await using attached = await attachExport(daemon.uri(volume), folder);
          await succeed([...kind.make, attached.device]);
          await succeed(["sync", attached.device]);
        }
        madeAt = await lastFlush(volume);
        await onMount(kind, volume, async (root) => {
          const workload = new FileWorkload(root, random);
          for (let i = 0; i < STEPS; i++) {
            const step = await workload.step();
            points.push({ ...step, lsn: await lastFlush(volume) });
            if (i === 3 || i === 6) await daemon.command("bookmark", "create", volume, `step-${i}`);
          }
          lastRows = points.at(-1)!.rows;
          lastTree = readTree(root);
        });
        await daemon.command("bookmark", "create", volume, "unmounted");
        expect(new Set(points.map(({ lsn }) => lsn)).size).toBe(STEPS);
      },
      TIMEOUT_MS,
    );

    test(
      `is clean at each of ${POINTS} flush points or more, and holds what was synced by then`,
      async () => {
        const all: number[] = [];
        for (let after: number | undefined = madeAt; after !== undefined;) {
          const page: { flushPoints: { lsn: number }[]; next?: number } = await daemon.command(
            ...["timeline", volume, "--flush-points", "--limit", "5000", "--after", String(after)],
          );
          all.push(...page.flushPoints.map(({ lsn }) => lsn));
          after = page.next;
        }
        for (const { lsn } of points) expect(all).toContain(lsn);
        const chosen = new Set(points.map(({ lsn }) => lsn));
        while (chosen.size < Math.min(POINTS, all.length)) chosen.add(all[random.below(all.length)]!);
        for (const lsn of [...chosen].sort((a, b) => a - b)) await checkPoint(lsn);
      },
      TIMEOUT_MS,
    );

    async function checkPoint(lsn: number): Promise<void> {
      const index = points.findLastIndex((point) => point.lsn <= lsn);
      const synced = points[index];
      const isExact = synced?.lsn === lsn;
      const branch = `${volume}-at-${lsn}`;
      await daemon.command("branch", `${volume}@lsn:${lsn}`, branch);
      try {
        await onMount(
          kind,
          branch,
          async (root) => {
            if (!synced) return;
            const touched = isExact ? new Set<string>() : (points[index + 1]?.touched ?? new Set<string>());
            const tree = readTree(root);
            // A step under way may have made files of names that it moved on; those are its own.
            const found = differences(tree, synced.tree, touched);
            expect({ lsn, found }).toEqual({ lsn, found: [] });
            const rows = readRows(root);
            expect(rows).toBeGreaterThanOrEqual(synced.rows);
            expect(rows).toBeLessThanOrEqual(isExact ? synced.rows : (points[index + 1]?.rows ?? lastRows));
          },
          { after: async (device) => void (await succeed([...kind.check, device])) },
        );
      } catch (cause) {
        throw new Error(`${kind.name} at lsn ${lsn} (${isExact ? "end" : "in the middle"} of a step)`, { cause });
      } finally {
        await daemon.command("volume", "delete", branch);
      }
    }

    test(
      "as of a moment when it was unmounted it mounts read-only from the past export, unbranched",
      async () => {
        await onMount(
          kind,
          `${volume}@bookmark:unmounted`,
          async (root) => expect(differences(readTree(root), lastTree)).toEqual([]),
          { readOnly: true },
        );
      },
      TIMEOUT_MS,
    );

    test(
      "whose every file was overwritten, and the disk's ranges too, comes back whole from the last good bookmark",
      async () => {
        await onMount(kind, volume, async (root) => {
          for (const entry of readdirSync(root, { recursive: true, withFileTypes: true })) {
            const path = join(entry.parentPath, entry.name);
            if (!entry.isFile()) continue;
            writeFileSync(path, random.bytes(statSync(path).size));
            renameSync(path, `${path}.locked`);
          }
        });
        await daemon.command("bookmark", "create", volume, "locked");
        const client = await connectNbd(daemon.blocks, volume);
        for (let i = 0; i < 40; i++) {
          const length = 4096 * (1 + random.below(64));
          const offset = 512 * random.below((client.sizeBytes - length) / 512);
          await client.write(offset, random.bytes(length));
        }
        await client.flush();
        await client.close();
        await daemon.command("bookmark", "create", volume, "overwritten");

        const good = await lastGoodBookmark();
        expect(good).toBe("unmounted");
        const from = performance.now();
        const { undo } = await daemon.command<{ undo: string }>("rollback", volume, "--to", `bookmark:${good}`);
        const tookMs = Math.round(performance.now() - from);
        console.log(`${kind.name}: rollback, with the start of the command, in ${tookMs} ms; undo with ${undo}`);
        await onMount(
          kind,
          volume,
          async (root) => {
            expect(differences(readTree(root), lastTree)).toEqual([]);
            expect(readRows(root)).toBe(lastRows);
          },
          { after: async (device) => void (await succeed([...kind.check, device])) },
        );
      },
      TIMEOUT_MS,
    );

    /** Newest first, what a person would do: mount it, and look whether the files are those they know. */
    async function lastGoodBookmark(): Promise<string | undefined> {
      const { bookmarks } = await daemon.command<{ bookmarks: { name: string; lsn: number }[] }>(
        "bookmark",
        "list",
        volume,
      );
      for (const { name } of bookmarks.toSorted((a, b) => b.lsn - a.lsn)) {
        const branch = `${volume}-look`;
        await daemon.command("branch", `${volume}@bookmark:${name}`, branch);
        try {
          const found = await onMount(kind, branch, async (root) => differences(readTree(root), lastTree)).catch(() => [
            "it does not mount, or its files cannot be read",
          ]);
          if (found.length === 0) return name;
        } finally {
          await daemon.command("volume", "delete", branch);
        }
      }
      return undefined;
    }
  });
}
