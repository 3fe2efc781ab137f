import { describe, expect, test } from "bun:test";
import { LsnTimes } from "../../../src/replication/lsn-times.ts";
import {
  manifestObject,
  manifestThereOf,
  objectName,
  sealedFileOf,
  tailObject,
  tailPieceOf,
  writerNumberOf,
  writerObject,
} from "../../../src/replication/objects.ts";
import { isObjectName } from "../../../src/tiers/object-name.ts";
import { sealedChronicle, sealedLayer, sealedPack } from "../../../src/vault/sealed-files.ts";
import { inWorld } from "../../support/world.ts";

const checksum = "00ff00ff00ff00ff";

describe("names of objects", () => {
  test("sealedFileOf() gives back what objectName() was given", () => {
    const files = [
      sealedPack({ pack: 4097, generation: 3, sizeBytes: 10, slots: 1, checksum }),
      sealedLayer({ id: 12, sizeBytes: 11, checksum }),
      sealedChronicle({ id: 13, sizeBytes: 12, checksum }),
    ];
    for (const file of files) {
      expect(isObjectName(objectName(file))).toBe(true);
      expect(sealedFileOf(objectName(file), file.sizeBytes)).toEqual(file);
    }
    expect(sealedFileOf(`layers/0000000001-${checksum}.chronicle`, 1)).toBeUndefined();
    expect(sealedFileOf("packs/00001/../x", 1)).toBeUndefined();
  });

  test("numbers and pieces of tail come back from their names, and nothing from others'", () => {
    expect(writerNumberOf(writerObject(7))).toBe(7);
    expect(writerNumberOf(manifestObject(7, 8))).toBeUndefined();
    expect(manifestThereOf(manifestObject(7, 8))).toEqual({ name: manifestObject(7, 8), writer: 7, number: 8 });
    expect(manifestThereOf(writerObject(7))).toBeUndefined();
    const name = tailObject(2, 9, 4096);
    expect(tailPieceOf({ name, sizeBytes: 5 })).toEqual({
      name,
      writer: 2,
      fileSequence: 9,
      offset: 4096,
      sizeBytes: 5,
    });
    expect(tailPieceOf({ name: "tail/1/2/3", sizeBytes: 5 })).toBeUndefined();
  });
});

describe("LsnTimes", () => {
  test("ageBeyond() is the age of the oldest LSN beyond, never less", () =>
    inWorld(1, async ({ sim }) => {
      const times = new LsnTimes(sim.clock);
      times.note(5);
      await sim.clock.sleep(1_000);
      times.note(9);
      await sim.clock.sleep(500);
      expect(times.ageBeyond(4)).toBeGreaterThanOrEqual(1_500_000);
      expect(times.ageBeyond(5)).toBeGreaterThanOrEqual(500_000);
      expect(times.ageBeyond(5)).toBeLessThan(600_000);
      expect(times.ageBeyond(9)).toBe(0);
      times.forgetThrough(5);
      expect(times.ageBeyond(5)).toBeGreaterThanOrEqual(500_000);
    }));

  test("keeps few times of what is long ago", () =>
    inWorld(2, async ({ sim }) => {
      const times = new LsnTimes(sim.clock);
      for (let lsn = 1; lsn <= 20_000; lsn++) {
        times.note(lsn);
        await sim.clock.sleep(60);
      }
      expect(times.ageBeyond(0)).toBeGreaterThan(0.9 * 20_000 * 60_000);
      expect(times.ageBeyond(19_999)).toBeLessThan(200_000);
    }));
});
