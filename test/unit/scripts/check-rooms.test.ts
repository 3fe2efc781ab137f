/** The structure check must find what it is for: a check that finds nothing looks the same as one that is broken. */
import { describe, expect, test } from "bun:test";
import { checkFile } from "../../../scripts/check-rooms.ts";

const texts = (file: string, source: string): string[] => checkFile(file, source).map((finding) => finding.text);

describe("checkFile()", () => {
  test("passes imports from lower floors by their doors, and from the own room by any file", () => {
    const source = `
      import type { Lsn } from "../base/units.ts";
      import { openJournal } from "../journal/journal.ts";
      import { packName } from "./pack-files.ts";
      import { z } from "zod";`;
    expect(texts("vault/vault.ts", source)).toEqual([]);
  });

  test("finds an import from the same floor, type-only imports and re-exports too", () => {
    expect(texts("journal/journal.ts", `import type { Tier } from "../tiers/tiers.ts";`)).toHaveLength(1);
    expect(texts("journal/journal.ts", `export { Tier } from "../tiers/tiers.ts";`)).toHaveLength(1);
    expect(texts("journal/journal.ts", `type Tier = import("../tiers/tiers.ts").Tier;`)).toHaveLength(1);
  });

  test("finds an import from a higher floor, in its line", () => {
    const [finding] = checkFile("base/units.ts", `/* two\n lines */\nimport {\n  a,\n} from "../vault/vault.ts";`);
    expect(finding).toMatchObject({ file: "src/base/units.ts", line: 5 });
  });

  test("finds an import past a door, a dynamic one and a worker's too", () => {
    expect(texts("vault/vault.ts", `import { x } from "../journal/group.ts";`)).toHaveLength(1);
    expect(texts("vault/vault.ts", `await import("../journal/group.ts");`)).toHaveLength(1);
    expect(texts("vault/vault.ts", `new Worker(new URL("../journal/group.ts", import.meta.url));`)).toHaveLength(1);
  });

  test("finds ambient time, timers, randomness and files on floors 0 to 4, and only there", () => {
    for (const code of [
      "const t = Date.now();",
      "const t = new Date();",
      "setTimeout(f, 1);",
      "Math.random();",
      'import { readFileSync } from "node:fs";',
      'import { readFile } from "fs/promises";',
      "await Bun.sleep(1);",
      "crypto.getRandomValues(a);",
    ]) {
      expect(texts("vault/vault.ts", code)).toHaveLength(1);
      expect(texts("daemon/daemon.ts", code)).toEqual([]);
    }
    expect(texts("base/clock.ts", "setTimeout(f, 1); Date.now();")).toEqual([]);
  });

  test("does not take a comment or a given date for ambience, nor a comment for an import", () => {
    expect(texts("vault/vault.ts", "// Date.now() is banned here\n/* setTimeout */ new Date(5);")).toEqual([]);
    expect(texts("base/units.ts", `// import { x } from "../vault/vault.ts";`)).toEqual([]);
  });

  test("reports a room that has no floor", () => {
    expect(texts("helpers/x.ts", "export {};")).toHaveLength(1);
    expect(texts("vault/vault.ts", `import { x } from "../helpers/x.ts";`)).toHaveLength(1);
  });
});
