/**
 * Vaults on one distributed store, opened by several appliances: Ceph's RADOS Gateway, stopped and started under a client that writes. Two appliances read what a
 * third one writes, one of them takes over, and the writer before writes nowhere that the others see.
 */
import { afterAll, expect } from "bun:test";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { CEPH_TOOLS, startCeph } from "../support/ceph.ts";
import { DaemonProcess, removeScratch, scratchFolder, sternway } from "../support/daemon-process.ts";
import { testWith } from "../support/require-tool.ts";
import {
  expectNoComplaints,
  expectSame,
  fioVerifies,
  fioWrites,
  imageOf,
  tierCatchesUp,
  tierComesTo,
  TIER_CONFIG,
} from "../support/tier-appliance.ts";

const MIB = 2 ** 20;
const TIMEOUT_MS = 480_000;
const EXIT = { invalid: 2, fenced: 8 };

const folder = scratchFolder();
const at = (name: string): string => join(folder, name);
afterAll(() => removeScratch(folder), TIMEOUT_MS);

testWith(
  [...CEPH_TOOLS, "fio", "nbdcopy", "cmp"],
  "a vault on Ceph survives its gateway's absence, is read by others, and is taken over",
  async () => {
    await using ceph = await startCeph();
    await ceph.makeBucket("vaults");
    const { accessKeyId, secretAccessKey } = ceph.credentials;
    const keys = at("s3.keys");
    writeFileSync(keys, `accessKeyId=${accessKeyId}\nsecretAccessKey=${secretAccessKey}\n`, { mode: 0o600 });
    const url = `s3://vaults/web?endpoint=${ceph.endpoint}&region=${ceph.region}`;
    const secret = ["--secret-file", keys];
    const job = { sizeMib: 32, mibPerSecond: 8 };

    await using writer = await DaemonProcess.start(at("writer"), { config: TIER_CONFIG });
    await writer.command("volume", "create", "disk", String(job.sizeMib * MIB));
    // Locked objects have versions, and where there are versions this gateway (release 16) heeds no conditions: no writer could be told from another.
    await ceph.makeBucket("locked", { lock: true });
    const why = { locked: "asked to create it only if absent", vaults: "a bucket that was made with object lock" };
    for (const [bucket, reason] of Object.entries(why)) {
      const lockedUrl = `s3://${bucket}/kept?endpoint=${ceph.endpoint}&region=${ceph.region}&object-lock-days=1`;
      const words = ["tier", "add", "default", lockedUrl, "--name", "kept", ...secret];
      const { code, err } = await sternway(writer.dataDir, ...words);
      expect({ bucket, code, err }).toEqual({
        bucket,
        code: EXIT.invalid,
        err: expect.stringContaining(reason) as string,
      });
    }
    expect(await writer.client.tiers("default")).toEqual([]);
    await writer.command("tier", "add", "default", url, "--name", "ceph", ...secret);
    expect(await fioWrites(writer.uri("disk"), { ...job, seed: 1 })).toMatchObject({ code: 0 });
    await writer.command("bookmark", "create", "disk", "first");

    const during = fioWrites(writer.uri("disk"), { ...job, seed: 2 });
    await ceph.stopGateway();
    await tierComesTo(writer, { tier: "ceph", states: ["offline"], timeMsMax: 150_000 });
    expect(await during).toMatchObject({ code: 0 });
    await writer.command("bookmark", "create", "disk", "away");
    await ceph.startGateway();
    await tierComesTo(writer, { tier: "ceph", states: ["online"], timeMsMax: 150_000 });
    await tierCatchesUp(writer, "default", "ceph", 150_000);
    expect(await sternway(writer.dataDir, "tier", "verify", "default", "ceph")).toMatchObject({ code: 0 });
    await imageOf(writer, "disk@bookmark:away", at("away"));

    await using reader = await DaemonProcess.start(at("reader"), { config: TIER_CONFIG });
    await using heir = await DaemonProcess.start(at("heir"), { config: TIER_CONFIG });
    for (const other of [reader, heir]) {
      await other.command("vault", "open", url, "--name", "web", ...secret);
      await expectSame(other, "disk@bookmark:away", at("away"));
      await fioVerifies(other.uri("disk@bookmark:first"), { sizeMib: job.sizeMib, seed: 1 });
    }

    await heir.command("vault", "take-over", "web");
    expect(await fioWrites(heir.uri("disk"), { ...job, seed: 3 })).toMatchObject({ code: 0 });
    await heir.command("bookmark", "create", "disk", "heir");
    // Whether it writes or not, it finds out.
    await tierComesTo(writer, { tier: "ceph", states: ["overtaken"], timeMsMax: 150_000 });
    const refused = await sternway(writer.dataDir, "tier", "sync", "default");
    expect(refused.code).toBe(EXIT.fenced);
    expect(refused.err).toMatch(/took (the vault|it) over/);
    expect((await fioWrites(writer.uri("disk"), { sizeMib: 1, seed: 9 })).code).not.toBe(0);

    await tierCatchesUp(heir, "web", "origin", 150_000);
    await reader.command("vault", "refresh", "web");
    await fioVerifies(reader.uri("disk@bookmark:heir"), { sizeMib: job.sizeMib, seed: 3 });
    await expectSame(reader, "disk@bookmark:away", at("away"));
    expect(await sternway(heir.dataDir, "tier", "verify", "web", "origin")).toMatchObject({ code: 0 });
    expectNoComplaints(reader, heir);
  },
  TIMEOUT_MS,
);
