/** What all commands share: the two global options, the services behind the CLI, and the way to a running daemon. */
import { existsSync } from "node:fs";
import { join, resolve } from "node:path";
import type { Command } from "commander";
import { SternwayError } from "../base/errors.ts";
import type { ConfigFlags } from "../config/config.ts";
import { createClient, type Client } from "../contract/client.ts";
import type { CheckLine, CheckRequest, VaultKey } from "../contract/contract.ts";
import type { Terminal } from "./terminal.ts";

/** Where a daemon listens, as people write it. */
export interface ServeAddresses {
  control: string;
  http?: string;
  /** Where other appliances come; absent: nowhere. */
  peers?: string;
  nbd: string[];
}

/** What lies on higher floors than the CLI: the executable passes it in. */
export interface CliServices {
  /**
   * Runs the daemon until it is told to stop (SIGINT, SIGTERM); resolves when everything is durable and closed.
   * @param options.onReady - called once it serves, with where, and with the set-up code while there is no account
   * @param options.askPassphrase - asks for a vault's passphrase, how often it was wrong before; absent where nobody can be asked
   */
  serve(options: {
    dataDir: string;
    flags: ConfigFlags;
    onReady: (addresses: ServeAddresses, setupCode?: string) => void;
    askPassphrase: ((vault: string, tries: number) => string | undefined) | undefined;
  }): Promise<void>;
  /**
   * Verifies vaults that no daemon serves, reading only.
   * @param options.key - of the encrypted ones; without it, what would open them at a start
   * @throws conflict: a daemon holds it; not_found: no vault is there; denied: the key is missing or wrong
   */
  checkStopped(options: {
    dataDir: string;
    request: CheckRequest;
    signal: AbortSignal;
    key?: VaultKey | undefined;
  }): AsyncIterable<CheckLine>;
  /** The command line that starts this program, for `demo`, which runs a daemon of its own. */
  readonly self: readonly string[];
  readonly version: string;
}

export interface Context {
  readonly terminal: Terminal;
  readonly services: CliServices;
}

interface GlobalOptions {
  data?: string;
  json?: boolean;
}

/** One running command: its global options, resolved. */
export interface Invocation {
  readonly json: boolean;
  readonly terminal: Terminal;
  readonly services: CliServices;
  /** @throws invalid: neither --data nor STERNWAY_DATA */
  dataDir(): string;
  /** A client of the daemon. Calls throw unavailable when none answers. */
  client(): Client;
  /** The daemon's socket for block data. @throws unavailable: it is not there */
  blockSocket(): string;
  /** One line of JSON under --json, else the text. */
  print(value: unknown, text: string): void;
}

export function invocation(context: Context, command: Command): Invocation {
  const options = command.optsWithGlobals<GlobalOptions>();
  const { terminal, services } = context;
  const json = options.json === true;
  const dataDir = (): string => {
    const given = options.data ?? terminal.env["STERNWAY_DATA"];
    if (given !== undefined && given !== "") return resolve(given);
    throw new SternwayError("invalid", "which data folder? Pass --data DIR or set STERNWAY_DATA");
  };
  return {
    json,
    terminal,
    services,
    dataDir,
    client: () => createClient({ socketPath: join(dataDir(), "control.sock") }),
    blockSocket() {
      const path = join(dataDir(), "nbd.sock");
      if (existsSync(path)) return path;
      throw new SternwayError("unavailable", `no daemon serves blocks at ${path}`, { address: path });
    },
    print: (value, text) => terminal.out(json ? `${JSON.stringify(value)}\n` : text),
  };
}

/** Adds examples to a command's help page. */
export function examples(command: Command, ...lines: readonly string[]): Command {
  return command.addHelpText("after", `\nExamples:\n${lines.map((line) => `  ${line}\n`).join("")}`);
}
