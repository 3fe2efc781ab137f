/** `sternway volume create|list|show|resize|delete` */
import type { Command } from "commander";
import { formatSize } from "../base/units.ts";
import type { WireVault, WireVolume } from "../contract/contract.ts";
import { sizeArgument } from "./arguments.ts";
import { confirmByName } from "./confirm.ts";
import { examples, invocation, type Context } from "./context.ts";
import { count, facts, showTime, table } from "./text.ts";

export function registerVolume(program: Command, context: Context): void {
  const volume = program.command("volume").description("create, list, show, resize and delete volumes");

  examples(
    volume
      .command("create")
      .description("create an empty volume")
      .argument("<name>", "1 to 64 of a-z A-Z 0-9 . _ -")
      .argument("<size>", "such as 10G", sizeArgument)
      .option("--vault <name>", "the vault that takes it (default: default)")
      .action(async (name: string, sizeBytes: number, options: { vault?: string }, command: Command) => {
        const run = invocation(context, command);
        const created = await run.client().createVolume(name, sizeBytes, options);
        run.print(created, `created ${name}, ${formatSize(created.sizeBytes)}: write to it as NBD export ${name}\n`);
      }),
    "sternway volume create web1 10G --data /srv/sternway",
    "sternway volume create pay1 10G --vault payroll",
  );

  examples(
    volume
      .command("list")
      .description("list the volumes")
      .action(async (_options, command: Command) => {
        const run = invocation(context, command);
        const client = run.client();
        const [volumes, vaults] = await Promise.all([client.volumes(), client.vaults()]);
        const listed =
          volumes.length === 0 ? "no volumes yet: `sternway volume create NAME SIZE`\n" : volumeTable(volumes);
        run.print({ volumes }, listed + notListed(vaults));
      }),
    "sternway volume list",
    "sternway volume list --json",
  );

  examples(
    volume
      .command("show")
      .description("show one volume")
      .argument("<name>")
      .action(async (name: string, _options, command: Command) => {
        const run = invocation(context, command);
        const info = await run.client().volume(name);
        run.print(info, volumeFacts(info));
      }),
    "sternway volume show web1",
  );

  examples(
    volume
      .command("resize")
      .description("grow or shrink a volume; older moments keep what shrinking cuts off")
      .argument("<name>")
      .argument("<size>", "such as 20G", sizeArgument)
      .option("--force", "shrink although a client is attached")
      .action(async (name: string, sizeBytes: number, options: { force?: boolean }, command: Command) => {
        const run = invocation(context, command);
        const info = await run.client().resizeVolume(name, sizeBytes, options);
        run.print(info, `${name} has ${formatSize(info.sizeBytes)} now\n`);
      }),
    "sternway volume resize web1 20G",
  );

  examples(
    volume
      .command("delete")
      .description("delete a volume and all its history; branches of it stay")
      .argument("<name>")
      .option("--force", "although a client is attached")
      .option("--yes", "without asking for the name at a terminal")
      .action(async (name: string, { yes, ...options }: { force?: boolean; yes?: boolean }, command: Command) => {
        const run = invocation(context, command);
        const client = run.client();
        if (yes !== true) {
          const { sizeBytes, createdAt } = await client.volume(name);
          const what = `${name}, ${formatSize(sizeBytes)}, goes with all its history since ${showTime(createdAt)}`;
          confirmByName(run.terminal, name, `${what}. Nothing brings it back.`);
        }
        await client.deleteVolume(name, options);
        run.print({ deleted: name }, `deleted ${name}\n`);
      }),
    "sternway volume delete web1",
    "sternway volume delete web1 --yes",
  );
}

function volumeTable(volumes: readonly WireVolume[]): string {
  return table(
    [
      { title: "name" },
      { title: "size", align: "right" },
      { title: "vault" },
      { title: "last lsn", align: "right" },
      { title: "clients", align: "right" },
      { title: "last written" },
    ],
    volumes.map((info) => [
      info.name,
      formatSize(info.sizeBytes),
      info.vault,
      String(info.lastLsn),
      String(info.attached),
      info.lastWriteAt.replace(/\.\d+Z$/, "Z"),
    ]),
  );
}

/** A vault that is closed takes its volumes with it: the list must not look as if they were gone. */
function notListed(vaults: readonly WireVault[]): string {
  const closed = vaults.filter((vault) => vault.status === undefined && vault.volumeCount > 0);
  return closed
    .map(
      ({ name, state, volumeCount }) =>
        `not listed: ${count(volumeCount, "volume")} of vault ${name}, which is ${state}\n`,
    )
    .join("");
}

/** The page of one volume; also printed by `branch`. */
export function volumeFacts(info: WireVolume): string {
  return facts([
    ["name", info.name],
    ["size", `${formatSize(info.sizeBytes)} (${info.sizeBytes} bytes)`],
    ["vault", info.vault],
    ["created", `${showTime(info.createdAt)}, lsn ${info.createdLsn}`],
    ...(info.origin === undefined ? [] : [["branch of", `${info.origin.volume}@lsn:${info.origin.lsn}`] as const]),
    ["last written", `${showTime(info.lastWriteAt)}, lsn ${info.lastLsn}`],
    ["last flush point", info.lastFlushLsn === 0 ? "none yet" : `lsn ${info.lastFlushLsn}`],
    ...(info.rolledBack === undefined
      ? []
      : [
          [
            "rolled back",
            `${showTime(info.rolledBack.at)}, to lsn ${info.rolledBack.toLsn}; undo: lsn:${info.rolledBack.atLsn - 1}`,
          ] as const,
        ]),
    ["bookmarks", String(info.bookmarkCount)],
    ["attached", info.attached === 0 ? "no client" : count(info.attached, "client")],
  ]);
}
