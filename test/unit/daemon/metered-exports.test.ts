import { expect, test } from "bun:test";
import { SternwayError } from "../../../src/base/errors.ts";
import { meterExports } from "../../../src/daemon/metered-exports.ts";
import { createMetrics } from "../../../src/observe/metrics.ts";
import { pastExports } from "../../../src/restore/nbd-exports.ts";
import { liveExports } from "../../../src/sources/nbd-target.ts";
import { combineExports } from "../../../src/volume/export-name.ts";
import { createFakeVolumes } from "../../support/fake-volumes.ts";

const peer = { address: "test" };

test("meterExports() counts what clients of live and past exports do, per volume, and forgets a deleted one", async () => {
  const volumes = createFakeVolumes();
  await volumes.create("web1", 2 ** 20);
  const exists = (name: string): boolean => volumes.list().some((info) => info.name === name);
  const meter = meterExports(combineExports(liveExports(volumes), pastExports(volumes)), createMetrics(), exists);
  expect((await meter.exports.list(peer)).map((each) => each.name)).toEqual(["web1"]);
  const live = await meter.exports.open("web1", peer);
  if (live.readOnly) throw new Error("the live export is writable");
  // Done at once: no promise, so that the answering path stays synchronous.
  expect(live.device.write(0, new Uint8Array(4096), false)).toBeUndefined();
  expect(live.device.trim(0, 8192, false)).toBeUndefined();
  expect(live.device.writeZeroes(0, 512, true, false)).toBeUndefined();
  await live.device.flush();
  await live.device.read(0, 1024);
  const past = await meter.exports.open("web1@now", peer);
  await past.device.read(0, 512);
  expect(past.readOnly).toBe(true);
  await Promise.all([live.device.close(), past.device.close()]);
  expect(volumes.openCount()).toBe(0);
  expect(meter.totals()).toEqual([
    { volume: "web1", writes: 1, writtenBytes: 4096, clearedBytes: 8704, readBytes: 1536, flushes: 1 },
  ]);
  await volumes.delete("web1");
  expect(meter.totals()).toEqual([]);
});

test("meterExports() counts a refused write as refused, not as written, and passes its error on", async () => {
  const volumes = createFakeVolumes();
  await volumes.create("web1", 2 ** 20);
  const { openLive } = volumes;
  const full = new SternwayError("unavailable", "full", { code: "ENOSPC" });
  volumes.openLive = async (name) => ({ ...(await openLive(name)), write: () => Promise.reject(full) });
  const metrics = createMetrics();
  const meter = meterExports(combineExports(liveExports(volumes), pastExports(volumes)), metrics, () => true);
  const live = await meter.exports.open("web1", peer);
  if (live.readOnly) throw new Error("the live export is writable");
  await expect(live.device.write(0, new Uint8Array(512), false)).rejects.toBe(full);
  expect(meter.totals()).toMatchObject([{ writes: 0, writtenBytes: 0 }]);
  expect(await metrics.text()).toContain("sternway_refused_writes_total 1");
  await live.device.close();
});
