/** The command line against a real API and NBD server on sockets in a scratch folder, with volumes in memory behind them. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { listenHttp } from "../../../src/api/app.ts";
import { systemClock } from "../../../src/base/clock.ts";
import { runProgram, type CliServices } from "../../../src/cli/program.ts";
import type { Terminal } from "../../../src/cli/terminal.ts";
import { startNbdServer } from "../../../src/nbd/server.ts";
import { pastExports } from "../../../src/restore/nbd-exports.ts";
import { liveExports } from "../../../src/sources/nbd-target.ts";
import { combineExports } from "../../../src/volume/export-name.ts";
import { openApiFixture, type ApiFixture } from "../../support/api-fixture.ts";
import type { FakeVolumes } from "../../support/fake-volumes.ts";
import type { Appliance } from "../../../src/api/app.ts";

export interface CliResult {
  code: number;
  out: string;
  err: string;
}

export interface CliFixture extends AsyncDisposable {
  volumes: FakeVolumes;
  dataDir: string;
  /** What the API works on. */
  context: ApiFixture["context"];
  /** Runs a command line with STERNWAY_DATA set to the scratch folder. */
  run(...args: string[]): Promise<CliResult>;
}

const NO_SERVICES: CliServices = {
  serve: async () => {
    throw new Error("no daemon in this test");
  },
  async *checkStopped() {
    yield { line: "end", findings: 0, objects: 0, bytes: 0 };
  },
  self: [],
  version: "0.0.0-test",
};

/** Runs one command line and keeps what it prints. */
export async function runCli(
  args: readonly string[],
  options: {
    env?: Record<string, string>;
    services?: Partial<CliServices>;
    terminal?: boolean;
    ask?: Terminal["ask"];
  } = {},
): Promise<CliResult> {
  const result = { out: "", err: "" };
  const code = await runProgram({ ...NO_SERVICES, ...options.services }, args, {
    out: (text) => void (result.out += text),
    err: (text) => void (result.err += text),
    errIsTerminal: options.terminal ?? false,
    env: options.env ?? {},
    clock: systemClock,
    ...(options.ask === undefined ? {} : { ask: options.ask }),
  });
  return { code, ...result };
}

export async function openCliFixture(appliance: Partial<Appliance> = {}): Promise<CliFixture> {
  const api = await openApiFixture(appliance);
  const dataDir = mkdtempSync(join(tmpdir(), "sternway-cli-"));
  const http = await listenHttp({ kind: "unix", path: join(dataDir, "control.sock") }, api.answer, api.context.log);
  const nbd = startNbdServer({
    listen: { kind: "unix", path: join(dataDir, "nbd.sock") },
    exports: combineExports(liveExports(api.volumes), pastExports(api.volumes)),
  });
  return {
    volumes: api.volumes,
    dataDir,
    context: api.context,
    run: (...args) => runCli(args, { env: { STERNWAY_DATA: dataDir } }),
    async [Symbol.asyncDispose]() {
      await nbd.stop({ graceMs: 1000 });
      await http.stop(1000);
      api[Symbol.dispose]();
      rmSync(dataDir, { recursive: true, force: true });
    },
  };
}
