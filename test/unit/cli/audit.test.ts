import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { openCliFixture, runCli, type CliFixture } from "./cli-fixture.ts";

let cli: CliFixture;
let file: string;
let key: { fingerprint: string; head: { seq: number; hash: string } };

beforeAll(async () => {
  cli = await openCliFixture();
  for (const name of ["web1", "web2", "db1"]) await cli.run("volume", "create", name, "1M");
  await cli.run("volume", "delete", "db1", "--force");
  key = JSON.parse((await cli.run("audit", "key", "--json")).out);
  file = join(cli.dataDir, "export.jsonl");
});
afterAll(() => cli[Symbol.asyncDispose]());

describe("sternway audit", () => {
  test("list shows who did what to what, newest first", async () => {
    const { code, out } = await cli.run("audit", "list");
    expect(code).toBe(0);
    const lines = out.split("\n");
    expect(lines[0]).toMatch(/^line +time +who +from +did +to +result$/);
    expect(lines[1]).toMatch(/root \(administrator\) +here +deleteVolume +db1 +done/);
    const one = JSON.parse((await cli.run("audit", "list", "--subject", "web2", "--json")).out);
    expect(one.entries.map((entry: { action: string }) => entry.action)).toEqual(["createVolume"]);
    expect((await cli.run("audit", "list", "--who", "nobody")).out).toBe("no such entries\n");
    expect((await cli.run("audit", "list", "--from", "yesterday")).code).toBe(2);
  });

  test("export writes a new file for its owner alone, which verify finds whole", async () => {
    expect((await cli.run("audit", "export", "--out", file)).code).toBe(0);
    expect(statSync(file).mode & 0o777).toBe(0o600);
    expect((await cli.run("audit", "export", "--output", file)).code).toBe(4);
    // Offline: neither a daemon nor a data folder.
    const head = `${key.head.seq}:${key.head.hash}`;
    const fingerprint = key.fingerprint.toUpperCase().replaceAll(/(..)/g, "$1:").slice(0, -1);
    const { code, out } = await runCli(["audit", "verify", file, "--key", fingerprint, "--head", head]);
    expect(out).toContain("the chain holds");
    expect(code).toBe(0);
    expect((await cli.run("audit", "export")).out).toStartWith('{"export":"sternway-audit-1"');
  });

  test("verify says where the chain breaks, and exits with 6", async () => {
    const lines = readFileSync(file, "utf8").split("\n");
    const changed = join(cli.dataDir, "changed.jsonl");
    writeFileSync(changed, lines.with(4, (lines[4] ?? "").replace("root", "eve")).join("\n"));
    const { code, out, err } = await runCli(["audit", "verify", changed]);
    expect(code).toBe(6);
    expect(out).toContain("changed.jsonl, line 5: the line is damaged or was changed");
    expect(err).toContain("the audit does not hold");
    expect(JSON.parse((await runCli(["audit", "verify", changed, "--json"])).out).findings.length).toBe(1);
  });

  test("verify finds an end that was cut off by a later export", async () => {
    await cli.run("volume", "create", "later", "1M");
    const later = join(cli.dataDir, "later.jsonl");
    await cli.run("audit", "export", "--output", later);
    expect((await runCli(["audit", "verify", later, "--against", file])).code).toBe(0);
    const { code, out } = await runCli(["audit", "verify", file, "--against", later]);
    expect(code).toBe(6);
    expect(out).toContain("the end is missing");
  });

  test("verify refuses what is no audit, and options that make no sense", async () => {
    expect((await runCli(["audit", "verify", cli.dataDir])).code).toBe(3);
    const other = join(cli.dataDir, "other.txt");
    writeFileSync(other, "");
    expect((await runCli(["audit", "verify", other])).code).toBe(3);
    expect((await runCli(["audit", "verify", file, "--key", "abc"])).code).toBe(2);
    expect((await runCli(["audit", "verify", file, "--head", "12"])).code).toBe(2);
    expect((await runCli(["audit", "verify", file, "--key", "0".repeat(64)])).code).toBe(6);
  });
});
