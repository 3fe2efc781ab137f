import { describe, expect, test } from "bun:test";
import { X509Certificate } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { seededRandom } from "../../../src/base/random.ts";
import { micros } from "../../../src/base/units.ts";
import { fingerprintOf, makeCertificate, parseCertificate } from "../../../src/security/certificate.ts";

const NOW = micros(Date.parse("2026-11-20T12:00:00Z") * 1000);
const own = makeCertificate(NOW, seededRandom(1));
const certificate = new X509Certificate(own.certificatePem);

describe("makeCertificate()", () => {
  test("gives a certificate that is signed by its own key and holds for twenty years", () => {
    expect(certificate.verify(certificate.publicKey)).toBe(true);
    expect(certificate.subject).toBe("CN=sternway");
    expect(certificate.subjectAltName).toBe("DNS:sternway");
    expect(certificate.ca).toBe(false);
    expect(Date.parse(certificate.validFrom)).toBe(Date.parse("2026-11-19T12:00:00Z"));
    expect(Date.parse(certificate.validTo)).toBe(Date.parse("2046-11-15T12:00:00Z"));
    expect(Buffer.from(own.fingerprint)).toEqual(Buffer.from(fingerprintOf(certificate.raw)));
    expect(Buffer.from(own.fingerprint).toString("hex")).toBe(
      certificate.fingerprint256.replaceAll(":", "").toLowerCase(),
    );
  });

  test("writes years from 2050 on with four digits", () => {
    const late = makeCertificate(micros(Date.parse("2031-01-02T00:00:00Z") * 1000), seededRandom(2));
    expect(Date.parse(new X509Certificate(late.certificatePem).validTo)).toBe(Date.parse("2050-12-28T00:00:00Z"));
  });

  test("is what openssl takes for a certificate, where there is one", () => {
    const openssl = Bun.which("openssl");
    if (openssl === null) return;
    const shown = Bun.spawnSync([openssl, "x509", "-noout", "-text", "-nameopt", "RFC2253"], {
      stdin: Buffer.from(own.certificatePem),
    });
    expect(shown.exitCode).toBe(0);
    const text = shown.stdout.toString();
    for (const part of [
      "Version: 3",
      "ecdsa-with-SHA256",
      "CA:FALSE",
      "Digital Signature",
      "TLS Web Server Authentication",
    ]) {
      expect(text).toContain(part);
    }
  });
});

describe("an authority of one's own", () => {
  const authority = makeCertificate(NOW, seededRandom(3), { name: "Sternway of box1", use: "authority", days: 7300 });
  const issuer = { name: "Sternway of box1", keyPem: authority.keyPem };
  const hosts = ["box1.example", "10.1.2.3", "fd00::1:2", "::ffff:10.0.0.1", "::"];
  const server = makeCertificate(NOW, seededRandom(4), { name: "box1", use: "server", hosts, days: 825, issuer });
  const client = makeCertificate(NOW, seededRandom(5), { name: "machine web", use: "client", days: 30, issuer });
  const root = new X509Certificate(authority.certificatePem);

  test("signs servers and clients, which name their hosts and their use", () => {
    expect(root.ca).toBe(true);
    for (const { certificatePem } of [server, client]) {
      const signed = new X509Certificate(certificatePem);
      expect(signed.verify(root.publicKey)).toBe(true);
      expect(signed.checkIssued(root)).toBe(true);
      expect(signed.ca).toBe(false);
    }
    const named = new X509Certificate(server.certificatePem);
    for (const host of ["10.1.2.3", "fd00::1:2"]) expect(named.checkIP(host)).toBe(host);
    expect(named.checkHost("box1.example")).toBe("box1.example");
    expect(new X509Certificate(client.certificatePem).subject).toBe("CN=machine web");
  });

  test("is taken by openssl for a server's and a client's, each for its own use alone, where there is one", async () => {
    const openssl = Bun.which("openssl");
    if (openssl === null) return;
    const dir = mkdtempSync(join(tmpdir(), "sternway-authority-"));
    try {
      const write = async (name: string, { certificatePem }: { certificatePem: string }): Promise<string> => {
        await Bun.write(join(dir, name), certificatePem);
        return join(dir, name);
      };
      const ca = await write("ca.pem", authority);
      const verify = async (file: string, purpose: string, ...more: string[]): Promise<number> =>
        await Bun.spawn(
          [
            openssl,
            "verify",
            "-x509_strict",
            "-attime",
            String(NOW / 1e6),
            "-CAfile",
            ca,
            "-purpose",
            purpose,
            ...more,
            file,
          ],
          {
            stdout: "ignore",
            stderr: "ignore",
          },
        ).exited;
      const [ofServer, ofClient] = [await write("server.pem", server), await write("client.pem", client)];
      expect(await verify(ofServer, "sslserver", "-verify_ip", "fd00::1:2")).toBe(0);
      expect(await verify(ofServer, "sslserver", "-verify_ip", "::ffff:10.0.0.1")).toBe(0);
      expect(await verify(ofServer, "sslserver", "-verify_hostname", "other.example")).not.toBe(0);
      expect(await verify(ofServer, "sslclient")).not.toBe(0);
      expect(await verify(ofClient, "sslclient")).toBe(0);
      expect(await verify(ofClient, "sslserver")).not.toBe(0);
    } finally {
      rmSync(dir, { recursive: true, force: true });
    }
  });
});

describe("parseCertificate()", () => {
  test("reads back what was kept", () => {
    const read = parseCertificate(own.keyPem + own.certificatePem, "/x");
    expect(read).toEqual(own);
  });

  test("refuses another key's certificate, a part, and nonsense as damaged", () => {
    const other = makeCertificate(NOW, seededRandom(3));
    expect(() => parseCertificate(other.keyPem + own.certificatePem, "/x")).toThrow("its key is not the certificate's");
    expect(() => parseCertificate(own.certificatePem, "/x")).toThrow("does not hold a key and a certificate");
    expect(() => parseCertificate(own.keyPem + own.certificatePem.replace("MII", "XXX"), "/x")).toThrow("is damaged");
  });
});
