/**
 * A machine that is lost, and who may write then: a vault that is opened from its tier alone, on another appliance, with all that people would miss; and the old
 * writer that comes back from a copy of its folder, from a pause, or twice. It writes nowhere that the new one can see, and says why.
 */
import { afterAll, expect } from "bun:test";
import { mkdirSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { isSternwayError } from "../../src/base/errors.ts";
import { seededRandom } from "../../src/base/random.ts";
import { connectNbd } from "../../src/nbd/client.ts";
import { DaemonProcess, execute, removeScratch, scratchFolder, sternway, succeed } from "../support/daemon-process.ts";
import { testWith } from "../support/require-tool.ts";
import {
  contentsOf,
  expectNoComplaints,
  expectSame,
  fioVerifies,
  fioWrites,
  imageOf,
  tierCatchesUp,
  tierComesTo,
  TIER_CONFIG,
  within,
} from "../support/tier-appliance.ts";

const MIB = 2 ** 20;
const SIZE_MIB = 32;
const TIMEOUT_MS = 300_000;
const EXIT = { conflict: 4, denied: 7, fenced: 8 };
/** Manifests, identity and a tail of a few MiB are read; no pack is. */
const OPEN_MS_MAX = 5000;

const folder = scratchFolder();
const at = (name: string): string => join(folder, name);
const tierIn = (name: string): string => {
  mkdirSync(at(name));
  return `file://${at(name)}`;
};
afterAll(() => removeScratch(folder), TIMEOUT_MS);

const start = (name: string, words: object = {}): Promise<DaemonProcess> =>
  DaemonProcess.start(at(name), { config: { ...TIER_CONFIG, ...words } });

/** A write through the NBD socket, synced. @returns whether it was answered as written */
async function canWrite(daemon: DaemonProcess, volume: string): Promise<boolean> {
  const { code } = await execute([
    "qemu-io",
    "-f",
    "raw",
    "-c",
    "write -P 0x66 0 64k",
    "-c",
    "flush",
    daemon.uri(volume),
  ]);
  return code === 0;
}

/** It writes nothing any more, and every way to ask says why. */
async function expectOvertaken(daemon: DaemonProcess, tier: string): Promise<void> {
  expect(await canWrite(daemon, "disk")).toBe(false);
  for (const words of [
    ["tier", "list"],
    ["vault", "list"],
  ]) {
    const { code, out } = await sternway(daemon.dataDir, ...words);
    expect({ code, out }).toEqual({ code: 0, out: expect.stringMatching(/took (the vault|it) over/) as string });
  }
  for (const words of [
    ["tier", "sync", "default"],
    ["tier", "sync", "default", tier],
  ]) {
    const { code, err } = await sternway(daemon.dataDir, ...words);
    expect({ code, err }).toEqual({
      code: EXIT.fenced,
      err: expect.stringMatching(/took (the vault|it) over/) as string,
    });
  }
  // The one way back begins at that tier.
  expect(await sternway(daemon.dataDir, "tier", "remove", "default", tier)).toMatchObject({ code: EXIT.conflict });
}

const hasHappened = async (daemon: DaemonProcess, kind: string): Promise<boolean> =>
  (await daemon.client.events()).events.some((event) => event.kind === kind);

/** A further appliance that only reads gives what this one holds, and after a refresh what it holds by then. */
async function expectReadBy(other: string, url: string, writer: DaemonProcess, vault: string): Promise<void> {
  const [tier] = await writer.client.tiers(vault);
  await using reader = await start(other);
  await reader.command("vault", "open", url, "--name", "look");
  await expectSame(reader, "disk@now", await imageOf(writer, "disk", at(`${other}.img`)));
  expect(await fioWrites(writer.uri("disk"), { sizeMib: 4, seed: 99 })).toMatchObject({ code: 0 });
  await tierCatchesUp(writer, vault, tier!.name);
  await reader.command("vault", "refresh", "look");
  await expectSame(reader, "disk@now", await imageOf(writer, "disk", at(`${other}.img`)));
}

testWith(
  ["fio", "nbdcopy", "cmp", "qemu-io", "cp"],
  "a vault whose machine is lost is read at once from its tier with all that people would miss, written to after a take-over, and never again by the old one",
  async () => {
    const url = tierIn("place");
    const bookmarks = ["first", "second"];
    {
      await using writer = await start("writer");
      await writer.command("volume", "create", "disk", `${SIZE_MIB}M`);
      await writer.command("tier", "add", "default", url, "--name", "away");
      await tierComesTo(writer, { tier: "away", states: ["online"] });
      await writer.stop();
    }
    await succeed(["cp", "-a", at("writer"), at("old")]);
    {
      await using writer = await start("writer");
      for (const [i, bookmark] of bookmarks.entries()) {
        expect(await fioWrites(writer.uri("disk"), { sizeMib: SIZE_MIB, seed: i + 1 })).toMatchObject({ code: 0 });
        await writer.command("bookmark", "create", "disk", bookmark);
        await imageOf(writer, `disk@bookmark:${bookmark}`, at(bookmark));
      }
      await writer.command("hold", "create", "disk@bookmark:first", "--name", "court", "--note", "asked for");
      await writer.command("retention", "set", "disk", "--all", "48h", "--daily", "4w");
      await tierCatchesUp(writer, "default", "away");
      expectNoComplaints(writer);
      await writer.kill();
    }
    rmSync(at("writer"), { recursive: true });

    await using heir = await start("heir");
    const from = performance.now();
    await heir.client.openVaultFrom({ name: "v", url, tier: "origin" });
    const openMs = performance.now() - from;
    await expectSame(heir, "disk@bookmark:first", at("first"));
    console.log(`a vault of ${SIZE_MIB} MiB twice over opened from its tier in ${openMs.toFixed(0)} ms`);
    expect(openMs).toBeLessThan(OPEN_MS_MAX);
    expect(await heir.client.vaultNamed("v")).toMatchObject({ state: "read-only" });
    expect(await canWrite(heir, "disk")).toBe(false);
    for (const [i, bookmark] of bookmarks.entries()) {
      await expectSame(heir, `disk@bookmark:${bookmark}`, at(bookmark));
      await fioVerifies(heir.uri(`disk@bookmark:${bookmark}`), { sizeMib: SIZE_MIB, seed: i + 1 });
    }
    await expectSame(heir, "disk@now", at("second"));
    expect((await heir.client.holds("disk")).map(({ name, note }) => ({ name, note }))).toEqual([
      { name: "court", note: "asked for" },
    ]);
    const { policy } = await heir.client.retention("disk");
    expect(policy).toMatchObject({ allSeconds: 48 * 3600, dailySeconds: 28 * 86_400 });
    // What is at the tier is not missing.
    expect((await sternway(heir.dataDir, "check", "--vault", "v")).out).not.toMatch(
      /\.(pack|layer|chronicle) is missing/,
    );

    await heir.command("vault", "take-over", "v");
    await expectSame(heir, "disk", at("second"));
    await within(30_000, "every file is here", async () => hasHappened(heir, "vault-arrived"));
    renameSync(at("place"), at("place-away"));
    for (const bookmark of bookmarks) await expectSame(heir, `disk@bookmark:${bookmark}`, at(bookmark));
    renameSync(at("place-away"), at("place"));
    expect(await fioWrites(heir.uri("disk"), { sizeMib: SIZE_MIB, seed: 3 })).toMatchObject({ code: 0 });
    await heir.command("bookmark", "create", "disk", "third");
    await tierCatchesUp(heir, "v", "origin");
    const before = contentsOf(at("place"));

    {
      await using old = await start("old");
      await tierComesTo(old, { tier: "away", states: ["overtaken"] });
      await expectOvertaken(old, "away");
      expect(contentsOf(at("place"))).toEqual(before);
      await old.stop();
    }
    {
      // It remembers.
      await using old = await start("old");
      await expectOvertaken(old, "away");
      expect(contentsOf(at("place"))).toEqual(before);
    }
    expect(await canWrite(heir, "disk")).toBe(true);
    expect(await fioWrites(heir.uri("disk"), { sizeMib: SIZE_MIB, seed: 4 })).toMatchObject({ code: 0 });
    for (const bookmark of bookmarks) await expectSame(heir, `disk@bookmark:${bookmark}`, at(bookmark));
    await fioVerifies(heir.uri("disk@bookmark:third"), { sizeMib: SIZE_MIB, seed: 3 });
    expect(await sternway(heir.dataDir, "tier", "sync", "v")).toMatchObject({ code: 0 });
    // Let go of and added again, it is compared and goes on.
    await heir.command("tier", "remove", "v", "origin");
    await heir.command("tier", "add", "v", url, "--name", "again");
    expect(await sternway(heir.dataDir, "tier", "sync", "v")).toMatchObject({ code: 0 });
    expect(await sternway(heir.dataDir, "tier", "verify", "v", "again")).toMatchObject({ code: 0 });
    await expectReadBy("witness", url, heir, "v");
    expectNoComplaints(heir);
  },
  TIMEOUT_MS,
);

testWith(
  ["qemu-io", "nbdcopy", "cmp"],
  "an encrypted vault opens from its tier with its key file, and neither without one nor with another one",
  async () => {
    const url = tierIn("sealed-place");
    const keys = { right: at("right.key"), wrong: at("wrong.key") };
    for (const [i, path] of [keys.right, keys.wrong].entries()) {
      writeFileSync(path, seededRandom(40 + i).bytes(32), { mode: 0o600 });
    }
    {
      await using writer = await start("sealed-writer");
      await writer.command("vault", "create", "payroll", "--encrypt", "--key-file", keys.right);
      await writer.command("volume", "create", "secret", `${SIZE_MIB}M`, "--vault", "payroll");
      await writer.command("tier", "add", "payroll", url, "--name", "away");
      writeFileSync(at("secret.img"), seededRandom(42).bytes(SIZE_MIB * MIB));
      await succeed(["nbdcopy", "--flush", at("secret.img"), writer.uri("secret")]);
      await tierCatchesUp(writer, "payroll", "away");
      expectNoComplaints(writer);
      await writer.kill();
    }
    rmSync(at("sealed-writer"), { recursive: true });
    const before = contentsOf(at("sealed-place"));
    await using heir = await start("sealed-heir");
    const open = (name: string, ...words: string[]) =>
      sternway(heir.dataDir, "vault", "open", url, "--name", name, ...words);
    expect(await open("p")).toMatchObject({ code: EXIT.denied });
    expect(await open("p", "--key-file", keys.wrong)).toMatchObject({ code: EXIT.denied });
    expect(await open("p", "--key-file", keys.wrong, "--take-over")).toMatchObject({ code: EXIT.denied });
    expect((await heir.client.vaults()).map(({ name }) => name)).toEqual(["default"]);
    expect(contentsOf(at("sealed-place"))).toEqual(before);
    expect(await open("p", "--key-file", keys.right)).toMatchObject({ code: 0 });
    await expectSame(heir, "secret@now", at("secret.img"));
    const takeOver = (...words: string[]) => sternway(heir.dataDir, "vault", "take-over", "p", ...words);
    expect(await takeOver("--key-file", keys.wrong)).toMatchObject({ code: EXIT.denied });
    expect(await takeOver()).toMatchObject({ code: EXIT.denied });
    await expectSame(heir, "secret@now", at("secret.img"));
    expect(contentsOf(at("sealed-place"))).toEqual(before);
    expect(await takeOver("--key-file", keys.right)).toMatchObject({ code: 0 });
    await expectSame(heir, "secret", at("secret.img"));
    expect(await canWrite(heir, "secret")).toBe(true);
    expect(await sternway(heir.dataDir, "tier", "sync", "p")).toMatchObject({ code: 0 });
    expect(await sternway(heir.dataDir, "tier", "verify", "p", "origin")).toMatchObject({ code: 0 });
    expectNoComplaints(heir);
  },
  TIMEOUT_MS,
);

testWith(
  ["fio", "nbdcopy", "cmp", "qemu-io"],
  "a writer that is paused, overtaken and goes on answers no flush that its heir does not have",
  async () => {
    const url = tierIn("paused-place");
    await using writer = await start("paused");
    await writer.command("volume", "create", "disk", `${SIZE_MIB}M`);
    await writer.command("volume", "create", "stamps", `${STAMP_BLOCKS * 4096}`);
    await writer.command("tier", "add", "default", url, "--name", "away", "--mode", "sync");
    await tierComesTo(writer, { tier: "away", states: ["online"] });
    const stamper = new Stamper();
    const stamping = stamper.run(writer);
    const writing = fioWrites(writer.uri("disk"), { sizeMib: SIZE_MIB, seed: 5, mibPerSecond: 4 });
    await within(20_000, "stamps are answered", () => stamper.answered > 30);

    process.kill(writer.pid, "SIGSTOP");
    const atPause = stamper.answered;
    await using heir = await start("paused-heir");
    await heir.command("vault", "open", url, "--name", "v", "--take-over");
    const found = await newestStamp(heir);
    expect(found).toBeGreaterThanOrEqual(atPause);
    const heirs = fioWrites(heir.uri("disk"), { sizeMib: SIZE_MIB, seed: 6, mibPerSecond: 8 });
    process.kill(writer.pid, "SIGCONT");

    await tierComesTo(writer, { tier: "away", states: ["overtaken"] });
    await stamping;
    expect(stamper.answered).toBeLessThanOrEqual(found);
    expect((await writing).code).not.toBe(0);
    await expectOvertaken(writer, "away");
    expect(await heirs).toMatchObject({ code: 0 });
    expect(await newestStamp(heir)).toBe(found);
    await tierCatchesUp(heir, "v", "origin");
    const before = contentsOf(at("paused-place"));
    await expectOvertaken(writer, "away");
    expect(contentsOf(at("paused-place"))).toEqual(before);
    const { events } = await writer.client.events();
    expect(events.filter(({ kind }) => kind === "vault-overtaken")).toHaveLength(1);
    expect(await sternway(heir.dataDir, "tier", "verify", "v", "origin")).toMatchObject({ code: 0 });
    await expectReadBy("paused-witness", url, heir, "v");

    // And back again: what it wrote after it was overtaken is gone, what its heir wrote is there.
    const image = await imageOf(heir, "disk@now", at("heirs.img"));
    await writer.command("vault", "take-over", "default");
    await expectSame(writer, "disk", image);
    expect(await newestStamp(writer)).toBe(found);
    expect(await canWrite(writer, "disk")).toBe(true);
    // A continuous tier tells of it when the next piece of tail goes there: what is written until then is its own alone.
    await canWrite(heir, "disk");
    await tierComesTo(heir, { vault: "v", tier: "origin", states: ["overtaken"] });
    expect(await canWrite(heir, "disk")).toBe(false);
    expect(await sternway(writer.dataDir, "tier", "sync", "default")).toMatchObject({ code: 0 });
    expect(await sternway(writer.dataDir, "check")).toMatchObject({ code: 0 });
  },
  TIMEOUT_MS,
);

testWith(
  ["fio", "nbdcopy", "cmp", "qemu-io", "cp"],
  "of two installations on copies of one data folder the later one to reach the tier is told so, and the other one works on",
  async () => {
    const url = tierIn("twice-place");
    {
      await using first = await start("one");
      await first.command("volume", "create", "disk", `${SIZE_MIB}M`);
      await first.command("tier", "add", "default", url, "--name", "away");
      expect(await fioWrites(first.uri("disk"), { sizeMib: SIZE_MIB, seed: 7 })).toMatchObject({ code: 0 });
      await tierCatchesUp(first, "default", "away");
      await first.stop();
    }
    await succeed(["cp", "-a", at("one"), at("two")]);
    await using one = await start("one");
    await tierComesTo(one, { tier: "away", states: ["online"] });
    await using two = await start("two");
    const { reason } = await tierComesTo(two, { tier: "away", states: ["foreign"] });
    expect(reason).toContain("another one writes there");
    // Nor can it have the vault a second time: its volumes' names are taken, and nobody loses the writing over that.
    expect(await sternway(two.dataDir, "vault", "open", url, "--name", "again", "--take-over")).toMatchObject({
      code: EXIT.conflict,
    });
    const before = contentsOf(at("twice-place"));
    // Its own disk is its own all the same.
    expect(await fioWrites(two.uri("disk"), { sizeMib: SIZE_MIB, seed: 8 })).toMatchObject({ code: 0 });
    const { code, err } = await sternway(two.dataDir, "tier", "sync", "default");
    expect({ code, err }).toEqual({
      code: EXIT.fenced,
      err: expect.stringContaining("another one writes there") as string,
    });
    expect(contentsOf(at("twice-place"))).toEqual(before);
    expect((await two.client.events()).events).toContainEqual(
      expect.objectContaining({ kind: "tier-foreign", level: "alert" }),
    );

    expect(await fioWrites(one.uri("disk"), { sizeMib: SIZE_MIB, seed: 9 })).toMatchObject({ code: 0 });
    expect(await sternway(one.dataDir, "tier", "sync", "default")).toMatchObject({ code: 0 });
    expect(await sternway(one.dataDir, "tier", "verify", "default", "away")).toMatchObject({ code: 0 });
    await expectReadBy("twice-witness", url, one, "default");
    expectNoComplaints(one);
  },
  TIMEOUT_MS,
);

const STAMP_BLOCKS = 64;

/** Writes a number, has it flushed, and counts it as answered: what a client may rely on. */
class Stamper {
  answered = 0;

  /** Until a write or flush is refused. */
  async run(daemon: DaemonProcess): Promise<void> {
    const client = await connectNbd(daemon.blocks, "stamps");
    try {
      for (let stamp = 1; ; stamp++) {
        const block = new Uint8Array(4096);
        new DataView(block.buffer).setUint32(0, stamp);
        await client.write((stamp % STAMP_BLOCKS) * 4096, block);
        await client.flush();
        this.answered = stamp;
      }
    } catch (error) {
      if (!isSternwayError(error)) throw error;
    } finally {
      await client.close();
    }
  }
}

async function newestStamp(daemon: DaemonProcess): Promise<number> {
  const client = await connectNbd(daemon.blocks, "stamps@now");
  try {
    const bytes = await client.read(0, STAMP_BLOCKS * 4096);
    const view = new DataView(bytes.buffer, bytes.byteOffset);
    return Math.max(...Array.from({ length: STAMP_BLOCKS }, (_, block) => view.getUint32(block * 4096)));
  } finally {
    await client.close();
  }
}
