/** Checksums of bodies: right, in order, and without keeping the thread. */
import { expect, test } from "bun:test";
import { createHash } from "node:crypto";
import { crc32 } from "node:zlib";
import { systemClock } from "../../../../src/base/clock.ts";
import { checksumsOf, crcHeader } from "../../../../src/tiers/s3/s3-upload.ts";
import { bytesSource } from "../../../../src/tiers/store.ts";
import { numbered } from "../../../support/store-expectations.ts";

const MIB = 2 ** 20;

test("checksumsOf() agrees with other implementations at every size around a piece", async () => {
  for (const size of [0, 1, 9, MIB - 1, MIB, MIB + 1, 3 * MIB + 7]) {
    const bytes = numbered(0, size);
    const found = await checksumsOf(bytesSource(bytes), true, systemClock, undefined);
    expect(found).toEqual({ crc32: crc32(bytes), md5: createHash("md5").update(bytes).digest("base64") });
  }
  // The check value that the CRC's definition gives for "123456789".
  expect(crcHeader(0xcbf43926)).toBe("y/Q5Jg==");
});

test("checksumsOf() with an MD5 gives the thread free after each piece, even of bytes in memory", async () => {
  let turns = 0;
  let isOver = false;
  const turn = (): void => {
    turns++;
    if (!isOver) setImmediate(turn);
  };
  setImmediate(turn);
  await checksumsOf(bytesSource(new Uint8Array(8 * MIB)), true, systemClock, undefined);
  isOver = true;
  expect(turns).toBeGreaterThanOrEqual(8);
});
