#!/usr/bin/env bun
/**
 * The executable: the command line, with what lies above its floor passed in. The daemon's code is loaded only by the
 * commands that need it, so that the others start quickly.
 */
import { fileURLToPath } from "node:url";
import packageJson from "../../package.json" with { type: "json" };
import { runProgram, type CliServices } from "../cli/program.ts";

const services: CliServices = {
  async serve(options) {
    const [{ runDaemon }, { openEngine }] = await Promise.all([import("./run.ts"), import("./assemble.ts")]);
    await runDaemon({ ...options, environment: process.env, version: packageJson.version, openEngine });
  },
  async *checkStopped(options) {
    const { checkStopped } = await import("./check-stopped.ts");
    yield* checkStopped({ ...options, environment: process.env });
  },
  // A compiled executable is its own program; from a checkout it is Bun with this file.
  self: Bun.main.startsWith("/$bunfs/") ? [process.execPath] : [process.execPath, fileURLToPath(import.meta.url)],
  version: packageJson.version,
};

process.exitCode = await runProgram(services, process.argv.slice(2));
