/**
 * The rounds of test/crash/kill.test.ts, many of them: each restart opens what every one before it left behind. And the ends of a
 * daemon, sudden and orderly, as the clients of others see them.
 */
import { afterAll, expect, test } from "bun:test";
import { seededRandom } from "../../src/base/random.ts";
import { killRounds } from "../support/daemon-kill-rounds.ts";
import { DaemonProcess, execute, removeScratch, scratchFolder, sternway } from "../support/daemon-process.ts";
import { testWith } from "../support/require-tool.ts";

const seed = Number(process.env["STERNWAY_SEED"] ?? Math.floor(Math.random() * 2 ** 31));
const ROUNDS = 100;
const TIMEOUT_MS = 1_800_000;
/** Opening reads what was not sealed, at most a few journal files: so many starts on an empty folder it may take. */
const START_RATIO_MAX = 20;
/** How much slower late starts may be than early ones, both measured in starts on an empty folder: their time must not grow with the rounds. */
const GROWTH_MAX = 4;
/** The daemon's grace for sessions is 10 s. */
const CLIENTS_END_MS_MAX = 15_000;

const folder = scratchFolder();
afterAll(() => removeScratch(folder), TIMEOUT_MS);

test(
  `${ROUNDS} kills of one vault each leave an exact prefix, and every moment kept on the way (seed ${seed})`,
  async () => {
    const emptyBefore = await emptyStartMs("before");
    const report = await killRounds({
      dataDir: `${folder}/vault`,
      random: seededRandom(seed),
      rounds: ROUNDS,
      checkEvery: 20,
    });
    const emptyAfter = await emptyStartMs("after");
    const middle = middleOf(report.startMs);
    const worst = Math.round(Math.max(...report.startMs));
    const early = middleOf(report.startMs.slice(1, 1 + (ROUNDS >> 2)));
    const late = middleOf(report.startMs.slice(-(ROUNDS >> 2)));
    console.log(
      `${ROUNDS} kills: start after one ${middle} ms in the middle (${early} ms early, ${late} ms late; of an empty folder ${emptyBefore} and ${emptyAfter} ms), ${worst} ms at worst; ${report.answeredCount} writes answered, ${report.lostCount} unflushed ones lost, ${report.flushCount} flushes, ${report.sealedCount} stretches sealed, ${report.packCount} packs and ${report.layerCount} layers at the end`,
    );
    expect(report.momentCount).toBe(ROUNDS);
    expect(report.sealedCount).toBeGreaterThan(ROUNDS);
    expect(late / emptyAfter / (early / emptyBefore)).toBeLessThan(GROWTH_MAX);
    const check = await sternway(`${folder}/vault`, "check");
    expect(check).toMatchObject({ code: 0 });
  },
  TIMEOUT_MS,
);

for (const end of ["asked to stop", "killed"] as const) {
  testWith(
    ["fio", "nbdcopy", "qemu-img"],
    `clients of a daemon that is ${end} under them end with an error, and none hangs`,
    async () => {
      const dataDir = `${folder}/${end.replaceAll(" ", "-")}`;
      await using daemon = await DaemonProcess.start(dataDir);
      await daemon.command("volume", "create", "disk", "512M");
      await daemon.command("volume", "create", "other", "512M");
      const uri = daemon.uri("disk");
      const clients = [
        [
          ...["fio", "--name=x", "--ioengine=nbd", `--uri=${uri}`, "--size=256m", "--rw=randwrite", "--bs=4k"],
          ...["--iodepth=16", "--fsync=16", "--time_based", "--runtime=60"],
        ],
        ["sh", "-c", `while :; do nbdcopy '${daemon.uri("other")}' '${uri}' || exit; done`],
        ["sh", "-c", `while :; do qemu-img convert -f raw -O raw '${uri}' '${folder}/out.img' || exit; done`],
      ].map((command) => execute(command, { cwd: folder }));
      await untilWritten(daemon, "disk");
      const from = performance.now();
      if (end === "killed") await daemon.kill();
      else expect((await daemon.stop()).code).toBe(0);
      const results = await Promise.all(clients);
      expect(performance.now() - from).toBeLessThan(CLIENTS_END_MS_MAX);
      // By its status alone: not every client says in words that the far end went away.
      for (const { code } of results) expect(code).not.toBe(0);
      await using again = await DaemonProcess.start(dataDir);
      expect(again.startMs / daemon.startMs).toBeLessThan(START_RATIO_MAX);
      expect((await again.stop()).code).toBe(0);
      expect(await sternway(dataDir, "check")).toMatchObject({ code: 0 });
      expect([...daemon.complaints, ...again.complaints]).toEqual([]);
    },
    TIMEOUT_MS,
  );
}

function middleOf(values: readonly number[]): number {
  return Math.round(values.toSorted((a, b) => a - b)[values.length >> 1]!);
}

/** How long a start takes on this machine at this time, where there is nothing to read. */
async function emptyStartMs(name: string): Promise<number> {
  const times: number[] = [];
  for (let i = 0; i < 5; i++) {
    await using daemon = await DaemonProcess.start(`${folder}/empty-${name}-${i}`);
    times.push(daemon.startMs);
  }
  return middleOf(times);
}

async function untilWritten(daemon: DaemonProcess, volume: string): Promise<void> {
  for (let attempt = 0; attempt < 3000; attempt++) {
    if ((await daemon.client.volume(volume)).lastLsn > 5000) return;
    await Bun.sleep(10);
  }
  throw new Error(`nothing is written to ${volume}`);
}
