/**
 * The certificate with which an appliance shows itself to its peers: self-signed, EC P-256, twenty years. Peers know it by the SHA-256 of its DER,
 * which their token carries, so neither its name nor its issuer proves anything.
 *
 * It is encoded here, by the sixty lines below, rather than by a library: what is to be had for X.509 brings a dozen packages and a global polyfill into the
 * room of keys, and this one certificate has one shape. Nothing is parsed here; reading is for the runtime's X509Certificate.
 *
 * @see RFC 5280 for the structure, X.690 for DER
 */
import { createHash, createPrivateKey, generateKeyPairSync, sign, X509Certificate } from "node:crypto";
import { SternwayError } from "../base/errors.ts";
import type { Random } from "../base/random.ts";
import type { Micros } from "../base/units.ts";

/** What is kept, in one file of mode 0600: the private key, then the certificate, both PEM. */
export interface OwnCertificate {
  keyPem: string;
  certificatePem: string;
  /** SHA-256 of the certificate's DER. */
  fingerprint: Uint8Array;
}

export const FINGERPRINT_BYTES = 32;
const YEARS = 20;
const DAY_MS = 86_400_000;
/** Bytes of the serial number: RFC 5280 allows 20, of which the first bit is zero. */
const SERIAL_BYTES = 16;

/** Makes a key and a certificate for it. @param now - valid from a day before, for peers whose clocks are behind */
export function makeCertificate(now: Micros, random: Random): OwnCertificate {
  const { publicKey, privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const from = new Date(now / 1000 - DAY_MS);
  const to = new Date(from);
  to.setUTCFullYear(to.getUTCFullYear() + YEARS);
  const toBeSigned = sequence(
    tagged(0xa0, integer(Uint8Array.of(2))),
    integer(positive(random.bytes(SERIAL_BYTES))),
    ECDSA_WITH_SHA256,
    NAME,
    sequence(time(from), time(to)),
    NAME,
    publicKey.export({ type: "spki", format: "der" }),
    tagged(0xa3, sequence(...EXTENSIONS)),
  );
  const signature = sign("sha256", toBeSigned, privateKey);
  const der = sequence(toBeSigned, ECDSA_WITH_SHA256, bitString(signature));
  const base64 = Buffer.from(der)
    .toString("base64")
    .replaceAll(/(.{64})/g, "$1\n");
  const certificatePem = `-----BEGIN CERTIFICATE-----\n${base64.trimEnd()}\n-----END CERTIFICATE-----\n`;
  const keyPem = privateKey.export({ type: "pkcs8", format: "pem" }).toString();
  return { keyPem, certificatePem, fingerprint: fingerprintOf(der) };
}

/** Reads what was kept. @throws corrupt: it is not a key and the certificate that belongs to it */
export function parseCertificate(text: string, path: string): OwnCertificate {
  const keyPem = /-----BEGIN PRIVATE KEY-----[^-]+-----END PRIVATE KEY-----\n?/.exec(text)?.[0];
  const certificatePem = /-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----\n?/.exec(text)?.[0];
  const damaged = (why: string, cause?: unknown): SternwayError =>
    new SternwayError("corrupt", `${path} is damaged: ${why}`, { path }, { cause });
  if (keyPem === undefined || certificatePem === undefined) throw damaged("it does not hold a key and a certificate");
  let isPair: boolean;
  let certificate: X509Certificate;
  try {
    certificate = new X509Certificate(certificatePem);
    isPair = certificate.checkPrivateKey(createPrivateKey(keyPem));
  } catch (cause) {
    throw damaged("its key or certificate cannot be read", cause);
  }
  if (!isPair) throw damaged("its key is not the certificate's");
  return { keyPem, certificatePem, fingerprint: fingerprintOf(certificate.raw) };
}

/** What a peer compares with. @param der - the certificate as it came */
export function fingerprintOf(der: Uint8Array): Uint8Array {
  return new Uint8Array(createHash("sha256").update(der).digest());
}

const SEQUENCE = 0x30;
const SET = 0x31;
const INTEGER = 0x02;
const BIT_STRING = 0x03;
const OCTET_STRING = 0x04;
const OBJECT_ID = 0x06;
const UTF8_STRING = 0x0c;
const UTC_TIME = 0x17;
const GENERALIZED_TIME = 0x18;

function tagged(tag: number, ...parts: readonly Uint8Array[]): Uint8Array {
  const content = Buffer.concat(parts);
  return Buffer.concat([Uint8Array.of(tag), lengthOf(content.length), content]);
}

/** Short form below 128, else the number of bytes and the length in them; a certificate's parts stay below 64 KiB. */
function lengthOf(length: number): Uint8Array {
  if (length < 0x80) return Uint8Array.of(length);
  return length < 0x100 ? Uint8Array.of(0x81, length) : Uint8Array.of(0x82, length >> 8, length & 0xff);
}

function sequence(...parts: readonly Uint8Array[]): Uint8Array {
  return tagged(SEQUENCE, ...parts);
}

const integer = (bytes: Uint8Array): Uint8Array => tagged(INTEGER, bytes);
const bitString = (bytes: Uint8Array): Uint8Array => tagged(BIT_STRING, Uint8Array.of(0), bytes);

/** An integer of two's complement that is above zero and has no superfluous first byte. */
function positive(bytes: Uint8Array): Uint8Array {
  bytes[0] = (bytes[0]! & 0x7f) | 0x40;
  return bytes;
}

function objectId(...arcs: readonly number[]): Uint8Array {
  const [first = 0, second = 0, ...rest] = arcs;
  return tagged(OBJECT_ID, Uint8Array.from([first * 40 + second, ...rest.flatMap(base128)]));
}

function base128(value: number): number[] {
  const digits = [value & 0x7f];
  for (let left = value >> 7; left > 0; left >>= 7) digits.unshift((left & 0x7f) | 0x80);
  return digits;
}

/** RFC 5280, 4.1.2.5: two digits of the year up to 2049, four from then on. */
function time(at: Date): Uint8Array {
  const digits = `${at.toISOString().replaceAll(/[-:T]/g, "").slice(0, 14)}Z`;
  const isLate = at.getUTCFullYear() >= 2050;
  return tagged(isLate ? GENERALIZED_TIME : UTC_TIME, Buffer.from(isLate ? digits : digits.slice(2), "latin1"));
}

function extension(id: Uint8Array, isCritical: boolean, value: Uint8Array): Uint8Array {
  const critical = isCritical ? [Uint8Array.of(0x01, 0x01, 0xff)] : [];
  return sequence(id, ...critical, tagged(OCTET_STRING, value));
}

const HOST = Buffer.from("sternway", "latin1");
const ECDSA_WITH_SHA256 = sequence(objectId(1, 2, 840, 10045, 4, 3, 2));
const NAME = sequence(tagged(SET, sequence(objectId(2, 5, 4, 3), tagged(UTF8_STRING, HOST))));
const EXTENSIONS = [
  // Basic constraints: no authority.
  extension(objectId(2, 5, 29, 19), true, sequence()),
  // Key usage: digital signature, which is all that TLS 1.3 does with it.
  extension(objectId(2, 5, 29, 15), true, tagged(BIT_STRING, Uint8Array.of(7, 0x80))),
  // Extended key usage: server authentication.
  extension(objectId(2, 5, 29, 37), false, sequence(objectId(1, 3, 6, 1, 5, 5, 7, 3, 1))),
  // Subject alternative name: a DNS name.
  extension(objectId(2, 5, 29, 17), false, sequence(tagged(0x82, HOST))),
];
