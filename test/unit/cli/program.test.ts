import { describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { SternwayError } from "../../../src/base/errors.ts";
import { buildProgram, type CliServices } from "../../../src/cli/program.ts";
import { openCliFixture, runCli } from "./cli-fixture.ts";

describe("runProgram()", () => {
  test("prints help with every command, exit codes and the global options", async () => {
    const { code, out } = await runCli(["--help"]);
    expect(code).toBe(0);
    for (const word of [
      "serve",
      "volume",
      "import",
      "timeline",
      "bookmark",
      "restore",
      "rollback",
      "branch",
      "diff",
      "check",
      "demo",
      "disks",
      "status",
      "jobs",
      "--data",
      "--json",
      "Exit codes:",
    ]) {
      expect(out).toContain(word);
    }
  });

  test("gives every command a help page with an example and a description", async () => {
    const terminal = { out: () => {}, err: () => {}, errIsTerminal: false, env: {}, clock: { wall: () => 0 } as never };
    const paths: string[][] = [];
    const walk = (command: ReturnType<typeof buildProgram>, path: string[]): void => {
      for (const child of command.commands) {
        if (child.commands.length === 0) paths.push([...path, child.name()]);
        else walk(child as ReturnType<typeof buildProgram>, [...path, child.name()]);
      }
    };
    walk(buildProgram({ self: [], version: "0" } as never, terminal), []);
    expect(paths.length).toBeGreaterThan(18);
    for (const path of paths) {
      const { code, out } = await runCli([...path, "--help"]);
      expect([path, code]).toEqual([path, 0]);
      expect(out).toContain("Examples:\n  sternway ");
      expect(out).toContain("--json");
      const widest = Math.max(...out.split("\n").map((line) => line.length));
      expect([path, widest]).toEqual([path, Math.min(widest, 88)]);
    }
  });

  test("prints its version", async () => {
    expect(await runCli(["--version"])).toMatchObject({ code: 0, out: "0.0.0-test\n" });
  });

  test("ends with 2 for wrong usage, and says what is wrong on standard error", async () => {
    const wrong: [args: string[], word: string][] = [
      [[], "Usage:"],
      [["volumes"], "volume"],
      [["volume", "create", "web1"], "size"],
      [["volume", "create", "web1", "big"], "10G"],
      [["volume", "create", "web1", "1000"], "multiple of 512"],
      [["restore", "web1@now"], "--to"],
      [["timeline", "web1", "--buckets", "0"], "1 to 10000"],
      [["status", "--verbose"], "--verbose"],
      [["status"], "STERNWAY_DATA"],
    ];
    for (const [args, word] of wrong) {
      const { code, out, err } = await runCli(args);
      expect([args, code, out]).toEqual([args, 2, ""]);
      expect(err).toContain(word);
    }
  });

  test("ends with 5 and names the daemon's command when none answers", async () => {
    const dir = mkdtempSync(join(tmpdir(), "sternway-cli-"));
    for (const args of [["status"], ["volume", "list"], ["restore", "web1", "--to", join(dir, "x")]]) {
      const { code, err } = await runCli([...args, "--data", dir]);
      expect([args, code]).toEqual([args, 5]);
      expect(err).toContain("sternway serve --data");
    }
    rmSync(dir, { recursive: true });
  });

  test("prints a problem as JSON on standard error under --json", async () => {
    await using fixture = await openCliFixture();
    const { code, out, err } = await fixture.run("volume", "show", "none", "--json");
    expect([code, out]).toEqual([3, ""]);
    expect(JSON.parse(err)).toMatchObject({
      kind: "not_found",
      status: 404,
      todo: expect.stringContaining("sternway volume list"),
    });
  });

  test("what is not there leads to the list of its own kind", async () => {
    await using fixture = await openCliFixture();
    const missing: [args: string[], said: RegExp][] = [
      [["volume", "show", "none"], /`sternway volume list`/],
      [["machine", "show", "none"], /`sternway machine list` shows/],
      [["schedule", "show", "none"], /`sternway schedule list` shows/],
      [["audit", "verify", join(fixture.dataDir, "none")], /Check the name or the path/],
    ];
    for (const [args, said] of missing) {
      const { code, err } = await fixture.run(...args);
      expect([args, code]).toEqual([args, 3]);
      expect(err).toMatch(said);
    }
  });

  test("maps each kind of error to its exit code", async () => {
    const codes = {
      internal: 1,
      invalid: 2,
      not_found: 3,
      conflict: 4,
      unavailable: 5,
      corrupt: 6,
      denied: 7,
      fenced: 8,
    } as const;
    for (const [kind, expected] of Object.entries(codes)) {
      const serve = async (): Promise<void> => {
        throw new SternwayError(kind as keyof typeof codes, `it is ${kind}`);
      };
      const { code, err } = await runCli(["serve", "--data", "/tmp"], { services: { serve } });
      expect([kind, code]).toEqual([kind, expected]);
      expect(err).toContain(`it is ${kind}`);
    }
  });
});

describe("sternway serve", () => {
  test("passes the folder and the flags on, and prints where it serves", async () => {
    const seen: unknown[] = [];
    const serve: CliServices["serve"] = async ({ onReady, ...options }) => {
      seen.push(options);
      onReady({ control: "/srv/x/control.sock", nbd: ["unix:/run/a"] });
    };
    const args = ["serve", "--data", "/srv/x", "--http", "off", "--nbd", "unix:/run/a", "--nbd", "127.0.0.1:10809"];
    const { code, out } = await runCli(args, { services: { serve } });
    expect(code).toBe(0);
    expect(seen).toEqual([{ dataDir: "/srv/x", flags: { http: "off", nbd: ["unix:/run/a", "127.0.0.1:10809"] } }]);
    expect(out).toContain("Sternway serves /srv/x\n");
    expect(out).toMatch(/^blocks \(NBD\) +unix:\/run\/a$/m);
  });
});
