/** A peer that goes away, falls silent or is full; a sender that breaks off; and what stays behind on the disk each time. */
import { describe, expect, test } from "bun:test";
import { existsSync, readdirSync, truncateSync } from "node:fs";
import { join } from "node:path";
import { authorizationOf, ObjectChecksum, objectPath } from "../../src/contract/peer-wire.ts";
import { credentialOf, parsePeerToken } from "../../src/security/peer-token.ts";
import { bytesSource, type ObjectSource } from "../../src/tiers/store.ts";
import { attachedPlace, errorOf, openPeerBed, VAULT, type PeerBed } from "../support/peer-bed.ts";
import { rawTls } from "../support/raw-tls.ts";
import { expectKind, expectSame, listed, noise } from "../support/store-expectations.ts";

const MIB = 2 ** 20;
const WAIT_MS_MAX = 20_000;

async function until(what: string, condition: () => boolean): Promise<void> {
  const deadline = performance.now() + WAIT_MS_MAX;
  while (!condition()) {
    if (performance.now() > deadline) throw new Error(`never came true: ${what}`);
    await new Promise((resolve) => setImmediate(resolve));
  }
}

const temporaries = (bed: PeerBed, name = "web"): string[] => {
  const dir = join(bed.dataDir, "received", name, ".sternway-tmp");
  return existsSync(dir) ? readdirSync(dir) : [];
};

describe("what arrives", () => {
  test("is stored only if its checksum is right, for its own name and length", async () => {
    await using bed = await openPeerBed({ idleLimitMs: 300 });
    await using it = await attachedPlace(bed);
    const parsed = parsePeerToken(it.token);
    const content = noise(3, 100);
    const checksumOf = (name: string): Uint8Array => {
      const checksum = new ObjectChecksum(name);
      checksum.update(content);
      return checksum.digest();
    };
    const put = (name: string, body: readonly Uint8Array[], more = ""): Promise<string> => {
      const length = more === "" ? `Content-Length: ${body.reduce((sum, part) => sum + part.length, 0)}\r\n` : more;
      const head = `PUT ${objectPath("web", name)} HTTP/1.1\r\nHost: x\r\nAuthorization: ${authorizationOf(parsed.id, credentialOf(parsed))}\r\n${length}Connection: close\r\n\r\n`;
      return rawTls(bed.port, [head, ...body]);
    };
    const damaged = content.slice();
    damaged[50]! ^= 1;
    expect(await put("a", [damaged, checksumOf("a")])).toStartWith("HTTP/1.1 503 ");
    expect(await put("a", [content, checksumOf("b")])).toStartWith("HTTP/1.1 503 ");
    expect(await put("a", [content])).toStartWith("HTTP/1.1 503 ");
    expect(await put("a", [content.subarray(0, 7)])).toStartWith("HTTP/1.1 400 ");
    expect(await put("a", [], "Transfer-Encoding: chunked\r\n")).toStartWith("HTTP/1.1 400 ");
    expect(await it.store.stat("a")).toBeUndefined();
    expect(temporaries(bed)).toEqual([]);
    expect(await put("a", [content, checksumOf("a")])).toStartWith("HTTP/1.1 204 ");
    await expectSame(it.store.get("a"), content);
  });
});

describe("a peer that goes away", () => {
  test("halfway through a put leaves nothing under the name, and no temporary file", async () => {
    await using bed = await openPeerBed();
    await using it = await attachedPlace(bed);
    await it.store.put("p", bytesSource(noise(1, 10)));
    for (const bytes of [100, 100_000, 5 * MIB]) {
      it.link.leftUp = bytes;
      await expectKind(it.store.put("p", bytesSource(noise(2, 8 * MIB))), "unavailable");
      it.link.leftUp = Number.POSITIVE_INFINITY;
      await until("the temporary file is gone", () => temporaries(bed).length === 0);
      await expectSame(it.store.get("p"), noise(1, 10));
    }
  });

  test("halfway through a get gives an error and never a part", async () => {
    await using bed = await openPeerBed();
    await using it = await attachedPlace(bed);
    await it.store.put("p", bytesSource(noise(2, 8 * MIB)));
    for (const bytes of [10, 100_000, 5 * MIB]) {
      it.link.leftDown = bytes;
      await expectKind(it.store.get("p"), "unavailable");
      it.link.leftDown = Number.POSITIVE_INFINITY;
    }
    await expectSame(it.store.get("p"), noise(2, 8 * MIB));
    await until("its files are closed", () => bed.disk.descriptorCount === 0);
  });

  test("halfway through a list gives an error and never a shorter list", async () => {
    await using bed = await openPeerBed();
    await using it = await attachedPlace(bed);
    for (let i = 0; i < 300; i++) await it.store.put(`many/${i}`, bytesSource(noise(1, 1)));
    it.link.leftDown = 3_000;
    await expectKind(listed(it.store, ""), "unavailable");
    it.link.leftDown = Number.POSITIVE_INFINITY;
    expect(await listed(it.store, "")).toHaveLength(300);
  });

  test("and comes back is found again by the next call, and knows what it had", async () => {
    await using bed = await openPeerBed();
    const { token } = await bed.received.add("web", undefined);
    const store = bed.store("web", token);
    await store.attach(VAULT);
    await store.connect(VAULT);
    await store.put("a", bytesSource(noise(1, 100)));
    await bed.stopListening();
    await expectKind(store.get("a"), "unavailable");
    await bed.restart();
    await store.connect(VAULT);
    await expectSame(store.get("a"), noise(1, 100));
    await store.close();
  });
});

describe("an object that shrinks on the disk", () => {
  test("is never given in part, and its file is closed", async () => {
    await using bed = await openPeerBed();
    await using it = await attachedPlace(bed);
    await it.store.put("p", bytesSource(noise(2, 8 * MIB)));
    const { id } = parsePeerToken(it.token);
    const place = bed.received.placeOf(id)!;
    const open = place.open.bind(place);
    place.open = async (name) => {
      const object = await open(name);
      truncateSync(join(bed.dataDir, "received/web", name), 3 * MIB + 5);
      return object;
    };
    await expectKind(it.store.get("p"), "unavailable");
    await until("its file is closed", () => bed.disk.descriptorCount === 0);
  });
});

describe("a peer that falls silent", () => {
  test("ends each call as unavailable within the limit, and frees what it held when the client is gone", async () => {
    await using bed = await openPeerBed({ idleLimitMs: 500 });
    await using it = await attachedPlace(bed, { idleLimitMs: 600 });
    await it.store.put("p", bytesSource(noise(2, 8 * MIB)));
    const calls: [string, number, () => Promise<unknown>][] = [
      ["put", 3 * MIB, () => it.store.put("q", bytesSource(noise(3, 8 * MIB)))],
      ["get", 3 * MIB, () => it.store.get("p")],
      ["stat", 0, () => it.store.stat("p")],
      ["remove", 0, () => it.store.remove("p")],
      ["list", 0, () => listed(it.store, "")],
      ["connect", 0, () => it.store.connect(VAULT)],
    ];
    for (const [what, bytes, call] of calls) {
      it.link.hangsAtEnd = true;
      if (what === "put") it.link.leftUp = bytes;
      else it.link.leftDown = bytes;
      const from = bed.clock.monotonic();
      const error = await errorOf(call());
      expect(`${what}: ${error.kind}`).toBe(`${what}: unavailable`);
      expect(bed.clock.monotonic() - from).toBeLessThan(3_000_000);
      it.link.isHung = false;
      it.link.leftUp = it.link.leftDown = Number.POSITIVE_INFINITY;
    }
    await until("temporary files are gone", () => temporaries(bed).length === 0);
    await bed.stopListening();
    await until("files are closed", () => bed.disk.descriptorCount === 0);
  });

  test("is not blamed for a source that takes its time", async () => {
    await using bed = await openPeerBed();
    await using it = await attachedPlace(bed, { idleLimitMs: 600 });
    const slow: ObjectSource = {
      sizeBytes: 2 * MIB,
      async read(offset, length) {
        await bed.clock.sleep(900);
        return noise(1, 2 * MIB).subarray(offset, offset + length);
      },
    };
    await it.store.put("slow", slow);
    await expectSame(it.store.get("slow"), noise(1, 2 * MIB));
  });
});

describe("a refusal", () => {
  test("reaches a sender that is still sending, who then stops", async () => {
    await using bed = await openPeerBed();
    await using it = await attachedPlace(bed);
    await it.store.put("p", bytesSource(noise(1, 10)));
    let sent = 0;
    const endless: ObjectSource = {
      sizeBytes: 2 ** 35,
      read: (_offset, length) => {
        sent += length;
        return Promise.resolve(new Uint8Array(length));
      },
    };
    await expectKind(it.store.put("p", endless, { ifAbsent: true }), "conflict");
    expect(sent).toBeLessThan(256 * MIB);
    await expectSame(it.store.get("p"), noise(1, 10));
  });

  test("for want of space is unavailable with ENOSPC, and what is removed or replaced makes room", async () => {
    await using bed = await openPeerBed();
    await using it = await attachedPlace(bed, { quotaBytes: 3 * MIB });
    await it.store.put("a", bytesSource(noise(1, 2 * MIB)));
    const full = await errorOf(it.store.put("b", bytesSource(noise(2, 2 * MIB))));
    expect(full.kind).toBe("unavailable");
    expect(full.facts).toMatchObject({ code: "ENOSPC", quotaBytes: 3 * MIB });
    await it.store.put("a", bytesSource(noise(3, MIB)));
    await it.store.put("b", bytesSource(noise(2, MIB)));
    // The count survives a restart, by counting.
    await bed.restart();
    const later = bed.store("web", it.token);
    await later.connect(VAULT);
    expect((await errorOf(later.put("c", bytesSource(noise(2, MIB))))).facts["code"]).toBe("ENOSPC");
    await later.remove("b");
    await later.put("c", bytesSource(noise(2, MIB)));
    await later.close();
    expect((await bed.received.list()).places[0]?.usedBytes).toBe(2 * MIB + VAULT.length);
  });

  test("comes to those of many puts at once that would go over the quota together", async () => {
    await using bed = await openPeerBed();
    await using it = await attachedPlace(bed, { quotaBytes: 5 * MIB });
    const puts = Array.from({ length: 12 }, (_, i) => it.store.put(`p/${i}`, bytesSource(noise(i, MIB))));
    const ends = await Promise.allSettled(puts);
    expect(ends.filter(({ status }) => status === "fulfilled")).toHaveLength(4);
    const used = (await listed(it.store, "p")).reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
    expect(used).toBe(4 * MIB);
  });
});

describe("the listener", () => {
  test("turns away connections beyond its limit, and serves those it has", async () => {
    await using bed = await openPeerBed({ connectionsMax: 2 });
    await using it = await attachedPlace(bed);
    const others = [bed.store("web", it.token), bed.store("web", it.token)];
    const ends = await Promise.allSettled(others.map((store) => store.connect(VAULT)));
    expect(ends.map(({ status }) => status).sort()).toEqual(["fulfilled", "rejected"]);
    expect(await it.store.stat("none")).toBeUndefined();
    for (const store of others) await store.close();
    const later = bed.store("web", it.token);
    await later.connect(VAULT);
    await later.close();
  });

  test("ends what is under way on a place that is removed, and deletes all of it", async () => {
    await using bed = await openPeerBed({ idleLimitMs: 500 });
    await using it = await attachedPlace(bed);
    await it.store.put("p", bytesSource(noise(1, 10)));
    let isBegun = false;
    const gate = Promise.withResolvers<void>();
    const source: ObjectSource = {
      sizeBytes: 8 * MIB,
      async read(offset, length) {
        if (offset === 4 * MIB) {
          isBegun = true;
          await gate.promise;
        }
        return noise(1, 8 * MIB).subarray(offset, offset + length);
      },
    };
    const put = errorOf(it.store.put("q", source));
    await until("half of it was sent", () => isBegun);
    const removing = bed.received.remove("web");
    await removing;
    expect(bed.disk.descriptorCount).toBe(0);
    gate.resolve();
    expect((await put).kind).toBe("unavailable");
    expect(existsSync(join(bed.dataDir, "received", "web"))).toBe(false);
    await expectKind(it.store.stat("p"), "denied");
  });
});
