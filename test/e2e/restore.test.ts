/**
 * A past moment back on a disk: to a file, to a block device, over HTTP; and a restore that is killed in the middle and goes
 * on where it was. Everything is held against the image that went in.
 */
import { afterAll, beforeAll, expect } from "bun:test";
import { statSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { seededRandom } from "../../src/base/random.ts";
import { connectNbd } from "../../src/nbd/client.ts";
import {
  DaemonProcess,
  execute,
  removeScratch,
  scratchFolder,
  startSternway,
  sternway,
  sternwayCommand,
  succeed,
} from "../support/daemon-process.ts";
import { attachFile } from "../support/e2e-mounts.ts";
import { testWith } from "../support/require-tool.ts";

const MIB = 2 ** 20;
const SIZE = 256 * MIB;
const TIMEOUT_MS = 120_000;
/** The header of a restore's record, and some pieces. */
const RECORD_BYTES_MIN = 4096 + 16;

const folder = scratchFolder();
const at = (name: string): string => join(folder, name);
let daemon: DaemonProcess;
/** `bulk@lsn:N`: what the image held. */
let moment = "";

beforeAll(async () => {
  const random = seededRandom(11);
  const image = new Uint8Array(SIZE);
  for (let offset = 0; offset < SIZE; offset += 4 * MIB) {
    // A quarter stays a hole, and what is random costs the vault its full size.
    if (random.below(4) > 0) crypto.getRandomValues(new Uint32Array(image.buffer, offset, 16384 - 16));
    for (let i = 1; i < 64 && image[offset] !== 0; i++)
      image.copyWithin(offset + i * 65_536, offset, offset + 65_500 - i);
  }
  writeFileSync(at("image"), image);
  daemon = await DaemonProcess.start(at("data"));
  const done = await sternway(daemon.dataDir, "import", at("image"), "bulk", "--bookmark", "whole", "--json");
  expect(done.code).toBe(0);
  const { lastLsn } = await daemon.client.volume("bulk");
  moment = `bulk@lsn:${lastLsn}`;
  const client = await connectNbd(daemon.blocks, "bulk");
  for (let i = 0; i < 50; i++) await client.write(random.below(SIZE / MIB) * MIB, random.bytes(65_536));
  await client.close();
}, TIMEOUT_MS);

afterAll(async () => {
  const { complaints } = daemon;
  await daemon.stop();
  removeScratch(folder);
  expect(complaints).toEqual([]);
}, TIMEOUT_MS);

/** Starts a restore and kills it once it has recorded pieces. @returns false when it was done before */
async function killedRestore(target: string): Promise<boolean> {
  using restoring = startSternway(daemon.dataDir, "restore", moment, "--to", target, "--in-flight", "1", "--json");
  while (restoring.running) {
    const record = statSync(`${target}.sternway-restore`, { throwIfNoEntry: false });
    if (record !== undefined && record.size >= RECORD_BYTES_MIN) {
      await restoring.kill();
      return true;
    }
    await Bun.sleep(1);
  }
  return false;
}

interface Report {
  resumedBytes: number;
  dataBytes: number;
  verified: string;
}

testWith(
  ["cmp"],
  "restore to a file gives the bytes of the moment, sparsely; so does the image over HTTP",
  async () => {
    const report = await daemon.command<Report>("restore", moment, "--to", at("file.img"));
    expect(report.verified).not.toBe("skipped");
    await succeed(["cmp", at("file.img"), at("image")]);
    expect(statSync(at("file.img")).blocks * 512).toBeLessThan(SIZE - 32 * MIB);
    await daemon.command("restore", "bulk@bookmark:whole", "--to", at("bookmark.img"));
    await succeed(["cmp", at("bookmark.img"), at("image")]);
    const [volume, lsn] = moment.split("@");
    await succeed([
      "curl",
      "-fsS",
      ...(await daemon.bearer()),
      "-o",
      at("http.img"),
      `${daemon.addresses.http}/v1/volumes/${volume}/image?at=${lsn}`,
    ]);
    await succeed(["cmp", at("http.img"), at("image")]);
    await daemon.command("restore", "bulk", "--to", at("now.img"));
    expect((await execute(["cmp", "--silent", at("now.img"), at("image")])).code).toBe(1);
  },
  TIMEOUT_MS,
);

testWith(
  ["cmp"],
  "a restore to a file that was killed goes on where it was",
  async () => {
    expect(await killedRestore(at("killed.img"))).toBe(true);
    const report = await daemon.command<Report>("restore", moment, "--to", at("killed.img"));
    expect(report.resumedBytes).toBeGreaterThan(0);
    await succeed(["cmp", at("killed.img"), at("image")]);
    expect(statSync(`${at("killed.img")}.sternway-restore`, { throwIfNoEntry: false })).toBeUndefined();
  },
  TIMEOUT_MS,
);

testWith(
  ["root", "losetup", "cmp"],
  "a restore to a block device that was killed goes on where it was, and leaves what lies past the image",
  async () => {
    const past = Buffer.from("what lies past the image");
    writeFileSync(at("disk"), "");
    truncateSync(at("disk"), SIZE + MIB);
    await using disk = await attachFile(at("disk"));
    await Bun.write(at("tail"), past);
    await succeed([
      "dd",
      `if=${at("tail")}`,
      `of=${disk.device}`,
      "bs=1M",
      `seek=${SIZE / MIB}`,
      "conv=fsync",
      "status=none",
    ]);
    expect(await killedRestore(disk.device)).toBe(true);
    const report = await daemon.command<Report>("restore", moment, "--to", disk.device);
    expect(report.resumedBytes).toBeGreaterThan(0);
    await succeed(["cmp", "-n", String(SIZE), disk.device, at("image")]);
    await succeed(["cmp", "-n", String(past.length), `--ignore-initial=${SIZE}:0`, disk.device, at("tail")]);
  },
  TIMEOUT_MS,
);

testWith(
  ["cmp", "sh"],
  "restore to standard output gives the bytes of the moment",
  async () => {
    const command = sternwayCommand(daemon.dataDir, "restore", moment, "--to", "-").map(quoted).join(" ");
    await succeed(["sh", "-c", `${command} | cmp - ${quoted(at("image"))}`]);
  },
  TIMEOUT_MS,
);

const quoted = (word: string): string => `'${word.replaceAll("'", "'\\''")}'`;
