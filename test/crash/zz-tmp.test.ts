import { test } from "bun:test";
import { seededRandom } from "/work/main/src/base/random.ts";
import { killRounds } from "/work/main/test/support/daemon-kill-rounds.ts";
import { rmSync, mkdtempSync } from "node:fs";
test("x", async () => {
  const f = mkdtempSync("/tmp/sw-");
  try { console.log(JSON.stringify(await killRounds({ dataDir: f + "/w", random: seededRandom(+process.env.SEED!), rounds: +process.env.ROUNDS! }))); } finally { rmSync(f, {recursive: true, force: true}); }
}, 600000);
