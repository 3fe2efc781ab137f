/** Who a peer is, who its client is, and what neither can be talked into. */
import { describe, expect, test } from "bun:test";
import { readdirSync } from "node:fs";
import { createServer as createTls } from "node:tls";
import type { AddressInfo } from "node:net";
import { systemClock } from "../../src/base/clock.ts";
import { systemRandom } from "../../src/base/random.ts";
import { authorizationOf, ObjectChecksum } from "../../src/contract/peer-wire.ts";
import { makeCertificate, type OwnCertificate } from "../../src/security/certificate.ts";
import { credentialOf, formatPeerToken, keptTokenOf, parsePeerToken, proofBy } from "../../src/security/peer-token.ts";
import { PeerStore } from "../../src/tiers/peer/peer-store.ts";
import { bytesSource } from "../../src/tiers/store.ts";
import { attachedPlace, errorOf, openPeerBed, VAULT } from "../support/peer-bed.ts";
import { rawTls } from "../support/raw-tls.ts";
import { expectKind, expectSame, listed, noise } from "../support/store-expectations.ts";

/** Something that speaks TLS with this certificate and keeps what it is told. */
async function impostor(certificate: OwnCertificate, answer: (request: string) => string | undefined) {
  let heard = "";
  const server = createTls({ key: certificate.keyPem, cert: certificate.certificatePem }, (socket) => {
    socket.on("error", () => undefined);
    socket.on("data", (bytes) => {
      heard += bytes.toString("latin1");
      const text = answer(heard);
      if (text !== undefined) socket.write(text);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    port: (server.address() as AddressInfo).port,
    heard: () => heard,
    async [Symbol.asyncDispose]() {
      await new Promise<void>((resolve) => server.close(() => resolve()));
    },
  };
}

const json = (text: string): string =>
  `HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: ${text.length}\r\n\r\n${text}`;

describe("who the peer is", () => {
  test("another certificate is refused before a single byte is sent", async () => {
    await using bed = await openPeerBed();
    const { token } = await bed.received.add("web", undefined);
    const other = makeCertificate(systemClock.wall(), systemRandom);
    await using fake = await impostor(other, () => undefined);
    const store = new PeerStore({ url: `https://127.0.0.1:${fake.port}/web`, token, clock: systemClock });
    const error = await errorOf(store.put("a", bytesSource(noise(1, 10))));
    expect(error.kind).toBe("denied");
    expect(error.message).toContain("another certificate");
    await store.close();
    expect(fake.heard()).toBe("");
  });

  test("one that has the certificate but not the token hears a nonce and no credential", async () => {
    await using bed = await openPeerBed();
    const { token } = await bed.received.add("web", undefined);
    const proof = "00".repeat(32);
    await using fake = await impostor(await bed.received.certificate(), (heard) =>
      heard.includes('"nonce"') ? json(`{"proof":"${proof}"}`) : undefined,
    );
    const store = new PeerStore({ url: `https://127.0.0.1:${fake.port}/web`, token, clock: systemClock });
    const error = await errorOf(store.connect(VAULT));
    expect(error.kind).toBe("denied");
    expect(error.message).toContain("does not know the token");
    await store.close();
    expect(fake.heard()).toContain('"nonce"');
    expect(fake.heard().toLowerCase()).not.toContain("authorization");
    const { secret } = parsePeerToken(token);
    expect(fake.heard()).not.toContain(Buffer.from(secret).toString("base64url"));
  });

  test("what does not speak HTTP, speaks it endlessly, or says nothing is unavailable", async () => {
    await using bed = await openPeerBed();
    const { token } = await bed.received.add("web", undefined);
    const certificate = await bed.received.certificate();
    const answers = [
      "SSH-2.0-x\r\n\r\n",
      "x".repeat(40_000),
      "HTTP/1.1 200 OK\r\n\r\n",
      json("{}"),
      json("{"),
      "HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\n",
    ];
    for (const answer of [...answers, undefined]) {
      await using fake = await impostor(certificate, () => answer);
      const url = `https://127.0.0.1:${fake.port}/web`;
      const store = new PeerStore({ url, token, clock: systemClock, idleLimitMs: 200 });
      expect(`${answer?.slice(0, 20)}: ${(await errorOf(store.connect(VAULT))).kind}`).toBe(
        `${answer?.slice(0, 20)}: unavailable`,
      );
      await store.close();
    }
  });
});

describe("a peer that knows the token but not the protocol", () => {
  const chunk = (text: string): string => `${text.length.toString(16)}\r\n${text}\r\n`;
  const lines = (...parts: string[]): string =>
    `HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n${parts.map((part) => chunk(`${part}\n`)).join("")}0\r\n\r\n`;
  const object = (name: string): string => JSON.stringify({ line: "object", name, sizeBytes: 1 });
  const end = '{"line":"end"}';

  /** What a call comes to when the request after hello is answered so. */
  async function told<Result>(answer: string, call: (store: PeerStore) => Promise<Result>): Promise<Result> {
    await using bed = await openPeerBed();
    const { token } = await bed.received.add("web", undefined);
    const kept = keptTokenOf(parsePeerToken(token));
    const certificate = await bed.received.certificate();
    let isProved = false;
    await using fake = await impostor(certificate, (heard) => {
      if (isProved) return heard.includes("authorization: Bearer") ? answer : undefined;
      const nonce = /"nonce":"([0-9a-f]{64})"/.exec(heard)?.[1];
      if (nonce === undefined) return undefined;
      isProved = true;
      const facts = { id: kept.id, place: "web", fingerprint: certificate.fingerprint };
      const proof = proofBy(kept, new Uint8Array(Buffer.from(nonce, "hex")), facts);
      return json(`{"proof":"${Buffer.from(proof).toString("hex")}"}`);
    });
    const url = `https://127.0.0.1:${fake.port}/web`;
    const store = new PeerStore({ url, token, clock: bed.clock, idleLimitMs: 300 });
    try {
      return await call(store);
    } finally {
      await store.close();
    }
  }

  test("is believed where it keeps to it", async () => {
    const found = await told(lines(object("a"), object("b/c"), end), (store) => listed(store, ""));
    expect(found.map(({ name }) => name)).toEqual(["a", "b/c"]);
    expect(
      await told("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 206 x\r\ncontent-length: 2\r\n\r\nok", (store) =>
        store.get("a", { offset: 0, length: 4 }),
      ),
    ).toHaveLength(2);
  });

  test("gives no list without an end, and no names that are none or lie elsewhere", async () => {
    for (const answer of [
      lines(object("a")),
      lines(),
      lines(object("../x"), end),
      lines(object("a"), "{", end),
      lines("x".repeat(200_000), end),
    ]) {
      expect((await errorOf(told(answer, (store) => listed(store, "")))).kind).toBe("unavailable");
    }
    expect((await errorOf(told(lines(object("packs2/a"), end), (store) => listed(store, "packs")))).kind).toBe(
      "unavailable",
    );
  });

  test("gives no more bytes than were asked for, and none of a range that it did not look at", async () => {
    const ok = (status: number, text: string): string =>
      `HTTP/1.1 ${status} x\r\ncontent-length: ${text.length}\r\n\r\n${text}`;
    const range = { offset: 2, length: 4 };
    for (const answer of [
      ok(206, "12345"),
      ok(200, "1234"),
      `HTTP/1.1 206 x\r\n\r\n1234`,
      lines("12"),
      "HTTP/1.1 206 x\r\ncontent-length: 99999999999999\r\n\r\n",
      ok(302, ""),
    ]) {
      expect((await errorOf(told(answer, (store) => store.get("a", range)))).kind).toBe("unavailable");
    }
  });

  test("does not pass its defects and its fences for this appliance's", async () => {
    for (const kind of ["internal", "fenced"]) {
      const problem = JSON.stringify({ type: "x", title: "x", status: 500, detail: "d", kind, facts: {}, todo: "t" });
      const answer = `HTTP/1.1 500 x\r\ncontent-length: ${problem.length}\r\n\r\n${problem}`;
      const error = await errorOf(told(answer, (store) => store.stat("a")));
      expect(error.kind).toBe("unavailable");
      expect(error.facts).toEqual({});
    }
  });
});

describe("who the client is", () => {
  test("a wrong secret, another place's token, a token of nobody and another name are denied", async () => {
    await using bed = await openPeerBed({ brakes: false });
    const { token } = await bed.received.add("web", undefined);
    const { token: other } = await bed.received.add("mail", undefined);
    const parsed = parsePeerToken(token);
    const wrongSecret = formatPeerToken({ ...parsed, secret: systemRandom.bytes(32) });
    const nobody = formatPeerToken({ ...parsed, id: "00".repeat(8) });
    for (const [name, each] of [
      ["web", wrongSecret],
      ["web", other],
      ["web", nobody],
      ["mail", token],
      ["none", token],
    ] as const) {
      const store = bed.store(name, each);
      await expectKind(store.identify(), "denied");
      await store.close();
    }
  });

  test("a credential is asked for again by the server, whatever the client believes, and is not told what was wrong", async () => {
    await using bed = await openPeerBed({ brakes: false });
    const { token } = await bed.received.add("web", undefined);
    await bed.received.add("mail", undefined);
    const parsed = parsePeerToken(token);
    const right = authorizationOf(parsed.id, credentialOf(parsed));
    const wrong = authorizationOf(parsed.id, credentialOf({ ...parsed, secret: systemRandom.bytes(32) }));
    const ask = (place: string, authorization: string): Promise<string> =>
      rawTls(bed.port, [
        `GET /v1/peer/${place}/objects HTTP/1.1\r\nHost: x\r\n${authorization}Connection: close\r\n\r\n`,
      ]);
    const refusals = [
      await ask("web", ""),
      await ask("web", `Authorization: ${wrong}\r\n`),
      await ask("mail", `Authorization: ${right}\r\n`),
      await ask("none", `Authorization: ${right}\r\n`),
      await ask("web", `Authorization: Basic eDp5\r\n`),
    ];
    const bodies = refusals.map((text) => text.slice(text.indexOf("{")));
    for (const text of refusals) expect(text).toStartWith("HTTP/1.1 403 ");
    expect(new Set(bodies).size).toBe(1);
    expect(await ask("web", `Authorization: ${right}\r\n`)).toStartWith("HTTP/1.1 200 ");
    for (const method of ["HEAD", "OPTIONS", "PATCH", "TRACE"]) {
      const head = `${method} /v1/peer/web/objects/a HTTP/1.1\r\nHost: x\r\nAuthorization: ${right}\r\nConnection: close\r\n\r\n`;
      expect(await rawTls(bed.port, [head])).toStartWith("HTTP/1.1 405 ");
    }
    expect(bed.logged.join()).not.toContain(credentialOf(parsed));
  });

  test("a renewed token ends the old one at once, also on a connection that was kept", async () => {
    await using bed = await openPeerBed({ brakes: false });
    await using old = await attachedPlace(bed);
    const { token } = await bed.received.renew("web");
    await expectKind(old.store.stat("a"), "denied");
    const store = bed.store("web", token);
    await store.connect(VAULT);
    await store.close();
  });

  test("two senders with one token: the second vault is refused, and the first is not disturbed", async () => {
    await using bed = await openPeerBed({ brakes: false });
    await using first = await attachedPlace(bed);
    const second = bed.store("web", first.token);
    await expectKind(second.attach("vault-2"), "conflict");
    await expectKind(second.connect("vault-2"), "invalid");
    await first.store.put("a", bytesSource(noise(1, 100)), { ifAbsent: true });
    await expectKind(second.put("a", bytesSource(noise(2, 100)), { ifAbsent: true }), "conflict");
    await expectSame(first.store.get("a"), noise(1, 100));
    await second.close();
  });
});

describe("names", () => {
  test("paths that are none reach no file, however they are written", async () => {
    await using bed = await openPeerBed();
    await using it = await attachedPlace(bed);
    const parsed = parsePeerToken(it.token);
    const authorization = authorizationOf(parsed.id, credentialOf(parsed));
    await it.store.put("packs/1", bytesSource(noise(1, 10)));
    const before = readdirSync(bed.dataDir, { recursive: true }).map(String).sort();
    const paths = [
      "/v1/peer/web/objects/../../../x",
      "/v1/peer/web/objects/..%2f..%2fx",
      "/v1/peer/web/objects/%2e%2e/x",
      "/v1/peer/web/objects/.sternway-tmp/x",
      "/v1/peer/web/objects/a/.b",
      "/v1/peer/web/objects//etc/x",
      "/v1/peer/web/objects/",
      "/v1/peer/web/objects/a\\b",
      "/v1/peer/web/objects/a%00",
      "/v1/peer/web/objects/a?x=%2e",
      `/v1/peer/web/objects/${"a/".repeat(9)}x`,
      "/v1/peer/../../v1/volumes",
      "/v1/volumes",
      "/",
      `https://127.0.0.1:${bed.port}/v1/peer/web/objects/x`,
      "/v1/peer/web/../mail/objects/x",
    ];
    const content = noise(9, 10);
    for (const path of paths) {
      const name = path.slice(path.indexOf("objects/") + 8);
      const checksum = new ObjectChecksum(name);
      checksum.update(content);
      const head = `PUT ${path} HTTP/1.1\r\nHost: x\r\nAuthorization: ${authorization}\r\nContent-Length: 18\r\nConnection: close\r\n\r\n`;
      const answer = await rawTls(bed.port, [head, content, checksum.digest()]);
      expect(`${path}: ${answer.slice(9, 10)}`).toBe(`${path}: 4`);
    }
    expect(readdirSync(bed.dataDir, { recursive: true }).map(String).sort()).toEqual(before);
  });
});
