import { describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { systemClock } from "../../../src/base/clock.ts";
import { realDisk } from "../../../src/base/real-disk.ts";
import { micros } from "../../../src/base/units.ts";
import { Simulation } from "../../../src/base/simulation.ts";
import { openCatalog, type Credential } from "../../../src/catalog/catalog.ts";
import { credentialMaker, endExpired, grantedExports, userNames } from "../../../src/daemon/granted-exports.ts";
import type { NbdPeer, NbdServer } from "../../../src/nbd/server.ts";
import { pastExports } from "../../../src/restore/nbd-exports.ts";
import { liveExports } from "../../../src/sources/nbd-target.ts";
import { combineExports } from "../../../src/volume/export-name.ts";
import { createFakeVolumes } from "../../support/fake-volumes.ts";

const EXPIRES = 2_000_000;
const writer = { address: "test", tlsFingerprint: "aa" };
const reader = { address: "test", tlsFingerprint: "bb" };
const stranger = { address: "test", tlsFingerprint: "cc" };
const OWN_UID = 900;
const SHARED_UID = 65_534;
const userPeer = (uid: number): NbdPeer => ({ address: "unix:/run/nbd.sock", process: { uid, gid: uid, pid: 4711 } });

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
    users: { isOwner: (uid) => uid === 0 || uid === OWN_UID, isAmbiguous: (uid) => uid === SHARED_UID },
    machineOf: (volume) => (volume.startsWith("shop-") ? "shop" : volume === "mail" ? "post" : undefined),
    owners: () =>
      new Map([
        ["shop-data", "shop"],
        ["shop-system", "shop"],
        ["mail", "post"],
      ]),
    now: () => micros(at.now),
    onRefused: (name) => void at.refused.push(name),
  });
  const names = async (peer: NbdPeer): Promise<string[]> => (await exports.list(peer)).map(({ name }) => name);
  return {
    at,
    catalog,
    exports,
    names,
    addUser: (uid: number, machine: string, readOnly: boolean, expiresAt = EXPIRES): Credential =>
      catalog.credentials.add({
        ...common,
        machine,
        expiresAt: micros(expiresAt),
        name: "u",
        uid,
        user: `user-${uid}`,
        readOnly,
      }),
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

describe("grantedExports() for users of this machine", () => {
  test("opens every disk to root and the daemon's own user, and none to others without a credential", async () => {
    using bed = await setUp();
    for (const uid of [0, OWN_UID]) {
      expect((await bed.names(userPeer(uid))).length).toBe(5);
      const opened = await bed.exports.open("mail", userPeer(uid));
      expect(opened.readOnly).toBe(false);
      await opened.device.close();
      expect(bed.exports.isStranger(userPeer(uid))).toBe(false);
    }
    const other = userPeer(1000);
    expect(bed.exports.isStranger(other)).toBe(true);
    expect(await bed.names(other)).toEqual([]);
    for (const name of ["shop-data", "shop-data@now", "nothing"]) {
      const denied = { kind: "denied", message: expect.stringContaining("uid 1000 has no credential") };
      await expect(bed.exports.open(name, other)).rejects.toMatchObject(denied);
      await expect(bed.exports.describe(name, other)).rejects.toMatchObject(denied);
    }
    expect(bed.at.refused).toEqual(["shop-data", "shop-data@now", "nothing"]);
  });

  test("shows and opens the disks of each machine that has a credential for the user, as far as that goes", async () => {
    using bed = await setUp();
    bed.addUser(107, "shop", true);
    bed.addUser(107, "post", false);
    const peer = userPeer(107);
    expect(await bed.names(peer)).toEqual(["mail", "shop-data@bookmark:first", "mail@bookmark:first"]);
    for (const name of ["mail", "mail@now", "shop-data@now"]) {
      await (await bed.exports.open(name, peer)).device.close();
    }
    await expect(bed.exports.open("shop-data", peer)).rejects.toMatchObject({
      message: expect.stringContaining("shop-data@MOMENT"),
    });
    await expect(bed.exports.open("nothing", peer)).rejects.toMatchObject({
      message: "nothing is not a disk of shop, post",
    });
    expect(await bed.names(userPeer(108))).toEqual([]);
    bed.at.now = EXPIRES;
    expect(await bed.names(peer)).toEqual([]);
    expect(bed.exports.isStranger(peer)).toBe(true);
  });

  test("a number by which the kernel shows several users opens nothing, whatever credentials say", async () => {
    using bed = await setUp();
    bed.addUser(SHARED_UID, "shop", false);
    expect(await bed.names(userPeer(SHARED_UID))).toEqual([]);
    await expect(bed.exports.open("shop-data", userPeer(SHARED_UID))).rejects.toMatchObject({ kind: "denied" });
  });

  test("a client that is known to the kernel as a user is not let in by a certificate as well", async () => {
    using bed = await setUp();
    const both = { ...userPeer(1000), tlsFingerprint: "aa" };
    await expect(bed.exports.open("shop-data", both)).rejects.toMatchObject({ kind: "denied" });
  });

  test("a catalog that cannot be read makes everybody a stranger without a name, but for root", async () => {
    const bed = await setUp();
    bed.addUser(107, "shop", false);
    const names = userNames({ nameOf: (uid) => (uid === 0 ? "root" : undefined) }, bed.catalog.credentials);
    expect([names(0), names(107), names(108)]).toEqual(["root", "user-107", undefined]);
    bed[Symbol.dispose]();
    expect([bed.exports.isStranger(userPeer(107)), bed.exports.isStranger(userPeer(0))]).toEqual([true, false]);
    await expect(bed.exports.open("shop-data", userPeer(107))).rejects.toMatchObject({ kind: "unavailable" });
    expect([names(0), names(107)]).toEqual(["root", undefined]);
  });

  test("a connection belongs to the fitting credential that lasts longest", async () => {
    using bed = await setUp();
    bed.addUser(107, "shop", false, 500);
    const longest = bed.addUser(107, "shop", false, 900);
    bed.addUser(107, "shop", true, 5000);
    const peer = userPeer(107);
    await (await bed.exports.open("shop-data", peer)).device.close();
    expect(bed.exports.openedBy(peer)?.id).toBe(longest.id);
  });
});

/** A server that tells which of its connections are ended. */
function serverOf(connections: readonly { peer: NbdPeer; exportName: string }[]) {
  const ended: unknown[] = [];
  const server = {
    disconnect(isMeant: (connection: (typeof connections)[number]) => boolean, reason: string) {
      const meant = connections.flatMap((each, i) => (isMeant(each) ? [i] : []));
      if (meant.length > 0) ended.push([meant, reason]);
    },
  } as unknown as NbdServer;
  return { server, ended };
}

describe("endExpired()", () => {
  test("ends what an expired credential opened within seconds, of certificates and users, and nothing else", async () => {
    using bed = await setUp();
    const simulation = new Simulation(1, micros(EXPIRES - 10_000_000));
    const { clock } = simulation;
    const user = userPeer(107);
    const owner = userPeer(0);
    const later = { ...writer };
    bed.addUser(107, "post", false, EXPIRES + 60_000_000);
    bed.catalog.credentials.add({
      machine: "shop",
      createdBy: "root",
      createdAt: micros(0),
      expiresAt: micros(EXPIRES + 60_000_000),
      name: "later",
      fingerprint: "dd",
      readOnly: false,
    });
    later.tlsFingerprint = "dd";
    for (const [name, peer] of [
      ["shop-data", writer],
      ["mail", user],
      ["mail", owner],
      ["shop-data", later],
    ] as const) {
      await (await bed.exports.open(name, peer)).device.close();
    }
    const { server, ended } = serverOf(
      [writer, user, owner, later, stranger].map((peer) => ({ peer, exportName: "x" })),
    );
    const watch = endExpired(clock, [server], bed.exports);
    await simulation.run(() => clock.sleep(9_000));
    expect(ended).toEqual([]);
    await simulation.run(() => clock.sleep(4_000));
    expect(ended[0]).toEqual([[0], "its credential has expired"]);
    // A clock that is set forward is one that expires credentials.
    ended.length = 0;
    clock.stepWall(60_000_000);
    await simulation.run(() => clock.sleep(2_500));
    expect(ended[0]).toEqual([[0, 1, 3], "its credential has expired"]);
    watch.stop();
    ended.length = 0;
    await simulation.run(() => clock.sleep(10_000));
    expect(ended).toEqual([]);
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
    const { server, ended } = serverOf(connections);
    const maker = makerOf(server, () => undefined);
    maker.revoke({ id: 1, fingerprint: "aa" });
    maker.revoke({ id: 1, fingerprint: "aa" }, ["shop-data"]);
    expect(ended).toEqual([
      [[0, 1, 2, 3], "its credential was taken back"],
      [[0, 1], "its disk left the machine"],
    ]);
  });

  test("ends the connections that a user's credential opened, and not those of the user's others", async () => {
    using bed = await setUp();
    const post = bed.addUser(107, "post", false);
    bed.addUser(107, "shop", false);
    const peers = [userPeer(107), userPeer(107), userPeer(0)];
    for (const [i, name] of ["mail", "shop-data", "mail"].entries()) {
      await (await bed.exports.open(name, peers[i]!)).device.close();
    }
    const { server, ended } = serverOf(peers.map((peer, i) => ({ peer, exportName: i === 1 ? "shop-data" : "mail" })));
    makerOf(server, (peer) => bed.exports.openedBy(peer)).revoke(post);
    makerOf(server, (peer) => bed.exports.openedBy(peer)).revoke(post, ["other"]);
    expect(ended).toEqual([[[0], "its credential was taken back"]]);
  });
});

function makerOf(server: NbdServer, openedBy: (peer: NbdPeer) => Credential | undefined) {
  const unasked = () => Promise.reject(new Error("not asked for"));
  return credentialMaker({ authority: unasked, users: { find: unasked }, servers: [server], granted: { openedBy } });
}
