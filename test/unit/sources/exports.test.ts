import { describe, expect, test } from "bun:test";
import type { NbdExports } from "../../../src/nbd/server.ts";
import { pastExports } from "../../../src/restore/nbd-exports.ts";
import { liveExports } from "../../../src/sources/nbd-target.ts";
import { combineExports, parseExportName } from "../../../src/volume/export-name.ts";
import { createFakeVolumes, type FakeVolumes } from "../../support/fake-volumes.ts";

const PEER = { address: "unix:test" };
const block = (value: number): Uint8Array => new Uint8Array(4096).fill(value);

async function setUp(): Promise<{ volumes: FakeVolumes; exports: NbdExports }> {
  const volumes = createFakeVolumes();
  await volumes.create("web1", 1 << 20);
  await volumes.create("web2", 2 << 20);
  return { volumes, exports: combineExports(liveExports(volumes), pastExports(volumes)) };
}

async function writeBlock(exports: NbdExports, value: number): Promise<void> {
  const opened = await exports.open("web1", PEER);
  if (opened.readOnly) throw new Error("the live volume must be writable");
  await opened.device.write(0, block(value), false);
  await opened.device.flush();
  await opened.device.close();
}

describe("combineExports()", () => {
  test("opens NAME writable, and counts as attached until closed", async () => {
    const { volumes, exports } = await setUp();
    const opened = await exports.open("web1", PEER);
    expect(opened.readOnly).toBe(false);
    expect(volumes.get("web1").attached).toBe(1);
    await opened.device.close();
    expect(volumes.get("web1").attached).toBe(0);
  });

  test("opens NAME@MOMENT read-only with the bytes of that moment", async () => {
    const { volumes, exports } = await setUp();
    await writeBlock(exports, 1);
    await volumes.bookmark("web1", "first", { kind: "now" }, "by hand");
    await writeBlock(exports, 2);
    const past = await exports.open("web1@bookmark:first", PEER);
    expect(past.readOnly).toBe(true);
    expect(past.description).toContain("web1 as of 2026-11-20T");
    expect(await past.device.read(0, 4096)).toEqual(block(1));
    const present = await exports.open("web1@now", PEER);
    expect(present.readOnly).toBe(true);
    expect(await present.device.read(0, 4096)).toEqual(block(2));
    await past.device.close();
    await present.device.close();
    expect(volumes.openCount()).toBe(0);
  });

  test("lists live volumes and bookmarks", async () => {
    const { volumes, exports } = await setUp();
    await volumes.bookmark("web1", "first", { kind: "now" }, "by hand");
    const names = (await exports.list(PEER)).map((each) => each.name);
    expect(names).toEqual(["web1", "web2", "web1@bookmark:first"]);
  });

  test("describes without attaching or leaving a device open", async () => {
    const { volumes, exports } = await setUp();
    expect(await exports.describe("web2", PEER)).toMatchObject({ sizeBytes: 2 << 20, readOnly: false });
    expect(await exports.describe("web2@now", PEER)).toMatchObject({ sizeBytes: 2 << 20, readOnly: true });
    expect(volumes.openCount()).toBe(0);
    expect(volumes.get("web2").attached).toBe(0);
  });

  test("says which volumes there are when one is unknown", async () => {
    const { exports } = await setUp();
    const expected = { kind: "not_found", message: expect.stringContaining("web1, web2") };
    await expect(exports.open("web3", PEER)).rejects.toMatchObject(expected);
    await expect(exports.describe("web3", PEER)).rejects.toMatchObject(expected);
    await expect(exports.open("web3@-15m", PEER)).rejects.toMatchObject(expected);
  });

  test("says which forms a moment has when it is none", async () => {
    const { exports } = await setUp();
    for (const name of ["web1@yesterday", "web1@", "web1@lsn:x"]) {
      await expect(exports.open(name, PEER)).rejects.toMatchObject({
        kind: "invalid",
        message: expect.stringContaining("bookmark:NAME"),
      });
    }
  });

  test("refuses an unknown bookmark and a moment before history", async () => {
    const { exports } = await setUp();
    await expect(exports.open("web1@bookmark:none", PEER)).rejects.toMatchObject({ kind: "not_found" });
    await expect(exports.open("web1@2001-01-01T00:00:00Z", PEER)).rejects.toMatchObject({ kind: "not_found" });
  });
});

describe("parseExportName()", () => {
  test("refuses what no volume can be called, and shortens it in the message", () => {
    for (const name of ["", "@now", "../etc", "a/b", "-x", "web 1", "x".repeat(5000)]) {
      let message = "";
      try {
        parseExportName(name);
      } catch (error) {
        message = String(error);
      }
      expect(message).toContain("names no volume");
      expect(message.length).toBeLessThan(400);
    }
  });
});
