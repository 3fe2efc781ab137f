/**
 * A vault and one tier through outages: the tier goes away under a client that writes and comes back; the machine's own files go away, or rot, under a client that
 * reads. Whoever reads, from here or from the tier alone, gets what was written.
 */
import { afterAll, expect } from "bun:test";
import { closeSync, mkdirSync, openSync, renameSync, rmSync, writeFileSync, writeSync } from "node:fs";
import { join } from "node:path";
import { seededRandom } from "../../src/base/random.ts";
import {
  type CommandResult,
  DaemonProcess,
  removeScratch,
  scratchFolder,
  sternway,
  succeed,
} from "../support/daemon-process.ts";
import { testWith } from "../support/require-tool.ts";
import {
  expectNoComplaints,
  expectSame,
  fioVerifies,
  fioWrites,
  imageOf,
  dropCaches,
  sealedFilesOf,
  sizeOf,
  tierComesTo,
  tierEquals,
  tierCatchesUp,
  TIER_CONFIG,
} from "../support/tier-appliance.ts";
import { TIER_MOUNT_TOOLS, TierMount } from "../support/tier-mount.ts";

const MIB = 2 ** 20;
const TIMEOUT_MS = 300_000;
const EXIT_DAMAGE = 6;

const folder = scratchFolder();
const at = (name: string): string => join(folder, name);
afterAll(() => removeScratch(folder), TIMEOUT_MS);

testWith(
  ["fio", "nbdcopy", "cmp", ...TIER_MOUNT_TOOLS],
  "a tier whose mount vanishes under a writer and comes back is equal again by itself, and gives every moment to another appliance",
  async () => {
    await using share = await TierMount.make(folder, 1024);
    const job = { sizeMib: 48, mibPerSecond: 12 };
    const start = (): Promise<DaemonProcess> => DaemonProcess.start(at("writer"), { config: TIER_CONFIG });
    const write = (daemon: DaemonProcess, seed: number): Promise<CommandResult> =>
      fioWrites(daemon.uri("disk"), { ...job, seed });
    const note = async (daemon: DaemonProcess, bookmark: string): Promise<void> => {
      await daemon.command("bookmark", "create", "disk", bookmark);
      await imageOf(daemon, `disk@bookmark:${bookmark}`, at(bookmark));
    };
    {
      await using daemon = await start();
      await daemon.command("volume", "create", "disk", String(job.sizeMib * MIB));
      await daemon.command("tier", "add", "default", share.url, "--name", "usb");
      expect(await write(daemon, 1)).toMatchObject({ code: 0 });
      await note(daemon, "before");

      const away = write(daemon, 2);
      await tierComesTo(daemon, { tier: "usb", states: ["online"] });
      await share.unmountLazily();
      const { reason } = await tierComesTo(daemon, { tier: "usb", states: ["offline"] });
      expect(reason).toContain("is it mounted?");
      expect(await away).toMatchObject({ code: 0 });
      await note(daemon, "away");
      expect(share.list()).toEqual([]);
      expectNoComplaints(daemon);
      await daemon.kill();
    }
    {
      // Nor is an empty mount point taken for the tier at a start.
      await using daemon = await start();
      await tierComesTo(daemon, { tier: "usb", states: ["offline"] });
      expect(share.list()).toEqual([]);
      const back = write(daemon, 3);
      await share.mount();
      await tierComesTo(daemon, { tier: "usb", states: ["online"], timeMsMax: 75_000 });
      expect(await back).toMatchObject({ code: 0 });
      await note(daemon, "back");
      await tierCatchesUp(daemon, "default", "usb");
      expect(await sternway(daemon.dataDir, "tier", "verify", "default", "usb")).toMatchObject({ code: 0 });
      const kinds = (await daemon.client.events()).events.map(({ kind }) => kind);
      expect(kinds).toContain("tier-offline");
      expect(kinds).toContain("tier-online");
      expectNoComplaints(daemon);
      await daemon.kill();
    }
    rmSync(at("writer"), { recursive: true });
    await using other = await DaemonProcess.start(at("reader"), { config: TIER_CONFIG });
    await other.command("vault", "open", share.url, "--name", "v");
    for (const [i, bookmark] of ["before", "away", "back"].entries()) {
      await expectSame(other, `disk@bookmark:${bookmark}`, at(bookmark));
      await fioVerifies(other.uri(`disk@bookmark:${bookmark}`), { sizeMib: job.sizeMib, seed: i + 1 });
    }
    expectNoComplaints(other);
  },
  TIMEOUT_MS,
);

testWith(
  ["nbdcopy", "cmp"],
  "packs that are deleted, or overwritten with garbage, under a running appliance are read from its tier, and brought back",
  async () => {
    const random = seededRandom(31);
    const size = 48 * MIB;
    mkdirSync(at("place"));
    await using daemon = await DaemonProcess.start(at("loss"), { config: TIER_CONFIG });
    await daemon.command("volume", "create", "disk", String(size));
    await daemon.command("tier", "add", "default", `file://${at("place")}`, "--name", "copy");
    for (const name of ["first", "second"]) {
      writeFileSync(at(name), random.bytes(size));
      await succeed(["nbdcopy", "--flush", at(name), daemon.uri("disk")]);
      await daemon.command("bookmark", "create", "disk", name);
    }
    expect(await sternway(daemon.dataDir, "tier", "sync", "default")).toMatchObject({ code: 0 });
    await tierEquals(daemon.dataDir, "default", at("place"));
    const everything = async (): Promise<void> => {
      for (const name of ["first", "second"]) await expectSame(daemon, `disk@bookmark:${name}`, at(name));
    };
    const ruin = (): void => {
      for (const path of sealedFilesOf(daemon.dataDir, "default")) {
        const file = openSync(path, "r+");
        writeSync(file, random.bytes(sizeOf(path)));
        closeSync(file);
      }
      dropCaches();
    };

    const scrub = (): Promise<CommandResult> => sternway(daemon.dataDir, "scrub", "run", "--full");
    const check = (): Promise<CommandResult> => sternway(daemon.dataDir, "check");

    // A client that reads has them brought back, and the next scrub the rest.
    ruin();
    await everything();
    const told = (await daemon.client.events()).events.filter(({ kind }) => kind === "file-restored");
    expect(told.length).toBeGreaterThan(10);
    expect(await scrub()).toMatchObject({ code: 0 });
    expect(await check()).toMatchObject({ code: 0 });

    // The scrub alone.
    ruin();
    const repaired = await scrub();
    expect(repaired).toMatchObject({ code: 0 });
    expect(repaired.out).toContain("brought back; nothing is damaged");
    expect(repaired.out).toContain("repair of pack ");
    expect(repaired.out).toContain("repair of layer ");
    expect(repaired.out).toContain("repair of chronicle ");
    expect(await check()).toMatchObject({ code: 0 });

    // Gone, while descriptors may still be open.
    const packs = join(daemon.dataDir, "vaults", "default", "packs");
    renameSync(packs, at("pulled"));
    dropCaches();
    await everything();
    rmSync(at("pulled"), { recursive: true });
    await everything();
    const missed = await check();
    expect(missed).toMatchObject({ code: EXIT_DAMAGE });
    expect(missed.out).toContain("is missing");
    const found = await scrub();
    expect(found).toMatchObject({ code: 0 });
    expect(found.out).toContain("its file is missing");
    expect(await check()).toMatchObject({ code: 0 });

    // What is here is enough again.
    renameSync(at("place"), at("gone"));
    await daemon.kill();
    await using later = await DaemonProcess.start(at("loss"), { config: TIER_CONFIG });
    for (const name of ["first", "second"]) await expectSame(later, `disk@bookmark:${name}`, at(name));
    expect(await sternway(later.dataDir, "check")).toMatchObject({ code: 0 });
  },
  TIMEOUT_MS,
);
