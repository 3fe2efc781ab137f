import { expect, test } from "bun:test";
import { checkZone } from "../../../src/base/zone.ts";

test("checkZone() refuses what is no zone", () => {
  expect(checkZone("Asia/Kathmandu")).toBe("Asia/Kathmandu");
  expect(() => checkZone("Berlin/Europe")).toThrow(expect.objectContaining({ kind: "invalid" }));
});
