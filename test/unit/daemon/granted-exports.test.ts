import { describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { systemClock } from "../../../src/base/clock.ts";
import { realDisk } from "../../../src/base/real-disk.ts";
import { micros } from "../../../src/base/units.ts";
import { openCatalog } from "../../../src/catalog/catalog.ts";
import { credentialMaker, grantedExports } from "../../../src/daemon/granted-exports.ts";
import type { NbdServer } from "../../../src/nbd/server.ts";
import { pastExports } from "../../../src/restore/nbd-exports.ts";
import { liveExports } from "../../../src/sources/nbd-target.ts";
import { combineExports } from "../../../src/volume/export-name.ts";
import { createFakeVolumes } from "../../support/fake-volumes.ts";

const EXPIRES = 2_000_000;
const writer = { address: "test", tlsFingerprint: "aa" };
const reader = { address: "test", tlsFingerprint: "bb" };
const stranger = { address: "test", tlsFingerprint: "cc" };

async function setUp() {
  const dir = mkdtempSync(join(tmpdir(), "sternway-granted-"));
  const catalog = await openCatalog({ disk: realDisk, dir, clock: systemClock });
  const volumes = createFakeVolumes();
  for (const name of ["shop-data", "shop-system", "mail"]) await volumes.create(name, 2 ** 20);
  await volumes.bookmark("shop-data", "first", { kind: "now" }, "");
  await volumes.bookmark("mail", "first", { kind: "now" }, "");
  const common = { machine: "shop", createdBy: "root", createdAt: micros(0), expiresAt: micros(EXPIRES) };
  catalog.credentials.add({ ...common, name: "host", fingerprint: "aa", readOnly: false });
  catalog.credentials.add({ ...common, name: "helpdesk", fingerprint: "bb", readOnly: true });
  const at = { now: 0, refused: [] as string[] };
  const exports = grantedExports(combineExports(liveExports(volumes), pastExports(volumes)), {
    credentials: catalog.credentials,
    machineOf: (volume) => (volume.startsWith("shop-") ? "shop" : undefined),
    owners: () =>
      new Map([
        ["shop-data", "shop"],
        ["shop-system", "shop"],
      ]),
    now: () => micros(at.now),
    onRefused: (name) => void at.refused.push(name),
  });
  const names = async (peer: typeof writer): Promise<string[]> => (await exports.list(peer)).map(({ name }) => name);
  return {
    at,
    catalog,
    exports,
    names,
    attached: (name: string) => volumes.get(name).attached,
    [Symbol.dispose]() {
      catalog.close();
      rmSync(dir, { recursive: true, force: true });
    },
  };
}

describe("grantedExports()", () => {
  test("shows and opens the disks of the credential's machine, and nobody else's", async () => {
    using bed = await setUp();
    expect(await bed.names(writer)).toEqual(["shop-data", "shop-system", "shop-data@bookmark:first"]);
    const opened = await bed.exports.open("shop-data", writer);
    expect(opened.readOnly).toBe(false);
    await opened.device.close();
    for (const name of ["mail", "mail@bookmark:first", "nothing"]) {
      await expect(bed.exports.open(name, writer)).rejects.toMatchObject({ kind: "denied" });
      await expect(bed.exports.describe(name, writer)).rejects.toMatchObject({ kind: "denied" });
    }
    expect(bed.at.refused).toEqual(["mail", "mail@bookmark:first", "nothing"]);
  });

  test("a credential for reading opens past moments alone", async () => {
    using bed = await setUp();
    expect(await bed.names(reader)).toEqual(["shop-data@bookmark:first"]);
    const opened = await bed.exports.open("shop-system@now", reader);
    expect(opened.readOnly).toBe(true);
    await opened.device.close();
    await expect(bed.exports.open("shop-data", reader)).rejects.toMatchObject({
      kind: "denied",
      message: expect.stringContaining("shop-data@MOMENT"),
    });
  });

  test("a certificate without a credential, one that was taken back and one that has expired open nothing", async () => {
    using bed = await setUp();
    const [host] = bed.catalog.credentials.ofMachine("shop");
    const isShut = async (peer: { address: string; tlsFingerprint?: string }): Promise<void> => {
      expect(await bed.exports.list(peer)).toEqual([]);
      await expect(bed.exports.open("shop-data@now", peer)).rejects.toMatchObject({ kind: "denied" });
    };
    await isShut(stranger);
    await isShut({ address: "test" });
    expect(bed.catalog.credentials.remove("mail", host!.id)).toBe(false);
    expect(bed.catalog.credentials.remove("shop", host!.id)).toBe(true);
    await isShut(writer);
    bed.at.now = EXPIRES;
    await isShut(reader);
  });

  test("a credential that is taken back while its disk is opened has opened nothing", async () => {
    using bed = await setUp();
    const [host] = bed.catalog.credentials.ofMachine("shop");
    const opening = bed.exports.open("shop-data", writer);
    bed.catalog.credentials.remove("shop", host!.id);
    await expect(opening).rejects.toMatchObject({ kind: "denied" });
    expect(bed.at.refused).toEqual(["shop-data"]);
    expect(bed.attached("shop-data")).toBe(0);
  });
});

describe("credentialMaker()", () => {
  test("ends the connections of a credential, or those to some disks alone", () => {
    const connections = [
      { peer: writer, exportName: "shop-data" },
      { peer: writer, exportName: "shop-data@now" },
      { peer: writer, exportName: "shop-system" },
      { peer: writer, exportName: "" },
      { peer: reader, exportName: "shop-data" },
    ];
    const ended: unknown[] = [];
    const server = {
      disconnect(isMeant: (connection: (typeof connections)[number]) => boolean, reason: string) {
        ended.push([connections.flatMap((each, i) => (isMeant(each) ? [i] : [])), reason]);
      },
    } as unknown as NbdServer;
    const maker = credentialMaker(() => Promise.reject(new Error("not asked for")), [server]);
    maker.revoke("aa");
    maker.revoke("aa", ["shop-data"]);
    expect(ended).toEqual([
      [[0, 1, 2, 3], "its credential was taken back"],
      [[0, 1], "its disk left the machine"],
    ]);
  });
});
