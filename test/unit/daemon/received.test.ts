import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { systemClock } from "../../../src/base/clock.ts";
import { systemRandom } from "../../../src/base/random.ts";
import { RealDisk } from "../../../src/base/real-disk.ts";
import { Received } from "../../../src/daemon/received.ts";
import { credentialOf, isCredential, parsePeerToken } from "../../../src/security/peer-token.ts";
import { bytesSource } from "../../../src/tiers/store.ts";
import { expectKind, noise } from "../../support/store-expectations.ts";

let dataDir: string;
const disk = new RealDisk();
beforeEach(() => {
  dataDir = mkdtempSync(join(tmpdir(), "sternway-received-"));
});
afterEach(() => rmSync(dataDir, { recursive: true, force: true }));

const open = (reserveBytes = 0): Promise<Received> =>
  Received.open({ disk, clock: systemClock, random: systemRandom, dataDir, reserveBytes });
const modeOf = (name: string): number => statSync(join(dataDir, name)).mode & 0o777;

describe("Received", () => {
  test("keeps places, quotas and what recognizes a token, but no token, over a restart", async () => {
    const received = await open();
    const { token } = await received.add("web", 5000);
    await received.add("archive", undefined);
    const again = await open();
    const { places } = await again.list();
    expect(places.map(({ name, quotaBytes, usedBytes }) => [name, quotaBytes, usedBytes])).toEqual([
      ["archive", undefined, 0],
      ["web", 5000, 0],
    ]);
    const parsed = parsePeerToken(token);
    const place = again.placeOf(parsed.id);
    expect(place?.name).toBe("web");
    expect(isCredential(place!.token, credentialOf(parsed))).toBe(true);
    const kept = readFileSync(join(dataDir, "received.json"), "utf8");
    expect(kept).not.toContain(Buffer.from(parsed.secret).toString("base64url"));
    expect(kept).not.toContain(credentialOf(parsed));
    for (const name of ["received.json", "peer.pem"]) expect(modeOf(name)).toBe(0o600);
    expect(modeOf("received/web")).toBe(0o700);
  });

  test("keeps its certificate, which tokens name", async () => {
    const received = await open();
    const { token } = await received.add("web", undefined);
    const [first, second] = [await received.certificate(), await (await open()).certificate()];
    expect(second).toEqual(first);
    expect(parsePeerToken(token).fingerprint).toEqual(first.fingerprint);
  });

  test("makes one certificate for all who ask at once", async () => {
    const received = await open();
    const [a, b] = await Promise.all([received.certificate(), received.certificate()]);
    expect(a).toBe(b);
  });

  test("refuses a name twice, and knows none that was not made", async () => {
    const received = await open();
    await received.add("web", undefined);
    await expectKind(received.add("web", undefined), "conflict");
    await expectKind(received.renew("mail"), "not_found");
    await expectKind(received.remove("mail"), "not_found");
  });

  test("two that are added at once are both kept", async () => {
    const received = await open();
    await Promise.all(["a", "b", "c"].map((name) => received.add(name, undefined)));
    expect((await (await open()).list()).places.map(({ name }) => name)).toEqual(["a", "b", "c"]);
  });

  test("a removed place is gone with its objects, and its name is free", async () => {
    const received = await open();
    const { token } = await received.add("web", undefined);
    const { id } = parsePeerToken(token);
    await received.placeOf(id)!.put("packs/1", bytesSource(noise(1, 100)));
    await received.remove("web");
    expect(received.placeOf(id)).toBeUndefined();
    expect(existsSync(join(dataDir, "received/web"))).toBe(false);
    await received.add("web", undefined);
    expect((await received.list()).places[0]?.usedBytes).toBe(0);
  });

  test("takes up the folder that a crash in the middle of removing left, with what is in it", async () => {
    const before = await open();
    const { token } = await before.add("web", undefined);
    await before.placeOf(parsePeerToken(token).id)!.attach("vault-1");
    writeFileSync(join(dataDir, "received.json"), '{"version":1,"places":[]}');
    const received = await open();
    await received.add("web", undefined);
    expect((await received.list()).places[0]?.identity).toBe("vault-1");
  });

  test("a damaged list is told, and nothing is written over it", async () => {
    await (await open()).add("web", undefined);
    const path = join(dataDir, "received.json");
    truncateSync(path, 20);
    const damaged = readFileSync(path);
    const received = await open();
    expect(received.trouble?.kind).toBe("corrupt");
    await expectKind(received.list(), "corrupt");
    await expectKind(received.add("mail", undefined), "corrupt");
    expect(readFileSync(path)).toEqual(damaged);
  });

  test("a damaged certificate is told and not replaced: tokens name it", async () => {
    await (await open()).certificate();
    truncateSync(join(dataDir, "peer.pem"), 100);
    await expectKind((await open()).certificate(), "corrupt");
    expect(statSync(join(dataDir, "peer.pem")).size).toBe(100);
  });

  test("leaves the disk what is reserved for the appliance itself", async () => {
    const received = await open(2 ** 50);
    const { token } = await received.add("web", undefined);
    const place = received.placeOf(parsePeerToken(token).id)!;
    await expectKind(place.put("a", bytesSource(noise(1, 10))), "unavailable");
    expect(await place.stat("a")).toBeUndefined();
  });

  test("after a restart, a place whose mount is gone is not taken for an empty one", async () => {
    const before = await open();
    const { token } = await before.add("web", undefined);
    const { id } = parsePeerToken(token);
    await before.placeOf(id)!.attach("vault-1");
    const place = (await open()).placeOf(id)!;
    await place.put("a", bytesSource(noise(1, 10)));
    rmSync(join(dataDir, "received/web"), { recursive: true });
    mkdirSync(join(dataDir, "received/web"));
    await expectKind(place.put("b", bytesSource(noise(1, 10))), "unavailable");
    await expectKind(place.open("a"), "unavailable");
    await expectKind(place.connect("vault-1"), "invalid");
  });
});
