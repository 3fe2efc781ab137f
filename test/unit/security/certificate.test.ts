import { describe, expect, test } from "bun:test";
import { X509Certificate } from "node:crypto";
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
    expect(Date.parse(certificate.validTo)).toBe(Date.parse("2046-11-19T12:00:00Z"));
    expect(Buffer.from(own.fingerprint)).toEqual(Buffer.from(fingerprintOf(certificate.raw)));
    expect(Buffer.from(own.fingerprint).toString("hex")).toBe(
      certificate.fingerprint256.replaceAll(":", "").toLowerCase(),
    );
  });

  test("writes years from 2050 on with four digits", () => {
    const late = makeCertificate(micros(Date.parse("2031-01-02T00:00:00Z") * 1000), seededRandom(2));
    expect(Date.parse(new X509Certificate(late.certificatePem).validTo)).toBe(Date.parse("2051-01-01T00:00:00Z"));
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
