/** `sternway credential list|add|remove`: who may reach a machine's disks through the block door, over the network. */
import { closeSync, fsyncSync, mkdirSync, openSync, writeSync } from "node:fs";
import { join } from "node:path";
import type { Command } from "commander";
import { systemError } from "../base/descriptor.ts";
import { SternwayError } from "../base/errors.ts";
import type { WireMadeCredential } from "../contract/credentials.ts";
import { examples, invocation, type Context } from "./context.ts";
import { showTime, table } from "./text.ts";

interface AddOptions {
  out: string;
  name: string;
  write?: boolean;
  days?: string;
}

export function registerCredential(program: Command, context: Context): void {
  const credential = program
    .command("credential")
    .description("certificates with which a machine's disks are reached over the network (NBD)");

  examples(
    credential
      .command("list")
      .description("list the credentials of a machine, oldest first")
      .argument("<machine>")
      .action(async (machine: string, _options, command: Command) => {
        const run = invocation(context, command);
        const credentials = await run.client().credentials(machine);
        const text = table(
          [
            { title: "id", align: "right" },
            { title: "name" },
            { title: "may" },
            { title: "until" },
            { title: "made by" },
          ],
          credentials.map((each) => [
            String(each.id),
            each.name,
            each.readOnly ? "read the past" : "read and write",
            showTime(each.expiresAt),
            each.createdBy,
          ]),
        );
        run.print({ credentials }, credentials.length === 0 ? `${machine} has no credentials\n` : text);
      }),
    "sternway credential list shop",
  );

  examples(
    credential
      .command("add")
      .description("make a credential: a folder with ca-cert.pem, client-cert.pem and client-key.pem")
      .argument("<machine>")
      .requiredOption("--name <name>", "whose it is, for people")
      .requiredOption("--out <folder>", "where its files go; the folder must not be there yet")
      .option("--write", "it may write to the live disks too; without, it reads the past alone")
      .option("--days <days>", "how long it holds (default: 366)")
      .action(async (machine: string, options: AddOptions, command: Command) => {
        const run = invocation(context, command);
        const days = options.days === undefined ? undefined : daysOf(options.days);
        makeFolder(options.out);
        const made = await run.client().createCredential(machine, {
          name: options.name,
          readOnly: options.write !== true,
          ...(days === undefined ? {} : { days }),
        });
        writeFiles(options.out, made);
        const { keyPem: _key, certificatePem: _certificate, authorityPem: _authority, ...rest } = made;
        run.print(
          { ...rest, folder: options.out },
          `credential ${made.id} is in ${options.out}; its key is kept nowhere else\n` +
            `use it as nbds://THIS-HOST:PORT/DISK@MOMENT?tls-certificates=${options.out}\n`,
        );
      }),
    "sternway credential add shop --name shop-host --write --out ./shop-credential",
    "sternway credential add shop --name helpdesk --days 7 --out ./helpdesk",
  ).addHelpText(
    "after",
    "\nThe folder is laid out as qemu (tls-creds-x509) and libnbd (tls-certificates) want it.\n" +
      "Where NBD listens is told by nbd.listen in config.json, or `serve --nbd`.",
  );

  examples(
    credential
      .command("remove")
      .description("take a credential back; its connections are ended")
      .argument("<machine>")
      .argument("<id>")
      .action(async (machine: string, id: string, _options, command: Command) => {
        const run = invocation(context, command);
        if (!/^[1-9]\d{0,14}$/.test(id)) throw new SternwayError("invalid", `${id} is no credential's number`);
        await run.client().deleteCredential(machine, Number(id));
        run.print({ removed: Number(id) }, `credential ${id} of ${machine} is taken back\n`);
      }),
    "sternway credential remove shop 3",
  );
}

function daysOf(text: string): number {
  if (/^\d{1,4}$/.test(text)) return Number(text);
  throw new SternwayError("invalid", `--days is ${JSON.stringify(text)}, but must be a whole number`);
}

/** Before the credential is made, which can be had but once. */
function makeFolder(path: string): void {
  try {
    mkdirSync(path, { mode: 0o700 });
  } catch (error) {
    throw systemError(error, `the folder ${path} cannot be made`);
  }
}

function writeFiles(folder: string, { authorityPem, certificatePem, keyPem }: WireMadeCredential): void {
  const files = { "ca-cert.pem": authorityPem, "client-cert.pem": certificatePem, "client-key.pem": keyPem };
  for (const [name, text] of Object.entries(files)) {
    const descriptor = openSync(join(folder, name), "wx", 0o600);
    writeSync(descriptor, text);
    fsyncSync(descriptor);
    closeSync(descriptor);
  }
}
