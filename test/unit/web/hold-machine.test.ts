import { expect, test } from "bun:test";
import { SternwayError } from "../../../src/base/errors.ts";
import { holdAll, type HoldApi } from "../../../src/web/console/timeline/hold-machine.ts";

const MOMENTS = [
  { volume: "system", lsn: 7 },
  { volume: "data", lsn: 7 },
  { volume: "log", lsn: 9 },
];
const WHAT = { name: "evidence", note: "for the auditor" };

/** Holds in memory. @param fails - the volume whose next hold is refused */
function holds(fails?: string) {
  const made = new Map<string, { name: string; lsn: number; note: string }[]>();
  const state = { fails };
  const api: HoldApi = {
    holds: (volume) =>
      Promise.resolve((made.get(volume) ?? []).map((each) => ({ ...each, time: "", createdAt: "" })) as never),
    createHold(volume, { name, at, note }) {
      if (volume === state.fails) return Promise.reject(new SternwayError("unavailable", "the vault is closed"));
      const hold = { name, lsn: Number(at?.slice(4)), note: note ?? "" };
      made.set(volume, [...(made.get(volume) ?? []), hold]);
      return Promise.resolve(hold as never);
    },
  };
  return { api, state, all: () => MOMENTS.map(({ volume }) => made.get(volume)?.map(({ lsn }) => lsn) ?? []) };
}

test("holdAll() holds each disk at its own LSN", async () => {
  const { api, all } = holds();
  await holdAll(api, MOMENTS, WHAT);
  expect(all()).toEqual([[7], [7], [9]]);
});

test("holdAll() says which disks are not held when one refuses, and holds the rest when it is tried again", async () => {
  const { api, state, all } = holds("data");
  await expect(holdAll(api, MOMENTS, WHAT)).rejects.toMatchObject({
    kind: "unavailable",
    message: expect.stringMatching(/^not held: data, log\..*the vault is closed$/),
  });
  expect(all()).toEqual([[7], [], []]);
  state.fails = undefined;
  await holdAll(api, MOMENTS, WHAT);
  expect(all()).toEqual([[7], [7], [9]]);
});

test("holdAll() holds nothing where a disk has the name at another moment", async () => {
  const { api, all } = holds();
  await api.createHold("log", { name: WHAT.name, at: "lsn:3" });
  await expect(holdAll(api, MOMENTS, WHAT)).rejects.toMatchObject({ kind: "conflict" });
  expect(all()).toEqual([[], [], [3]]);
});
