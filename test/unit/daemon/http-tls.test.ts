import { describe, expect, test } from "bun:test";
import { X509Certificate } from "node:crypto";
import { mkdtempSync, rmSync, statSync, writeFileSync } from "node:fs";
import { hostname, tmpdir } from "node:os";
import { join } from "node:path";
import { listenHttp } from "../../../src/api/app.ts";
import { systemClock } from "../../../src/base/clock.ts";
import { systemRandom } from "../../../src/base/random.ts";
import { realDisk } from "../../../src/base/real-disk.ts";
import { httpTls } from "../../../src/daemon/http-tls.ts";
import { OwnAuthority } from "../../../src/daemon/own-authority.ts";
import { openApiFixture } from "../../support/api-fixture.ts";

const on = (host: string) => ({ kind: "tcp", host, port: 0 }) as const;

describe("OwnAuthority", () => {
  test("is made once, with a key that its owner alone reads, and names this machine's hosts in what it signs", async () => {
    const path = mkdtempSync(join(tmpdir(), "sternway-tls-"));
    const options = {
      disk: realDisk,
      clock: systemClock,
      random: systemRandom,
      dataDir: path,
      names: ["backup.example"],
    };
    try {
      const first = await OwnAuthority.open(options);
      expect(statSync(join(path, "authority.pem")).mode & 0o777).toBe(0o600);
      const again = await OwnAuthority.open(options);
      expect(again.certificatePem).toBe(first.certificatePem);
      const signed = new X509Certificate(again.server().cert);
      expect(signed.verify(new X509Certificate(first.certificatePem).publicKey)).toBe(true);
      for (const host of ["backup.example", "localhost", hostname()]) expect(signed.checkHost(host)).toBe(host);
      expect(signed.checkIP("127.0.0.1")).toBe("127.0.0.1");
      writeFileSync(join(path, "authority.pem"), "nonsense");
      await expect(OwnAuthority.open(options)).rejects.toMatchObject({ kind: "corrupt" });
    } finally {
      rmSync(path, { recursive: true, force: true });
    }
  });
});

describe("httpTls()", () => {
  const never = (): Promise<OwnAuthority> => Promise.reject(new Error("not asked for"));

  test("is none on loopback and when HTTP is off", async () => {
    for (const listen of [on("127.0.0.1"), on("::1"), on("localhost"), { kind: "off" } as const])
      expect(await httpTls({ listen, names: [] }, never)).toBeUndefined();
  });

  test("says which file cannot be used, and that a key is another certificate's", async () => {
    const path = mkdtempSync(join(tmpdir(), "sternway-tls-"));
    try {
      const certFile = join(path, "cert.pem");
      const keyFile = join(path, "key.pem");
      const config = { listen: on("127.0.0.1"), names: [], tls: { certFile, keyFile } };
      await expect(httpTls(config, never)).rejects.toMatchObject({
        kind: "invalid",
        message: expect.stringContaining(certFile),
      });
      const own = await OwnAuthority.open({
        disk: realDisk,
        clock: systemClock,
        random: systemRandom,
        dataDir: path,
        names: [],
      });
      writeFileSync(certFile, own.server().cert);
      writeFileSync(keyFile, own.server().key);
      await expect(httpTls(config, never)).rejects.toMatchObject({
        kind: "invalid",
        message: expect.stringContaining("not that of"),
      });
      const { cert, key } = own.server();
      writeFileSync(certFile, cert);
      writeFileSync(keyFile, key);
      expect(await httpTls(config, never)).toEqual({ cert, key });
    } finally {
      rmSync(path, { recursive: true, force: true });
    }
  });

  test("serves what the appliance's authority vouches for, and to nobody who does not trust it", async () => {
    const path = mkdtempSync(join(tmpdir(), "sternway-tls-"));
    using fixture = await openApiFixture();
    const own = await OwnAuthority.open({
      disk: realDisk,
      clock: systemClock,
      random: systemRandom,
      dataDir: path,
      names: [],
    });
    const tls = await httpTls({ listen: on("127.0.0.1"), names: [], tls: "own" }, async () => own);
    const listener = await listenHttp(on("127.0.0.1"), fixture.answer, fixture.context.log, tls);
    try {
      const { address } = listener;
      const url = `https://localhost:${address.kind === "tcp" ? address.port : 0}`;
      const trusting = { tls: { ca: own.certificatePem } } as RequestInit;
      expect((await fetch(`${url}/healthz`, trusting)).status).toBe(200);
      expect((await fetch(`${url}/v1/volumes`, trusting)).status).toBe(401);
      await expect(fetch(`${url}/healthz`)).rejects.toThrow();
    } finally {
      await listener.stop(100);
      rmSync(path, { recursive: true, force: true });
    }
  });
});
