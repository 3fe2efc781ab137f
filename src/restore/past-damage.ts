/**
 * Going on past damage: a device that gives zeroes where its source's bytes are damaged, and says where. It asks again in halves
 * until only whole blocks that cannot be read are left, so that one damaged block costs its neighbours nothing.
 */
import type { Extent } from "../base/device.ts";
import { isSternwayError, type SternwayError } from "../base/errors.ts";
import { BLOCK_SIZE } from "../base/units.ts";
import type { RestoreDevice } from "./pieces.ts";

/** Bytes that could not be given: the target holds zeroes there. */
export interface LostRange {
  offset: number;
  length: number;
  why: string;
}

/** Where even the map is damaged, what holds data is not asked more closely than this: reading finds it out. */
const EXTENTS_BYTES_MIN = 2 ** 20;

/** @param lost - told of each range that is filled with zeroes, before the read that needed it resolves */
export function pastDamage(device: RestoreDevice, lost: (range: LostRange) => void): RestoreDevice {
  return {
    sizeBytes: device.sizeBytes,
    async read(offset, length) {
      const whole = await device.read(offset, length).catch(onlyDamage);
      if (whole instanceof Uint8Array) return whole;
      const bytes = new Uint8Array(length);
      const ranges: LostRange[] = [];
      await narrow(device, offset, length, whole, (at, part) => {
        if (part instanceof Uint8Array) bytes.set(part, at - offset);
        else note(ranges, { offset: at, length: part.length, why: part.why });
      });
      for (const range of ranges) lost(range);
      return bytes;
    },
    extents: (offset, length) => extentsOf(device, offset, length),
  };
}

type Visit = (offset: number, part: Uint8Array | { length: number; why: string }) => void;

/** Reads the halves of a range that cannot be read as a whole, in order. */
async function narrow(
  device: RestoreDevice,
  offset: number,
  length: number,
  error: SternwayError,
  visit: Visit,
): Promise<void> {
  const end = offset + length;
  const middle = Math.floor((offset + length / 2) / BLOCK_SIZE) * BLOCK_SIZE;
  const split = middle > offset ? middle : (Math.floor(offset / BLOCK_SIZE) + 1) * BLOCK_SIZE;
  if (split >= end) return visit(offset, { length, why: reasonOf(error) });
  for (const [from, to] of [
    [offset, split],
    [split, end],
  ] as const) {
    const part = await device.read(from, to - from).catch(onlyDamage);
    if (part instanceof Uint8Array) visit(from, part);
    else await narrow(device, from, to - from, part, visit);
  }
}

async function extentsOf(device: RestoreDevice, offset: number, length: number): Promise<Extent[]> {
  const extents = await device.extents(offset, length).catch(onlyDamage);
  if (Array.isArray(extents)) return extents;
  if (length <= EXTENTS_BYTES_MIN) return [{ offset, length, kind: "data" }];
  // A short answer is a fine one: the rest is asked for later.
  return await extentsOf(device, offset, Math.ceil(length / 2 / BLOCK_SIZE) * BLOCK_SIZE);
}

/** Adds a range to those before it; neighbours that are lost for one reason become one. */
export function note(ranges: LostRange[], range: LostRange): void {
  const last = ranges.at(-1);
  if (last && last.offset + last.length === range.offset && last.why === range.why) last.length += range.length;
  else ranges.push(range);
}

/** Over NBD the error also tells of the request, which differs from block to block; what the server said of the bytes does not. */
function reasonOf({ message, facts }: SternwayError): string {
  const { said } = facts;
  return typeof said === "string" && said !== "" ? said : message;
}

function onlyDamage(error: unknown): SternwayError {
  if (isSternwayError(error, "corrupt")) return error;
  throw error;
}
