import { describe, expect, test } from "bun:test";
import { AssertionError } from "../../../../src/base/assert.ts";
import { LayerIndex } from "../../../../src/vault/layers/resolve.ts";
import { Versions } from "../../../../src/vault/sealing/versions.ts";

const none = new LayerIndex([]);

describe("Versions", () => {
  test("lets go at once of what nobody reads", () => {
    const versions = new Versions([], none);
    let gone = 0;
    versions.advance([], none, () => gone++);
    expect(gone).toBe(1);
  });

  test("keeps what a reader of an older version needs until it is done", () => {
    const versions = new Versions([], none);
    const reader = versions.acquire();
    const gone: string[] = [];
    versions.advance([], none, () => gone.push("first"));
    versions.advance([], none, () => gone.push("second"));
    const later = versions.acquire();
    versions.release(later);
    expect(gone).toEqual([]);
    versions.release(reader);
    expect(gone).toEqual(["first", "second"]);
  });

  test("a reader of a newer version holds back nothing of the older ones", () => {
    const versions = new Versions([], none);
    const gone: string[] = [];
    const first = versions.acquire();
    versions.advance([], none, () => gone.push("first"));
    const second = versions.acquire();
    versions.advance([], none, () => gone.push("second"));
    versions.release(first);
    expect(gone).toEqual(["first"]);
    versions.release(second);
    expect(gone).toEqual(["first", "second"]);
  });

  test("waits for the last of several readers", () => {
    const versions = new Versions([], none);
    const readers = [versions.acquire(), versions.acquire()];
    let gone = 0;
    versions.advance([], none, () => gone++);
    versions.release(readers[0]!);
    expect(gone).toBe(0);
    versions.release(readers[1]!);
    expect(gone).toBe(1);
  });

  test("refuses a release too many: a defect of ours", () => {
    const versions = new Versions([], none);
    const reader = versions.acquire();
    versions.release(reader);
    expect(() => versions.release(reader)).toThrow(AssertionError);
  });

  test("idle() resolves when nobody reads", async () => {
    const versions = new Versions([], none);
    await versions.idle();
    const reader = versions.acquire();
    let isIdle = false;
    const idle = versions.idle().then(() => (isIdle = true));
    await Promise.resolve();
    expect(isIdle).toBe(false);
    versions.release(reader);
    await idle;
  });
});
