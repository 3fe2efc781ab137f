/**
 * The newcomer's two commands, on a Debian 12 that has nothing but git, curl, certificates and bash. The cases run in order
 * on one machine: the ones that must fail come first, so that the ones that must succeed also prove that a failed set-up
 * leaves nothing behind that a later one takes for whole.
 */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { existsSync, readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { BareMachine } from "../support/bare-machine.ts";
import { describeWith } from "../support/require-tool.ts";

const CHECKOUT = resolve(import.meta.dir, "../..");
/** What `serve` prints once it can be reached. */
const REACHABLE = /(unix:|https?:\/\/)\S+/;
/** Set-up of a bare machine installs a compiler and builds an addon: minutes on a slow mirror. The default suites take minutes too. */
const SETUP_TIMEOUT_MS = 1_800_000;
/** The promise of the set-up: the second time, the first useful line comes within this. */
const SECOND_START_MS_MAX = 3000;
/** On a busy machine: within this part of what the first time took, which sets everything up. */
const SECOND_START_PART = 1 / 5;

describeWith(["root", "mmdebstrap", "unshare", "git"], "a fresh Debian 12", () => {
  let built: BareMachine | undefined;
  const machine = (): BareMachine => {
    if (!built) throw new Error("the machine was not built");
    return built;
  };

  beforeAll(async () => {
    built = await BareMachine.create(["git", "curl", "ca-certificates", "bash"]);
    await machine().run("useradd --create-home newcomer");
    await machine().placeCheckout(CHECKOUT, "/opt/sternway");
    await machine().placeCheckout(CHECKOUT, "/home/newcomer/sternway", "newcomer");
  }, SETUP_TIMEOUT_MS);

  afterAll(async () => {
    await built?.[Symbol.asyncDispose]();
  }, SETUP_TIMEOUT_MS);

  const stamp = (checkout: string): string => join(machine().folder, checkout, ".tools/ready");

  test(
    "scripts/start without root names the one command that an administrator must run",
    async () => {
      const { code, output } = await machine().run("./scripts/start", {
        user: "newcomer",
        cwd: "/home/newcomer/sternway",
      });
      expect(code).toBe(1);
      expect(output).toMatch(/An administrator must run:\s+apt-get update && apt-get install -y .*\bnpm\b.*\bg\+\+/);
      expect(existsSync(stamp("/home/newcomer/sternway"))).toBe(false);
    },
    SETUP_TIMEOUT_MS,
  );

  test(
    "scripts/start without a network says so, and that the Debian mirror is what it missed",
    async () => {
      const { code, output } = await machine().run("./scripts/start", { network: false, cwd: "/opt/sternway" });
      expect(code).toBe(1);
      expect(output).toContain("no network: the Debian mirror");
      expect(existsSync(stamp("/opt/sternway"))).toBe(false);
    },
    SETUP_TIMEOUT_MS,
  );

  test(
    "scripts/start as root sets everything up and runs the appliance; the second time it is quick",
    async () => {
      const first = await machine().run("./scripts/start", {
        cwd: "/opt/sternway",
        until: (text) => REACHABLE.test(text),
      });
      expect(first.output).toMatch(REACHABLE);
      expect(readFileSync(stamp("/opt/sternway"), "utf8").trim()).toMatch(/^[0-9a-f]{64}$/);
      const second = await machine().run("./scripts/start", {
        cwd: "/opt/sternway",
        until: (text) => REACHABLE.test(text),
      });
      expect(second.output).toMatch(REACHABLE);
      expect(second.elapsedMs).toBeLessThan(Math.max(SECOND_START_MS_MAX, SECOND_START_PART * first.elapsedMs));
    },
    SETUP_TIMEOUT_MS,
  );

  test(
    "scripts/start --demo protects, damages and puts back a disk, and ends",
    async () => {
      const { code, output } = await machine().run("./scripts/start --demo", { cwd: "/opt/sternway" });
      expect(output).toContain("Roll the disk back");
      expect(code).toBe(0);
    },
    SETUP_TIMEOUT_MS,
  );

  test(
    "scripts/test passes every check and default suite, and closes with their sum",
    async () => {
      const { code, output } = await machine().run("./scripts/test", { cwd: "/opt/sternway" });
      expect(output).toMatch(/^[1-9]\d* passed, 0 failed(, \d+ skipped)?$/m);
      expect(code).toBe(0);
    },
    SETUP_TIMEOUT_MS,
  );

  test(
    "scripts/setup with Node but no Bun and no network says that the npm registry is what it missed",
    async () => {
      const { code, output } = await machine().run("./scripts/setup", {
        network: false,
        user: "newcomer",
        cwd: "/home/newcomer/sternway",
      });
      expect(code).toBe(1);
      expect(output).toContain("no network: the npm registry");
      expect(existsSync(stamp("/home/newcomer/sternway"))).toBe(false);
    },
    SETUP_TIMEOUT_MS,
  );

  test(
    "scripts/setup with Node and a compiler but no Bun needs no root",
    async () => {
      const { code, output } = await machine().run("./scripts/setup && ./scripts/sternway --help", {
        user: "newcomer",
        cwd: "/home/newcomer/sternway",
      });
      expect(output).toContain("setup: ready");
      expect(code).toBe(0);
    },
    SETUP_TIMEOUT_MS,
  );

  test("scripts/sternway of a checkout that root set up runs for any user", async () => {
    const { code } = await machine().run("./scripts/sternway --help", { user: "newcomer", cwd: "/opt/sternway" });
    expect(code).toBe(0);
  });
});
