import { test } from "bun:test";
import { crashRun } from "../support/crash-run.ts";
test("x", async () => {
  const one = process.env["TEST_SEED"];
  const seeds = one ? [Number(one)] : Array.from({ length: 40 }, (_, i) => i + 1);
  const t = performance.now();
  const bad: string[] = [];
  for (const seed of seeds) {
    try {
      const s = await crashRun(seed);
      if (one) console.log(s);
    } catch (e) {
      bad.push(
        (e as Error).message
          .split("\n")
          .slice(0, one ? 60 : 6)
          .join("\n"),
      );
    }
  }
  console.log(bad.length, "bad of", seeds.length, (performance.now() - t) / seeds.length, "ms each");
  for (const b of bad.slice(0, 6)) console.log(b);
}, 300_000);
