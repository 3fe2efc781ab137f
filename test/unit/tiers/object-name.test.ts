import { expect, test } from "bun:test";
import { join } from "node:path";
import fc from "fast-check";
import { checkObjectName, isObjectName } from "../../../src/tiers/object-name.ts";
import { BAD_NAMES } from "../../support/store-expectations.ts";

const GOOD_NAMES = [
  "a",
  "identity",
  "packs/00001/00000001-1.pack",
  "a/b/c/d/e/f/g/h",
  "-",
  "_",
  "a..b",
  "a".repeat(200),
];

test("isObjectName() takes what a vault calls its objects", () => {
  for (const name of GOOD_NAMES) {
    expect(isObjectName(name)).toBe(true);
    checkObjectName(name);
  }
});

test("checkObjectName() refuses everything else, and says what is allowed", () => {
  for (const name of BAD_NAMES) {
    expect(isObjectName(name)).toBe(false);
    expect(() => checkObjectName(name)).toThrow("is no object's name: 1 to 8 parts");
  }
});

test("no name leads out of its folder or to something hidden", () => {
  const part = fc.constantFrom("a", ".", "..", ".a", "a.", "", "/", "~", "\0", " ", "A-1");
  fc.assert(
    fc.property(
      fc.oneof(
        fc.string(),
        fc.array(part).map((parts) => parts.join("/")),
      ),
      (name) => {
        if (!isObjectName(name)) return;
        const path = join("/tier", name);
        expect(path).toBe(`/tier/${name}`);
        expect(path).not.toContain("/.");
      },
    ),
    { numRuns: 2000 },
  );
});
