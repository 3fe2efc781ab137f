/** `sternway audit list|export|verify|key` */
import { closeSync, fsyncSync, openSync, writeSync } from "node:fs";
import { resolve } from "node:path";
import { InvalidArgumentError, Option, type Command } from "commander";
import { verifyAudit, type AuditHead, type AuditReport } from "../audit/audit.ts";
import { systemError } from "../base/descriptor.ts";
import { SternwayError } from "../base/errors.ts";
import { realDisk } from "../base/real-disk.ts";
import { AUDIT_PAGE_MAX, type WireAuditEntry } from "../contract/audit.ts";
import type { AuditListQuery } from "../contract/audit-client.ts";
import { collect, integerArgument } from "./arguments.ts";
import { examples, invocation, type Context, type Invocation } from "./context.ts";
import { interruptible } from "./terminal.ts";
import { count, facts, showTime, table } from "./text.ts";

/** Pages of a search that finds little; each looks through some fifty thousand lines. */
const PAGES_MAX = 1_000;

export function registerAudit(program: Command, context: Context): void {
  const audit = program.command("audit").description("who did what to what, from where, with what result");

  examples(
    audit
      .command("list")
      .description("list entries, newest first")
      .option("--who <account>", "only what this account did")
      .option("--action <operation>", "only this operation, such as rollbackVolume")
      .option("--subject <name>", "only what was done to this volume, vault, account …")
      .option("--result <result>", "only what was done, refused or failed")
      .option("--from <time>", "not before this time (RFC 3339)")
      .option("--to <time>", "before this time")
      .option("--before <line>", "only lines before this one", integerArgument(1, Number.MAX_SAFE_INTEGER))
      .option("--limit <n>", "how many", integerArgument(1, AUDIT_PAGE_MAX), 30)
      .action(async (options: AuditListQuery & { limit: number }, command: Command) => {
        const run = invocation(context, command);
        const found = await search(run, options);
        run.print(found, found.entries.length === 0 ? "no such entries\n" : listText(found.entries));
      }),
    "sternway audit list",
    "sternway audit list --who ann --from 2026-11-20T00:00:00Z",
    "sternway audit list --subject web1 --action rollbackVolume",
    "sternway audit list --result refused --json",
  ).addHelpText("after", "\nNumbers that are skipped are lines that hold a signature and nothing else.");

  examples(
    audit
      .command("export")
      .description("write the whole audit with its signatures, as JSON lines")
      .option("--out <file>", "a new file (default: standard output)")
      // Scripts may say it so; other commands say --out, and so do the help and the README.
      .addOption(new Option("--output <file>").hideHelp().conflicts("out"))
      .action(async ({ out, output }: { out?: string; output?: string }, command: Command) => {
        const run = invocation(context, command);
        await interruptible((signal) => exportTo(run, out ?? output, signal));
      }),
    "sternway audit export --out audit-2026-11.jsonl",
  );

  examples(
    audit
      .command("verify")
      .description("check an audit offline: an export, the data folder, or one of its files")
      .argument("<path>", "what to check")
      .option("--key <fingerprint>", "of the key that must have signed it, as `audit key` printed it")
      .option("--head <line:hash>", "a line noted down earlier, which must be in it", headArgument, [])
      .option("--against <export>", "an export made earlier or later: its end must be in it", collect)
      .action(async (path: string, options: VerifyArguments, command: Command) => {
        await verify(invocation(context, command), resolve(path), options);
      }),
    "sternway audit verify audit-2026-11.jsonl --key 3f1c…",
    "sternway audit verify /srv/sternway --head 4711:9a0b…",
    "sternway audit verify /srv/sternway --against audit-2026-11.jsonl",
  ).addHelpText(
    "after",
    "\nSays where the chain breaks and what is missing; exit code 6 when anything is\nwrong. Needs no daemon. That the end was not cut off is proved only by --head or\n--against; that it was not written anew, only by --key, --head or --against.",
  );

  examples(
    audit
      .command("key")
      .description("print what to note down elsewhere: the key's fingerprint and the newest line")
      .action(async (_options, command: Command) => {
        const run = invocation(context, command);
        const key = await run.client().auditKey();
        const text = facts([
          ["key", key.fingerprint],
          ["newest line", `${key.head.seq}:${key.head.hash}`],
          ...(key.trouble === undefined ? [] : [["trouble", key.trouble] as const]),
        ]);
        run.print(key, text);
      }),
    "sternway audit key",
  );
}

interface VerifyArguments {
  key?: string;
  head: AuditHead[];
  against?: string[];
}

/** As many entries as asked for, however many pages it takes to find them. */
async function search(
  run: Invocation,
  { limit, ...query }: AuditListQuery & { limit: number },
): Promise<{ entries: WireAuditEntry[]; next?: number }> {
  const client = run.client();
  const entries: WireAuditEntry[] = [];
  let before = query.before;
  for (let pages = 0; pages < PAGES_MAX; pages++) {
    const page = await client.audit({ ...query, before, limit: limit - entries.length });
    entries.push(...page.entries);
    before = page.next;
    if (before === undefined) return { entries };
    if (entries.length >= limit) break;
  }
  return { entries, ...(before === undefined ? {} : { next: before }) };
}

function listText(entries: readonly WireAuditEntry[]): string {
  return table(
    [
      { title: "line", align: "right" },
      { title: "time" },
      { title: "who" },
      { title: "from" },
      { title: "did" },
      { title: "to" },
      { title: "result" },
    ],
    entries.map((entry) => [
      String(entry.seq),
      showTime(entry.time),
      entry.role === "-" ? entry.who : `${entry.who} (${entry.role})`,
      entry.from === "" ? "here" : entry.from,
      entry.action,
      entry.about ?? entry.subject,
      entry.result,
    ]),
  );
}

async function exportTo(run: Invocation, output: string | undefined, signal: AbortSignal): Promise<void> {
  const body = await run.client().auditExport(signal);
  if (output === undefined) {
    const decoder = new TextDecoder();
    for await (const part of body) run.terminal.out(decoder.decode(part, { stream: true }));
    return;
  }
  let file: number;
  try {
    file = openSync(output, "wx", 0o600);
  } catch (error) {
    throw systemError(error, `cannot make ${output}`);
  }
  let bytes = 0;
  try {
    for await (const part of body) {
      for (let done = 0; done < part.length;) done += writeSync(file, part, done);
      bytes += part.length;
    }
    fsyncSync(file);
  } catch (error) {
    throw error instanceof SternwayError ? error : systemError(error, `cannot write ${output}`);
  } finally {
    closeSync(file);
  }
  run.print({ file: output, bytes }, `wrote ${output}; check it with \`sternway audit verify ${output}\`\n`);
}

async function verify(run: Invocation, path: string, options: VerifyArguments): Promise<void> {
  const heads = [...options.head];
  const findings: AuditReport["findings"] = [];
  for (const other of options.against ?? []) {
    const report = await verifyAudit(realDisk, resolve(other));
    if (report.head) heads.push(report.head);
    findings.push(...report.findings.map(({ where, what }) => ({ where: `${other}: ${where}`, what })));
  }
  const fingerprint = options.key?.replaceAll(/[:\s]/g, "").toLowerCase();
  if (fingerprint !== undefined && !/^[0-9a-f]{64}$/.test(fingerprint)) {
    throw new SternwayError("invalid", "a key's fingerprint is 64 hexadecimal digits; `sternway audit key` prints it");
  }
  const report = await verifyAudit(realDisk, path, { heads, fingerprint });
  report.findings.unshift(...findings);
  run.print(report, reportText(report));
  const wrong = report.findings.length + report.moreFindings;
  if (wrong > 0)
    throw new SternwayError("corrupt", `the audit does not hold: ${count(wrong, "finding")}`, { audit: path });
}

function reportText({ findings, moreFindings, notes, ...report }: AuditReport): string {
  const found = findings.map(({ where, what }) => `${where}: ${what}\n`).join("");
  const more = moreFindings === 0 ? "" : `and ${count(moreFindings, "more finding")}\n`;
  const pairs: [string, string][] = [
    ["entries", `${count(report.entries, "entry", "entries")}, ${count(report.seals, "signature")}`],
  ];
  if (report.first !== undefined && report.head) pairs.push(["lines", `${report.first} to ${report.head.seq}`]);
  if (report.fingerprint !== undefined) pairs.push(["key", report.fingerprint]);
  if (report.head) pairs.push(["newest line", `${report.head.seq}:${report.head.hash}`]);
  const verdict = findings.length === 0 ? "the chain holds\n" : "";
  return `${found}${more}${facts(pairs)}${notes.map((note) => `note: ${note}\n`).join("")}${verdict}`;
}

function headArgument(text: string, before: AuditHead[]): AuditHead[] {
  const match = /^(\d{1,15}):([0-9a-fA-F]{64})$/.exec(text);
  if (!match?.[1] || !match[2]) throw new InvalidArgumentError("It must be a line's number, a colon and its hash.");
  return [...before, { seq: Number(match[1]), hash: match[2].toLowerCase() }];
}
