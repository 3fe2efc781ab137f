/** What a power cut may undo, and what not: by the system calls of a process that writes into a catalog. */
import { expect } from "bun:test";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { writeStepByStep } from "../../support/catalog-writes.ts";
import { testWith } from "../../support/require-tool.ts";

/** What the process runs. */
const program = (dir: string): string => {
  const from = JSON.stringify(join(import.meta.dir, "../../support/catalog-writes.ts"));
  const { name } = writeStepByStep;
  return `import { ${name} } from ${from}; await ${name}(${JSON.stringify(dir)});`;
};

testWith(
  ["strace"],
  "the catalog syncs what people set up and take back, and nothing that merely happens",
  async () => {
    const dir = mkdtempSync(join(tmpdir(), "sternway-kept-"));
    try {
      const trace = join(dir, "trace");
      const strace = ["strace", "-f", "-s", "256", "-o", trace, "-e", "trace=fsync,fdatasync,write"];
      const child = Bun.spawn([...strace, process.execPath, "-e", program(dir)], { stdout: "pipe", stderr: "pipe" });
      const [said, code] = await Promise.all([new Response(child.stderr).text(), child.exited]);
      expect([code, said]).toEqual([0, ""]);
      const counts = syncsByStep(readFileSync(trace, "utf8"));
      expect(counts.size).toBeGreaterThan(32);
      const isKept = [...counts].map(([step, count]) => [step, count > 0]);
      expect(isKept).toEqual([...counts.keys()].map((step) => [step, step.startsWith("kept:")]));
    } finally {
      rmSync(dir, { recursive: true, force: true });
    }
  },
);

/** How many syncs came between one `step NAME` and the next. */
function syncsByStep(trace: string): Map<string, number> {
  const counts = new Map<string, number>();
  let step: string | undefined;
  for (const line of trace.split("\n")) {
    const name = /write\(1, "step (.*?)\\n"/.exec(line)?.[1];
    if (name === "end") return counts;
    if (name !== undefined) counts.set((step = name), 0);
    // A call that another thread's interrupts has its name in two lines.
    else if (step !== undefined && /\bf(?:data)?sync\(/.test(line)) counts.set(step, (counts.get(step) ?? 0) + 1);
  }
  throw new Error(`the process did not come to its end: ${trace.slice(-500)}`);
}
