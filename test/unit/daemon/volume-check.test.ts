import { describe, expect, test } from "bun:test";
import type { CheckRequest } from "../../../src/contract/contract.ts";
import { checkVolumes } from "../../../src/daemon/volume-check.ts";
import { createFakeVolumes, type FakeVolumes } from "../../support/fake-volumes.ts";

async function run(volumes: FakeVolumes, request: CheckRequest = {}, signal = new AbortController().signal) {
  const lines = [];
  for await (const line of checkVolumes(volumes, request, signal)) lines.push(line);
  expect(volumes.openCount()).toBe(0);
  return {
    findings: lines.filter((line) => line.line === "finding"),
    end: lines.find((line) => line.line === "end"),
    lines,
  };
}

async function twoVolumes(): Promise<FakeVolumes> {
  const volumes = createFakeVolumes();
  for (const name of ["a", "b"]) {
    await volumes.create(name, 4 * 2 ** 20 + 512);
    const live = await volumes.openLive(name);
    await live.write(8192, new Uint8Array(2 ** 20).fill(1), false);
    await live.close();
  }
  return volumes;
}

describe("checkVolumes()", () => {
  test("reads every written byte of every volume, now and at each bookmark once", async () => {
    const volumes = await twoVolumes();
    await volumes.bookmark("a", "one", { kind: "now" }, "");
    await volumes.bookmark("a", "same", { kind: "now" }, "");
    const { findings, end } = await run(volumes);
    expect(findings).toEqual([]);
    expect(end).toMatchObject({ findings: 0, objects: 3, bytes: 3 * 2 ** 20 });
  });

  test("names damage block by block, neighbours as one, with the LSN", async () => {
    const volumes = await twoVolumes();
    for (const offset of [8192, 12_288 + 100, 40_960]) volumes.damageAt(offset);
    const { findings, end } = await run(volumes, { volume: "b" });
    expect(findings).toMatchObject([
      { severity: "damage", subject: "b@now", facts: { volume: "b", offset: 8192, length: 8192, lsn: 4 } },
      { facts: { offset: 40_960, length: 4096 } },
    ]);
    expect(end).toMatchObject({ findings: 2, objects: 1 });
  });

  test("quick reads no block", async () => {
    const volumes = await twoVolumes();
    volumes.damageAt(8192);
    expect((await run(volumes, { quick: true })).end).toMatchObject({ findings: 0, objects: 2, bytes: 0 });
  });

  test("tells of a map that cannot be read, and goes on", async () => {
    const volumes = await twoVolumes();
    const { openAt } = volumes;
    const { SternwayError } = await import("../../../src/base/errors.ts");
    volumes.openAt = async (name, moment) => {
      const device = await openAt(name, moment);
      if (name === "b") return device;
      return { ...device, extents: () => Promise.reject(new SternwayError("corrupt", "layer 3", { layer: 3 })) };
    };
    const { findings, end } = await run(volumes);
    expect(findings).toMatchObject([{ subject: "a@now", facts: { layer: 3, offset: 0, length: 4 * 2 ** 20 + 512 } }]);
    expect(end).toMatchObject({ objects: 2, bytes: 2 ** 20 });
  });

  test("stops without an end when it is aborted", async () => {
    const volumes = await twoVolumes();
    const stop = new AbortController();
    const lines = [];
    for await (const line of checkVolumes(volumes, {}, stop.signal)) {
      lines.push(line);
      stop.abort();
    }
    expect(lines).toHaveLength(1);
    expect(volumes.openCount()).toBe(0);
  });
});
