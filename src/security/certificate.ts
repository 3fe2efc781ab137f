/**
 * Certificates that the appliance makes itself, all EC P-256: the self-signed one with which it shows itself to its peers, who know it by the SHA-256 of its DER, so that neither
 * its name nor its issuer proves anything; and the appliance's own authority, which signs the certificates of its doors and of the clients that may come through them.
 *
 * They are encoded here, by the few lines of der.ts, rather than by a library: what is to be had for X.509 brings a dozen packages and a global polyfill into the
 * room of keys, and these certificates have one shape. Nothing is parsed here; reading is for the runtime's X509Certificate.
 *
 * @see RFC 5280 for the structure
 */
import { createHash, createPrivateKey, createPublicKey, generateKeyPairSync, sign, X509Certificate } from "node:crypto";
import { isIP } from "node:net";
import { SternwayError } from "../base/errors.ts";
import type { Random } from "../base/random.ts";
import type { Micros } from "../base/units.ts";
import {
  bitString,
  extension,
  integer,
  objectId,
  OCTET_STRING,
  positive,
  sequence,
  SET,
  tagged,
  time,
  UTF8_STRING,
} from "./der.ts";

/** What is kept, in one file of mode 0600: the private key, then the certificate, both PEM. */
export interface OwnCertificate {
  keyPem: string;
  certificatePem: string;
  /** SHA-256 of the certificate's DER. */
  fingerprint: Uint8Array;
}

/** What a certificate is to say. */
export interface CertificateWish {
  /** Common name, up to 64 characters. */
  name: string;
  /** `authority` signs others and does nothing else. */
  use: "server" | "client" | "authority";
  /** DNS names and addresses of a server. */
  hosts?: readonly string[];
  days: number;
  /** Who signs it; left out: itself. */
  issuer?: { name: string; keyPem: string };
}

export const FINGERPRINT_BYTES = 32;
const PEER_DAYS = 20 * 365;
const DAY_MS = 86_400_000;
/** Bytes of the serial number: RFC 5280 allows 20, of which the first bit is zero. */
const SERIAL_BYTES = 16;
/** Octets of the key's identifier: RFC 7093 takes the leftmost 160 bits of its SHA-256. */
const KEY_ID_BYTES = 20;

/** Makes a key and a certificate for it; without a wish, the one for peers. @param now - valid from a day before, for others whose clocks are behind */
export function makeCertificate(now: Micros, random: Random, wish: CertificateWish = PEER): OwnCertificate {
  const { publicKey, privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const from = new Date(now / 1000 - DAY_MS);
  const to = new Date(now / 1000 + wish.days * DAY_MS);
  const signer = wish.issuer === undefined ? privateKey : createPrivateKey(wish.issuer.keyPem);
  const spki = publicKey.export({ type: "spki", format: "der" });
  const toBeSigned = sequence(
    tagged(0xa0, integer(Uint8Array.of(2))),
    integer(positive(random.bytes(SERIAL_BYTES))),
    ECDSA_WITH_SHA256,
    nameOf(wish.issuer?.name ?? wish.name),
    sequence(time(from), time(to)),
    nameOf(wish.name),
    spki,
    tagged(
      0xa3,
      sequence(
        ...extensionsOf(wish, keyId(spki), keyId(createPublicKey(signer).export({ type: "spki", format: "der" }))),
      ),
    ),
  );
  const signature = sign("sha256", toBeSigned, signer);
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

const PEER: CertificateWish = { name: "sternway", use: "server", hosts: ["sternway"], days: PEER_DAYS };

const ECDSA_WITH_SHA256 = sequence(objectId(1, 2, 840, 10045, 4, 3, 2));

const nameOf = (name: string): Uint8Array =>
  sequence(tagged(SET, sequence(objectId(2, 5, 4, 3), tagged(UTF8_STRING, Buffer.from(name, "utf8")))));

const keyId = (spki: Uint8Array): Uint8Array => createHash("sha256").update(spki).digest().subarray(0, KEY_ID_BYTES);

function extensionsOf(
  { use, hosts = [], issuer }: CertificateWish,
  own: Uint8Array,
  issuers: Uint8Array,
): Uint8Array[] {
  const extensions = [
    // Basic constraints: an authority for no further authorities, or none.
    extension(
      objectId(2, 5, 29, 19),
      true,
      use === "authority" ? sequence(TRUE, integer(Uint8Array.of(0))) : sequence(),
    ),
    // Key usage: signing certificates, or digital signature, which is all that TLS 1.3 does with it.
    extension(
      objectId(2, 5, 29, 15),
      true,
      tagged(0x03, use === "authority" ? Uint8Array.of(1, 0x06) : Uint8Array.of(7, 0x80)),
    ),
    // Subject key identifier.
    extension(objectId(2, 5, 29, 14), false, tagged(OCTET_STRING, own)),
  ];
  // Authority key identifier.
  if (issuer) extensions.push(extension(objectId(2, 5, 29, 35), false, sequence(tagged(0x80, issuers))));
  if (use !== "authority") {
    // Extended key usage: server or client authentication.
    extensions.push(
      extension(objectId(2, 5, 29, 37), false, sequence(objectId(1, 3, 6, 1, 5, 5, 7, 3, use === "server" ? 1 : 2))),
    );
  }
  if (hosts.length > 0)
    extensions.push(extension(objectId(2, 5, 29, 17), false, sequence(...hosts.map(alternativeName))));
  return extensions;
}

const TRUE = Uint8Array.of(0x01, 0x01, 0xff);

function alternativeName(host: string): Uint8Array {
  const kind = isIP(host);
  if (kind === 0) return tagged(0x82, Buffer.from(host, "latin1"));
  return tagged(0x87, kind === 4 ? Uint8Array.from(host.split("."), Number) : octetsOf6(host));
}

/** The sixteen octets of an address of version 6 that {@link isIP} took. */
function octetsOf6(address: string): Uint8Array {
  const dotted = /^(.*:)(\d+)\.(\d+)\.(\d+)\.(\d+)$/.exec(address);
  const hex = (high?: string, low?: string): string => ((Number(high) << 8) | Number(low)).toString(16);
  const text = dotted ? `${dotted[1]}${hex(dotted[2], dotted[3])}:${hex(dotted[4], dotted[5])}` : address;
  const [front = "", back] = text.split("%")[0]!.split("::");
  const groups = (part: string): number[] =>
    part === "" ? [] : part.split(":").map((each) => Number.parseInt(each, 16));
  const first = groups(front);
  const last = back === undefined ? [] : groups(back);
  const all = [...first, ...Array.from({ length: 8 - first.length - last.length }, () => 0), ...last];
  return Uint8Array.from(all.flatMap((group) => [group >> 8, group & 0xff]));
}
