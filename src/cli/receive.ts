/** `sternway receive add|list|renew|remove`: places that this appliance keeps for others. */
import { closeSync, fsyncSync, openSync, unlinkSync, writeSync } from "node:fs";
import type { Command } from "commander";
import { systemError } from "../base/descriptor.ts";
import { SternwayError } from "../base/errors.ts";
import { formatSize, parseSize } from "../base/units.ts";
import type { WireReceivedList, WireReceivedToken } from "../contract/received.ts";
import { examples, invocation, type Context, type Invocation } from "./context.ts";
import { table } from "./text.ts";

interface TokenOptions {
  tokenFile?: string;
}

const TOKEN_FILE = [
  "--token-file <path>",
  "write the token there, into a new file of mode 0600, and do not show it",
] as const;

export function registerReceive(program: Command, context: Context): void {
  const receive = program
    .command("receive")
    .description("keep vaults of other appliances here, as objects, each in a place of its own");

  examples(
    receive
      .command("add")
      .description("make a place for one vault of another appliance, and show the token for it, once")
      .argument("<name>", "1 to 64 of a-z A-Z 0-9 . _ -")
      .option("--quota <size>", "how much it may hold, such as 2TiB (default: what the disk has free)")
      .option(...TOKEN_FILE)
      .action(async (name: string, options: TokenOptions & { quota?: string }, command: Command) => {
        const run = invocation(context, command);
        const quotaBytes = options.quota === undefined ? undefined : quotaOf(options.quota);
        await telling(run, options, "made place", async () => await run.client().addReceived(name, quotaBytes));
      }),
    "sternway receive add berlin --quota 2TiB --token-file berlin.token",
  ).addHelpText(
    "after",
    "\nThe sender needs the token in a file, and the URL https://HOST:PORT/NAME.\n" +
      "Peers reach this appliance where peers.listen in DIR/config.json says, such as\n" +
      '{"peers": {"listen": "0.0.0.0:7482"}}; without it they do not.\n' +
      "The place is DIR/received/NAME; to have it on another disk, mount that there first.",
  );

  examples(
    receive
      .command("list")
      .description("list the places, how full they are, and whose")
      .action(async (_options, command: Command) => {
        const run = invocation(context, command);
        const list = await run.client().received();
        run.print(list, list.places.length === 0 ? "nothing is kept for others\n" : placeTable(list));
      }),
    "sternway receive list",
  );

  examples(
    receive
      .command("renew")
      .description("make another token for a place, for one that was lost or seen; the old one is refused at once")
      .argument("<name>")
      .option(...TOKEN_FILE)
      .action(async (name: string, options: TokenOptions, command: Command) => {
        const run = invocation(context, command);
        await telling(run, options, "made another token for place", async () => await run.client().renewReceived(name));
      }),
    "sternway receive renew berlin --token-file berlin.token",
  );

  examples(
    receive
      .command("remove")
      .description("delete a place and all that it keeps, for good; its token is refused from then on")
      .argument("<name>")
      .option("--yes", "really delete it")
      .action(async (name: string, options: { yes?: boolean }, command: Command) => {
        const run = invocation(context, command);
        if (options.yes !== true) {
          throw new SternwayError(
            "invalid",
            `this deletes all that place ${name} keeps for another appliance: add --yes`,
          );
        }
        await run.client().removeReceived(name);
        run.print({ removed: name }, `place ${name} and all that it kept are gone\n`);
      }),
    "sternway receive remove berlin --yes",
  );
}

function quotaOf(text: string): number {
  const bytes = parseSize(text);
  if (bytes !== undefined && bytes > 0) return bytes;
  throw new SternwayError("invalid", `${JSON.stringify(text)} is no size: write it as 500GiB or 2TiB`);
}

/** Gets a token and hands it over: it cannot be had again, so the file that takes it is made before. */
async function telling(
  run: Invocation,
  { tokenFile }: TokenOptions,
  what: string,
  get: () => Promise<WireReceivedToken>,
): Promise<void> {
  const file = tokenFile === undefined ? undefined : newTokenFile(tokenFile);
  let made: WireReceivedToken;
  try {
    made = await get();
    file?.write(made.token);
  } catch (error) {
    file?.discard();
    throw error;
  }
  const { name, token, listen } = made;
  const where =
    listen === undefined
      ? "No peer can reach it yet: set peers.listen in config.json and start the appliance anew.\n"
      : `It is reached at ${listen}: the tier's URL is https://THIS-HOST:${listen.slice(listen.lastIndexOf(":") + 1)}/${name}\n`;
  const { token: _token, ...rest } = made;
  if (file) run.print({ ...rest, tokenFile }, `${what} ${name}; its token is in ${tokenFile}\n${where}`);
  else run.print(made, `${what} ${name}; its token, which is not shown again:\n${token}\n${where}`);
}

function newTokenFile(path: string): { write(token: string): void; discard(): void } {
  let descriptor: number;
  try {
    descriptor = openSync(path, "wx", 0o600);
  } catch (error) {
    throw systemError(error, `the token file ${path} cannot be made`);
  }
  return {
    write(token) {
      writeSync(descriptor, `${token}\n`);
      fsyncSync(descriptor);
      closeSync(descriptor);
    },
    discard() {
      closeSync(descriptor);
      unlinkSync(path);
    },
  };
}

function placeTable({ places, listen }: WireReceivedList): string {
  const right = (title: string): { title: string; align: "right" } => ({ title, align: "right" });
  const columns = [{ title: "name" }, { title: "vault" }, right("used"), right("quota"), { title: "reason" }];
  const rows = places.map(({ name, identity, usedBytes, quotaBytes, reason }) => [
    name,
    identity ?? "none yet",
    formatSize(usedBytes),
    quotaBytes === undefined ? "" : formatSize(quotaBytes),
    reason ?? "",
  ]);
  return `${table(columns, rows)}${listen === undefined ? "no peer can reach them: peers.listen is off\n" : `reached at ${listen}\n`}`;
}
