/**
 * The few pieces of DER of which a certificate is made. Encoding only: what comes from elsewhere is read by the runtime's X509Certificate.
 *
 * @see X.690 for DER, RFC 5280 for what is made of it
 */

const SEQUENCE = 0x30;
export const SET = 0x31;
const INTEGER = 0x02;
const BIT_STRING = 0x03;
export const OCTET_STRING = 0x04;
const OBJECT_ID = 0x06;
export const UTF8_STRING = 0x0c;
const UTC_TIME = 0x17;
const GENERALIZED_TIME = 0x18;

export function tagged(tag: number, ...parts: readonly Uint8Array[]): Uint8Array {
  const content = Buffer.concat(parts);
  return Buffer.concat([Uint8Array.of(tag), lengthOf(content.length), content]);
}

/** Short form below 128, else the number of bytes and the length in them; a certificate's parts stay below 64 KiB. */
function lengthOf(length: number): Uint8Array {
  if (length < 0x80) return Uint8Array.of(length);
  return length < 0x100 ? Uint8Array.of(0x81, length) : Uint8Array.of(0x82, length >> 8, length & 0xff);
}

export function sequence(...parts: readonly Uint8Array[]): Uint8Array {
  return tagged(SEQUENCE, ...parts);
}

export const integer = (bytes: Uint8Array): Uint8Array => tagged(INTEGER, bytes);
export const bitString = (bytes: Uint8Array): Uint8Array => tagged(BIT_STRING, Uint8Array.of(0), bytes);

/** An integer of two's complement that is above zero and has no superfluous first byte. */
export function positive(bytes: Uint8Array): Uint8Array {
  bytes[0] = (bytes[0]! & 0x7f) | 0x40;
  return bytes;
}

export function objectId(...arcs: readonly number[]): Uint8Array {
  const [first = 0, second = 0, ...rest] = arcs;
  return tagged(OBJECT_ID, Uint8Array.from([first * 40 + second, ...rest.flatMap(base128)]));
}

function base128(value: number): number[] {
  const digits = [value & 0x7f];
  for (let left = value >> 7; left > 0; left >>= 7) digits.unshift((left & 0x7f) | 0x80);
  return digits;
}

/** RFC 5280, 4.1.2.5: two digits of the year up to 2049, four from then on. */
export function time(at: Date): Uint8Array {
  const digits = `${at.toISOString().replaceAll(/[-:T]/g, "").slice(0, 14)}Z`;
  const isLate = at.getUTCFullYear() >= 2050;
  return tagged(isLate ? GENERALIZED_TIME : UTC_TIME, Buffer.from(isLate ? digits : digits.slice(2), "latin1"));
}

export function extension(id: Uint8Array, isCritical: boolean, value: Uint8Array): Uint8Array {
  const critical = isCritical ? [Uint8Array.of(0x01, 0x01, 0xff)] : [];
  return sequence(id, ...critical, tagged(OCTET_STRING, value));
}
