/** `sternway demo`: protects a small sample disk, damages it, and puts it back, with a daemon of its own; each step is shown. */
import * as fs from "node:fs";
import { join, resolve } from "node:path";
import type { Command } from "commander";
import { SternwayError } from "../base/errors.ts";
import { formatSize } from "../base/units.ts";
import { createClient, type Client } from "../contract/client.ts";
import { restoreTo } from "../restore/restore.ts";
import { connectPast, vaultIdOf } from "./blocks.ts";
import { examples, invocation, type Context, type Invocation } from "./context.ts";
import { startDemoDaemon } from "./demo-daemon.ts";
import {
  changeFiles,
  damageDisk,
  demoWay,
  fillDisk,
  inspectImage,
  type DemoDisk,
  type DiskState,
} from "./demo-disk.ts";
import { interruptible } from "./terminal.ts";
import { showSeconds } from "./text.ts";
import { timelineText } from "./timeline.ts";

const VOLUME = "demo";
const SIZE_BYTES = 256 * 2 ** 20;
/** Says that a folder was made by the demo and may be emptied by it. */
const MARKER = ".sternway-demo";
/** Not inside `var`, which people give to `serve`: a store wants its folder to itself. */
const DEFAULT_DIR = "var-demo";

const FIRST_FILES = {
  "letter.txt": "Dear reader, this disk is going to be damaged in a moment.\n",
  "accounts.csv": "name,balance\nada,100\ngrace,250\n",
};
const LATER_FILES = { ...FIRST_FILES, "accounts.csv": "name,balance\nada,140\ngrace,210\n" };

export function registerDemo(program: Command, context: Context): void {
  examples(
    program
      .command("demo")
      .description(
        `protect a sample disk with a real ext4 on it, damage it, and roll it back (in ${DEFAULT_DIR}, or --data)`,
      )
      .action(async (_options, command: Command) => {
        const run = invocation(context, command);
        // Not STERNWAY_DATA: that is where real disks are kept.
        const given = command.optsWithGlobals<{ data?: string }>().data;
        await interruptible((signal) => demo(run, resolve(given ?? DEFAULT_DIR), signal));
      }),
    "sternway demo",
    "sternway demo --data /tmp/sternway-demo",
  );
}

async function demo(run: Invocation, dir: string, signal: AbortSignal): Promise<void> {
  const way = demoWay();
  emptyFolder(dir);
  const scratch = join(dir, "scratch");
  fs.mkdirSync(scratch, { recursive: true });
  const show = (text: string): void => {
    if (!run.json) run.terminal.out(text);
  };
  // The daemon wants its data folder to itself.
  const dataDir = join(dir, "data");
  const client = createClient({ socketPath: join(dataDir, "control.sock") });
  show(`Sternway demo, in ${dir}\n`);
  const daemon = await startDemoDaemon(run, dataDir, join(dir, "daemon.log"), client);
  try {
    const disk: DemoDisk = {
      volume: VOLUME,
      sizeBytes: SIZE_BYTES,
      socketPath: join(dataDir, "nbd.sock"),
      scratch,
      clock: run.terminal.clock,
    };
    const summary = await steps(run, client, disk, way, show, signal);
    if (run.json) run.terminal.out(`${JSON.stringify(summary)}\n`);
  } finally {
    await daemon.stop();
  }
  show(
    `\nThe store stays. To look around:\n` +
      `  sternway serve --data ${dataDir} &\n  sternway timeline ${VOLUME} --data ${dataDir}\n`,
  );
}

async function steps(
  run: Invocation,
  client: Client,
  disk: DemoDisk,
  way: "mounted" | "imported",
  show: (text: string) => void,
  signal: AbortSignal,
) {
  let number = 0;
  const step = (text: string): void => {
    signal.throwIfAborted();
    show(`\n${++number}. ${text}\n`);
  };

  step(`Protect a disk: volume ${VOLUME}, ${formatSize(SIZE_BYTES)}`);
  await client.createVolume(VOLUME, SIZE_BYTES);

  step(
    way === "mounted"
      ? "Make an ext4 on it through NBD, mount it, write files"
      : "Make an ext4 with files on it, and import it (mounting needs root, FUSE and nbdfuse)",
  );
  await fillDisk(disk, way, FIRST_FILES);
  showFiles(show, FIRST_FILES);
  const firstLsn = (await client.volume(VOLUME)).lastLsn;

  step("Some business later, change a file, and bookmark the moment");
  await changeFiles(disk, way, LATER_FILES);
  const bookmark = await client.createBookmark(VOLUME, { name: "good", note: "before the damage" });
  showFiles(show, { "accounts.csv": LATER_FILES["accounts.csv"] });
  show(`   bookmark good: lsn ${bookmark.lsn}, ${bookmark.time}\n`);

  step("Damage it: noise all over the disk");
  const damagedBytes = await damageDisk(disk);
  const damaged = await inspect(client, disk, "now");
  show(`   ${formatSize(damagedBytes)} overwritten. e2fsck: ${damaged.verdict}\n`);

  step("The timeline of what happened");
  const timeline = await client.timeline(VOLUME, { buckets: 12 });
  show(indent(timelineText(VOLUME, timeline)));

  step("Roll the disk back to the bookmark");
  const start = run.terminal.clock.monotonic();
  const rollback = await client.rollback(VOLUME, "bookmark:good");
  const rollbackSeconds = (run.terminal.clock.monotonic() - start) / 1e6;
  show(`   done in ${showSeconds(rollbackSeconds)}; ${rollback.undo} would undo it\n`);

  step("Look at the disk again");
  const restored = await inspect(client, disk, "now");
  show(`   e2fsck: ${restored.clean ? "clean" : restored.verdict}\n`);
  showFiles(show, restored.files);
  const asBefore = sameFiles(restored.files, LATER_FILES);
  if (!restored.clean || !asBefore) {
    throw new SternwayError(
      "corrupt",
      `the disk did not come back: ${restored.clean ? "its files differ" : restored.verdict}`,
    );
  }

  step("Any other moment is there as well: the damage, and the first version of the file");
  const first = await inspect(client, disk, `lsn:${firstLsn}`);
  const damageKept = await inspect(client, disk, rollback.undo);
  show(`   as of ${rollback.undo}: e2fsck: ${damageKept.verdict}\n`);
  show(`   as of lsn:${firstLsn}: e2fsck: ${first.clean ? "clean" : first.verdict}\n`);
  showFiles(show, first.files);
  show("\nThe disk is back, file system clean, every file as it was.\n");
  return {
    volume: VOLUME,
    way,
    damagedBytes,
    damagedVerdict: damaged.verdict,
    rollbackSeconds,
    clean: restored.clean,
    files: restored.files,
  };
}

/** Restores the disk as of a moment to a file, as a person would, and lets the file system's tools judge it. */
async function inspect(client: Client, disk: DemoDisk, at: string): Promise<DiskState> {
  const [moment, vaultId] = await Promise.all([client.resolve(VOLUME, at), vaultIdOf(client, VOLUME)]);
  const image = join(disk.scratch, "look.img");
  const device = await connectPast(disk.socketPath, `${VOLUME}@lsn:${moment.lsn}`);
  try {
    await restoreTo({
      source: { device, vault: vaultId, volume: VOLUME, lsn: moment.lsn },
      target: image,
      fresh: true,
    });
  } finally {
    await device.close();
  }
  const state = await inspectImage(image, Object.keys(FIRST_FILES));
  fs.rmSync(image);
  return state;
}

function showFiles(show: (text: string) => void, files: Readonly<Record<string, string>>): void {
  for (const [name, content] of Object.entries(files)) {
    show(`   ${name}: ${content.trimEnd().split("\n").join(" | ")}\n`);
  }
}

function sameFiles(actual: Readonly<Record<string, string>>, expected: Readonly<Record<string, string>>): boolean {
  return Object.entries(expected).every(([name, content]) => actual[name] === content);
}

const indent = (text: string): string => text.replace(/^(?=.)/gm, "   ");

/** Empties a folder of an earlier demo. @throws conflict: something else lies there */
function emptyFolder(dir: string): void {
  const marker = join(dir, MARKER);
  if (fs.existsSync(dir) && fs.readdirSync(dir).length > 0) {
    if (!fs.existsSync(marker)) {
      throw new SternwayError(
        "conflict",
        `${dir} holds something that is not a demo's: name another folder with --data`,
      );
    }
    if (fs.existsSync(join(dir, "scratch", "mnt"))) refuseMounted(dir);
    fs.rmSync(dir, { recursive: true, force: true });
  }
  fs.mkdirSync(dir, { recursive: true });
  fs.writeFileSync(marker, "Made by `sternway demo`, which empties this folder when it runs again.\n");
}

/** A demo that was killed may have left its disk mounted: deleting through the mount would be a mess. */
function refuseMounted(dir: string): void {
  const mounts = fs.readFileSync("/proc/self/mounts", "utf8").split("\n");
  const inside = mounts.map((line) => line.split(" ")[1] ?? "").filter((point) => point.startsWith(`${dir}/`));
  if (inside.length === 0) return;
  throw new SternwayError(
    "conflict",
    `an interrupted demo left ${inside.join(" and ")} mounted: umount them, then run it again`,
  );
}
