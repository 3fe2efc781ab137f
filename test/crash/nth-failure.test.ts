/**
 * One life in which every kind of work comes to pass, again and again, with its Nth operation on the disk failing: for each N. What was answered is
 * there, everything reads right, and once the disk works again so does the vault. By default each 32nd N, others each time;
 * STERNWAY_SOAK=1 tries all.
 */
import { expect, test } from "bun:test";
import type { InjectedFault } from "../../src/base/simulated-faults.ts";
import { ageingRun } from "../support/ageing-run.ts";

const STEP = process.env["STERNWAY_SOAK"] === undefined ? 32 : 1;
const START =
  process.env["TEST_SEED"] === undefined ? Math.floor(Math.random() * STEP) : Number(process.env["TEST_SEED"]);
/** Encrypted, and with both orders of directories. */
const LIVES = [6, 9];

for (const effect of ["EIO", "ENOSPC"] as const) {
  test(`the Nth operation fails with ${effect}, for N from ${START} in steps of ${STEP}`, async () => {
    let count = 0;
    for (const life of LIVES) {
      for (let n = START; ; n += STEP) {
        let fault: InjectedFault | undefined;
        try {
          await ageingRun(life, {
            rounds: 2,
            operations: 60,
            crashes: false,
            faults: (disk) => {
              fault = disk.inject({ effect, skip: n, times: 1 });
            },
          });
        } catch (error) {
          throw new Error(`life ${life}, operation ${n} (TEST_SEED=${n}): ${String(error)}`, { cause: error });
        }
        if (fault!.hits === 0) break;
        count++;
      }
    }
    expect(count).toBeGreaterThan(200 / STEP);
  }, 900_000);
}
