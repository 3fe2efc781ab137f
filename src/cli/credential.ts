/** `sternway credential list|add|remove`: who may reach a machine's disks through the block door, over the network and on the appliance itself. */
import { closeSync, fsyncSync, mkdirSync, openSync, writeSync } from "node:fs";
import { join } from "node:path";
import type { Command } from "commander";
import { systemError } from "../base/descriptor.ts";
import { SternwayError } from "../base/errors.ts";
import type { WireCredential, WireMadeCredential } from "../contract/credentials.ts";
import { examples, invocation, type Context, type Invocation } from "./context.ts";
import { showTime, table } from "./text.ts";

interface AddOptions {
  out?: string;
  name?: string;
  user?: string;
  write?: boolean;
  days?: string;
}

export function registerCredential(program: Command, context: Context): void {
  const credential = program
    .command("credential")
    .description("who reaches a machine's disks (NBD): by certificates, or as a user of this system");

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
            { title: "by" },
            { title: "may" },
            { title: "until" },
            { title: "made by" },
          ],
          credentials.map((each) => [
            String(each.id),
            each.name,
            meansOf(each),
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
      .description("make a credential: a certificate with its key, or one for a user of this system")
      .argument("<machine>")
      .option("--name <name>", "whose it is, for people (default with --user: the user's name)")
      .option("--out <folder>", "where a certificate's files go; must not be there yet")
      .option("--user <user>", "no certificate, but this user of the appliance's system")
      .option("--write", "it may write to the live disks too; without, it reads the past alone")
      .option("--days <days>", "how long it holds (default: 366)")
      .action(async (machine: string, options: AddOptions, command: Command) => {
        const run = invocation(context, command);
        const days = options.days === undefined ? undefined : daysOf(options.days);
        const rights = { readOnly: options.write !== true, ...(days === undefined ? {} : { days }) };
        if (options.user === undefined) await addCertificate(run, machine, options, rights);
        else await addUser(run, machine, { ...options, user: options.user }, rights);
      }),
    "sternway credential add shop --name shop-host --write --out ./shop-credential",
    "sternway credential add shop --name helpdesk --days 7 --out ./helpdesk",
    "sternway credential add shop --user libvirt-qemu --write",
  ).addHelpText(
    "after",
    "\nThe folder is laid out as qemu (tls-creds-x509) and libnbd (tls-certificates) want it.\n" +
      "Where NBD listens is told by nbd.listen in config.json, or `serve --nbd`. Users of the\n" +
      "appliance's own system come to the socket nbd.localSocket in config.json, such as\n" +
      "/run/sternway/nbd.sock, and show nothing: the kernel says who they are.",
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

type Rights = { readOnly: boolean; days?: number };

async function addCertificate(
  run: Invocation,
  machine: string,
  { name, out }: AddOptions,
  rights: Rights,
): Promise<void> {
  if (name === undefined || out === undefined)
    throw new SternwayError("invalid", "a certificate needs --name and --out; for a user of this system give --user");
  makeFolder(out);
  const made = await run.client().createCredential(machine, { name, ...rights });
  writeFiles(out, made);
  const { keyPem: _key, certificatePem: _certificate, authorityPem: _authority, ...rest } = made;
  run.print(
    { ...rest, folder: out },
    `credential ${made.id} is in ${out}; its key is kept nowhere else\n` +
      `use it as nbds://THIS-HOST:PORT/DISK@MOMENT?tls-certificates=${out}\n`,
  );
}

async function addUser(
  run: Invocation,
  machine: string,
  { user, name = user, out }: AddOptions & { user: string },
  rights: Rights,
): Promise<void> {
  if (out !== undefined) throw new SternwayError("invalid", "a credential for a user has no files: leave --out away");
  const made = await run.client().createUserCredential(machine, { name, user, ...rights });
  const { id, socketPath, readOnly } = made;
  const disk = readOnly ? "DISK@MOMENT" : "DISK";
  const use =
    socketPath === undefined
      ? "there is no socket for it yet: set nbd.localSocket in config.json, such as\n" +
        "/run/sternway/nbd.sock, and start the appliance again\n"
      : `use it as nbd+unix:///${disk}?socket=${socketPath}\n`;
  run.print(made, `credential ${id} lets ${meansOf(made)} at the disks of ${machine}\n${use}`);
}

function meansOf({ user }: Pick<WireCredential, "user">): string {
  if (user === undefined) return "certificate";
  return user.name === String(user.uid) ? `uid ${user.uid}` : `user ${user.name} (uid ${user.uid})`;
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
