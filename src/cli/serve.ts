/** `sternway serve`: the daemon. What it does lives above this floor; here are its options. */
import type { Command } from "commander";
import { collect } from "./arguments.ts";
import { examples, invocation, type Context, type ServeAddresses } from "./context.ts";
import { canAsk, readPassphraseOrNone } from "./secret.ts";
import { facts } from "./text.ts";

interface ServeOptions {
  http?: string;
  nbd?: string[];
  logLevel?: string;
  logFormat?: string;
}

export function registerServe(program: Command, context: Context): void {
  examples(
    program
      .command("serve")
      .description(
        "run the daemon on a data folder, which is made if it is not there; SIGTERM or Ctrl-C ends it cleanly",
      )
      .option("--http <host:port>", "where HTTP listens, or off; HTTPS but on loopback")
      .option(
        "--nbd <address>",
        "an address for block clients besides DIR/nbd.sock: unix:PATH or HOST:PORT; repeatable",
        collect,
      )
      .option("--log-level <level>", "debug, info, warn or error")
      .option("--log-format <format>", "json, pretty or auto")
      .action(async (options: ServeOptions, command: Command) => {
        const run = invocation(context, command);
        const dataDir = run.dataDir();
        // The log goes to standard error; this is for whoever started it, or for the program that waits for it.
        const onReady = (addresses: ServeAddresses, setupCode?: string): void => {
          const lines: [string, string][] = [
            ["control", addresses.control],
            ...addresses.nbd.map((address): [string, string] => ["blocks (NBD)", address]),
            ["HTTP", addresses.http ?? "off"],
            ["peers", addresses.peers ?? "off"],
            ...(setupCode === undefined ? [] : [["accounts", firstAccount(dataDir)] as [string, string]]),
          ];
          run.print({ dataDir, ...addresses }, `Sternway serves ${dataDir}\n${facts(lines)}`);
          // Anything but a terminal may be a log, which keeps what it gets.
          if (setupCode !== undefined && run.terminal.errIsTerminal) run.terminal.err(`Set-up code: ${setupCode}\n`);
        };
        const askPassphrase = (vault: string, tries: number): string | undefined =>
          readPassphraseOrNone(
            `${tries === 0 ? "" : "That is not it. "}Passphrase of vault ${vault} (Enter leaves it locked): `,
          );
        await run.services.serve({
          dataDir,
          flags: options,
          onReady,
          askPassphrase: canAsk() ? askPassphrase : undefined,
        });
      }),
    "sternway serve --data /srv/sternway",
    "sternway serve --data ./var --nbd unix:/run/sternway.sock --nbd 127.0.0.1:10809",
  ).addHelpText(
    "after",
    "\nDIR/config.json sets the same and more. Blocks that are open to the network are\n" +
      "served by TLS, to clients with a machine's credential (`sternway credential add`);\n" +
      "with certificates of your own (nbd.tls: certFile, keyFile, caFile,\n" +
      "clientCertificates), to whoever those let in, every volume.\n\n" +
      "How much HTTP takes is set there too: http.rates (requests, address and signIn,\n" +
      "each with burst and perSecond), http.connectionsMax (1024) and\n" +
      "http.connectionsPerAddressMax (256).\n\n" +
      "An encrypted vault opens by the key file that config.json names for it\n" +
      "(vaults.NAME.keyFile), by systemd's credential vault.NAME.key or\n" +
      "vault.NAME.passphrase, or, started at a terminal, by a passphrase that is asked\n" +
      "for. Otherwise it stays locked until `sternway vault unlock NAME`.",
  );
}

/** What leads to the first account, as the same words in a terminal, which shows the code below, and in a log, which must not. */
function firstAccount(dataDir: string): string {
  return `none yet: open the HTTP address and type the set-up code (\`sternway setup --show-code --data ${dataDir}\` shows it)`;
}
