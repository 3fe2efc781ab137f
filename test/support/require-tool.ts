/**
 * Tests that need a program, or root, of the machine they run on. Where one is missing the case is skipped and its name
 * says why, so that the closing report can; where STERNWAY_REQUIRE_TOOLS is set (as .ci/run does) it fails instead: there,
 * a missing tool is a mistake of the installation list, and a green run must not hide it.
 */
import { describe, test } from "bun:test";

/** What a test needs: names of programs on PATH, or `root`. */
export type Need = "root" | (string & {});

/** Why these needs are not met here, in words for the report; undefined when they are. */
export function missing(...needs: Need[]): string | undefined {
  const lacking = needs.flatMap((need) => {
    if (need === "root") return process.getuid?.() === 0 ? [] : ["needs root"];
    return Bun.which(need, { PATH: `${process.env["PATH"] ?? ""}:/usr/sbin:/sbin` }) === null ? [`needs ${need}`] : [];
  });
  return lacking.length === 0 ? undefined : lacking.join(", ");
}

/** `test`, skipped with the reason in its name where a need is not met. */
export function testWith(
  needs: readonly Need[],
  name: string,
  body: () => void | Promise<void>,
  timeoutMs?: number,
): void {
  const reason = missing(...needs);
  if (reason === undefined) test(name, body, timeoutMs);
  else if (process.env["STERNWAY_REQUIRE_TOOLS"] === undefined) test.skip(`${name} [${reason}]`, body);
  else {
    test(name, () => {
      throw new Error(`${reason}: add its package to scripts/test-packages`);
    });
  }
}

/** `describe`, all of it skipped with the reason in its name where a need is not met. */
export function describeWith(needs: readonly Need[], name: string, body: () => void): void {
  const reason = missing(...needs);
  if (reason === undefined) describe(name, body);
  else if (process.env["STERNWAY_REQUIRE_TOOLS"] === undefined) describe.skip(`${name} [${reason}]`, body);
  else {
    test(name, () => {
      throw new Error(`${reason}: add its package to scripts/test-packages`);
    });
  }
}
