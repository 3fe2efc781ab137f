/** `sternway disks` */
import type { Command } from "commander";
import { formatSize } from "../base/units.ts";
import type { DiskList } from "../contract/contract.ts";
import { examples, invocation, type Context } from "./context.ts";
import { table } from "./text.ts";

export function registerDisks(program: Command, context: Context): void {
  examples(
    program
      .command("disks")
      .description("the machine's disks, what is mounted of them, and the space that the vault has")
      .action(async (_options, command: Command) => {
        const run = invocation(context, command);
        const list = await run.client().disks();
        run.print(list, diskText(list));
      }),
    "sternway disks",
  );
}

function diskText({ disks, store, warnings }: DiskList): string {
  const rows = disks.flatMap((disk) => {
    const kind = [
      disk.model,
      disk.rotational ? "rotating" : undefined,
      disk.removable ? "removable" : undefined,
      disk.readOnly ? "read-only" : undefined,
    ];
    return [
      [
        disk.path,
        formatSize(disk.sizeBytes),
        mounted(disk.mounts),
        kind.filter((word) => word !== undefined).join(", "),
      ],
      ...disk.partitions.map((part) => [`  ${part.path}`, formatSize(part.sizeBytes), mounted(part.mounts), ""]),
    ];
  });
  const columns = [
    { title: "device" },
    { title: "size", align: "right" as const },
    { title: "mounted on" },
    { title: "kind" },
  ];
  const free = store.freeBytes === undefined ? "unknown" : formatSize(store.freeBytes);
  const size = store.sizeBytes === undefined ? "" : ` of ${formatSize(store.sizeBytes)}`;
  const low = store.low ? `: low, writes are refused below ${formatSize(store.reserveBytes)}` : "";
  return (
    (rows.length === 0 ? "no disks are visible from here\n" : table(columns, rows)) +
    `\nvault in ${store.dataDir} (${store.fsType} on ${store.path}): ${free} free${size}${low}\n` +
    warnings.map((warning) => `warning: ${warning}\n`).join("")
  );
}

function mounted(mounts: DiskList["disks"][number]["mounts"]): string {
  return mounts.map((mount) => `${mount.path} (${mount.fsType})`).join(", ");
}
