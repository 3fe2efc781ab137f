/**
 * Ransomware on a real file system: a machine in normal use (files come and go, a package upgrade, a database load, a film is copied) gives no alarm; then its files
 * are encrypted in place. The alarm comes within a minute, the moment before is held, and the files read back whole from it.
 *
 * The appliance has its usual settings, so this also shows that what is written is looked at before a journal file is full.
 */
import { Database } from "bun:sqlite";
import { afterAll, beforeAll, expect, test } from "bun:test";
import { createCipheriv } from "node:crypto";
import {
  closeSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { dirname, join } from "node:path";
import { gzipSync } from "node:zlib";
import { seededRandom } from "../../src/base/random.ts";
import { DaemonProcess, removeScratch, scratchFolder, sternwayCommand, succeed } from "../support/daemon-process.ts";
import { differences, readTree, type Tree } from "../support/e2e-files.ts";
import { attachExport, mountAt, MOUNT_TOOLS } from "../support/e2e-mounts.ts";
import { describeWith } from "../support/require-tool.ts";

const seed = Number(process.env["STERNWAY_SEED"] ?? Math.floor(Math.random() * 2 ** 31));
const TIMEOUT_MS = 300_000;
const ALARM_MS_MAX = 60_000;
/** So far back something that looks like it may be taken for the beginning: too early a moment costs some work, too late a one is encrypted. */
const WINDOW_MS = 60_000;
const VOLUME = "fileserver";

const folder = scratchFolder();
const random = seededRandom(seed);
let daemon: DaemonProcess;

beforeAll(async () => {
  daemon = await DaemonProcess.start(join(folder, "data"));
}, TIMEOUT_MS);

afterAll(async () => {
  // The alarm itself is logged as an error.
  const complaints = daemon.complaints.filter(({ msg }) => msg !== "a volume seems to be encrypted by somebody");
  await daemon.stop();
  removeScratch(folder);
  expect(complaints).toEqual([]);
}, TIMEOUT_MS);

const WORDS = [
  "volume",
  "moment",
  "journal",
  "invoice",
  "street",
  "total",
  "of",
  "and",
  "the",
  "answer",
  "0",
  "17.50",
  "\n",
];

function text(length: number): string {
  let out = "";
  while (out.length < length) out += `${WORDS[random.below(WORDS.length)]!}-${random.below(10_000)} `;
  return out.slice(0, length);
}

function write(root: string, path: string, content: string | Uint8Array): void {
  mkdirSync(dirname(join(root, path)), { recursive: true });
  writeFileSync(join(root, path), content);
}

const settle = (root: string): Promise<string> => succeed(["sync", "--file-system", root]);

/** Seals all that was written, so that the signals have seen it. */
const sealed = (): Promise<string> => succeed(sternwayCommand(daemon.dataDir, "gc", "run"));

async function alarms(): Promise<{ id: number; hold?: string; before: { lsn: number; flushPoint: boolean } }[]> {
  return (await daemon.client.alarms()).alarms as never;
}

async function mounted<Result>(exportName: string, use: (root: string) => Promise<Result>): Promise<Result> {
  await using attached = await attachExport(daemon.uri(exportName), folder);
  const root = join(folder, "mount");
  await using _mounted = await mountAt(attached.device, root);
  return await use(root);
}

describeWith([...MOUNT_TOOLS, "mkfs.ext4", "sync"], `a file server (seed ${seed})`, () => {
  let before: Tree;
  let quietSince = 0;

  test(
    "in normal use gives no alarm",
    async () => {
      await daemon.command("volume", "create", VOLUME, "1G");
      {
        await using attached = await attachExport(daemon.uri(VOLUME), folder);
        await succeed(["mkfs.ext4", "-q", attached.device]);
      }
      await mounted(VOLUME, async (root) => {
        for (let i = 0; i < 700; i++) write(root, `documents/${i % 20}/${i}.txt`, text(1000 + random.below(120_000)));
        for (let i = 0; i < 300; i++) write(root, `usr/lib/package-${i}.js`, text(500 + random.below(40_000)));
        await settle(root);
        await sealed();

        // A package upgrade: an archive comes, files are unpacked beside and renamed over, old ones go, manual pages are compressed.
        write(root, "var/cache/upgrade.tar.gz", gzipSync(text(8_000_000)));
        for (let i = 0; i < 300; i++) {
          write(root, `usr/lib/package-${i}.new`, text(500 + random.below(40_000)));
          renameSync(join(root, `usr/lib/package-${i}.new`), join(root, `usr/lib/package-${i}.js`));
          if (i % 3 === 0) write(root, `usr/man/package-${i}.gz`, gzipSync(text(20_000)));
        }
        rmSync(join(root, "var/cache/upgrade.tar.gz"));
        await settle(root);
        await sealed();

        // A database load, with changes all over it afterwards.
        mkdirSync(join(root, "data"), { recursive: true });
        {
          using database = new Database(join(root, "data/app.db"), { create: true, strict: true });
          database.run("CREATE TABLE rows (number INTEGER PRIMARY KEY, line TEXT, digest BLOB)");
          const insert = database.prepare("INSERT INTO rows (line, digest) VALUES (?, randomblob(32))");
          for (let batch = 0; batch < 20; batch++) {
            database.transaction(() => {
              for (let i = 0; i < 2000; i++) insert.run(text(300));
            })();
          }
          database.run("UPDATE rows SET line = 'changed ' || substr(line, 9) WHERE number % 7 = 0");
        }
        await settle(root);
        await sealed();

        // A film.
        for (let part = 0; part < 12; part++) write(root, `media/film-${part}.mkv`, random.bytes(8 * 2 ** 20));
        await settle(root);
        await sealed();

        // Files that people work on.
        for (let i = 0; i < 100; i++) write(root, `documents/${i % 20}/${i}.txt`, text(1000 + random.below(120_000)));
        await settle(root);
        await sealed();
        before = readTree(root);
        quietSince = performance.now();
      });
      expect(await alarms()).toEqual([]);
      const { buckets, score } = await daemon.client.signals(VOLUME, { from: "-1h", buckets: 1 });
      console.log(`in normal use: score ${score.toFixed(2)}`, buckets[0]);
      expect(buckets[0]!.writtenBytes).toBeGreaterThan(150 * 2 ** 20);
      expect(score).toBeLessThan(1);
    },
    TIMEOUT_MS,
  );

  test(
    "whose files are encrypted in place gives an alarm within a minute, with a hold from which they read back whole",
    async () => {
      let began = 0;
      let raised = 0;
      // The film lies where files were deleted a moment ago, which looks alike: let what is looked back at pass.
      await Bun.sleep(Math.max(0, quietSince + WINDOW_MS + 5_000 - performance.now()));
      await mounted(VOLUME, async (root) => {
        began = performance.now();
        const alarm = waitForAlarm(began + ALARM_MS_MAX);
        for (const entry of readdirSync(join(root, "documents"), { recursive: true, withFileTypes: true })) {
          if (!entry.isFile()) continue;
          encryptInPlace(join(entry.parentPath, entry.name));
          // As slowly as a program that reads, encrypts and writes; and others have their turn.
          await Bun.sleep(5);
        }
        await settle(root);
        raised = await alarm;
        expect(differences(readTree(root), before).length).toBeGreaterThan(650);
      });
      console.log(`alarm ${Math.round((raised - began) / 1000)} s after the attack began`);
      const [alarm, ...more] = await alarms();
      expect(more).toEqual([]);
      expect(alarm).toMatchObject({ before: { flushPoint: true } });

      const holds = await daemon.client.holds(VOLUME);
      expect(holds.map(({ name, lsn }) => ({ name, lsn }))).toEqual([{ name: alarm!.hold!, lsn: alarm!.before.lsn }]);
      const { events } = await daemon.client.events();
      const told = events.find(({ kind }) => kind === "ransomware-suspected");
      expect(told).toMatchObject({ level: "alert", subject: VOLUME });
      expect(told!.message).toContain(`rollback ${VOLUME} --to lsn:${alarm!.before.lsn}`);
      expect(await daemon.client.metrics()).toContain("sternway_alarms_total 1");

      await daemon.command("branch", `${VOLUME}@lsn:${alarm!.before.lsn}`, "clean");
      await mounted("clean", async (root) => expect(differences(readTree(root), before)).toEqual([]));

      await daemon.command("alarm", "acknowledge", String(alarm!.id), "--attack", "--note", "found it");
      expect((await daemon.client.alarms()).alarms[0]).toMatchObject({
        acknowledged: { verdict: "attack", by: "root" },
      });
    },
    TIMEOUT_MS,
  );
});

function encryptInPlace(path: string): void {
  const cipher = createCipheriv("aes-256-ctr", random.bytes(32), random.bytes(16));
  const encrypted = Buffer.concat([cipher.update(readFileSync(path)), cipher.final()]);
  const file = openSync(path, "r+");
  writeSync(file, encrypted, 0, encrypted.length, 0);
  fsyncSync(file);
  closeSync(file);
}

/** @returns when it was there */
async function waitForAlarm(until: number): Promise<number> {
  while (performance.now() < until) {
    if ((await alarms()).length > 0) return performance.now();
    await Bun.sleep(250);
  }
  const { score, buckets } = await daemon.client.signals(VOLUME, { from: "-5m", buckets: 5 });
  throw new Error(`no alarm within a minute: score ${score}, ${JSON.stringify(buckets)}`);
}
