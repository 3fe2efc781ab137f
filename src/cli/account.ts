/** `sternway account list|add|change|remove|password|unlock|totp-off`; `account-sessions.ts` adds its own */
import { Argument, Option, type Command } from "commander";
import type { WireAccount } from "../contract/accounts.ts";
import { ROLES, type Role } from "../contract/rights.ts";
import { registerAccountSessions } from "./account-sessions.ts";
import { collect } from "./arguments.ts";
import { examples, invocation, type Context } from "./context.ts";
import { newPassword, PASSWORD_FILE, type PasswordOptions } from "./password.ts";
import { showTime, table } from "./text.ts";

const NAME = ["<name>", "1 to 64 of a-z 0-9 . _ - @"] as const;
const MACHINE = ["--machine <name>", "of the role self-service: a machine that is theirs; repeatable"] as const;
const ROLE_HELP =
  "\nROLE is administrator (everything), operator (restores over disks, rolls back,\n" +
  "runs checks), self-service (reads the past of its own machines) or auditor\n" +
  "(sees states, the audit and reports, and no content).";

export function registerAccount(program: Command, context: Context): void {
  const account = program.command("account").description("who may sign in to the API and the console, and as what");
  registerListing(account, context);
  registerMaking(account, context);
  registerHelping(account, context);
  registerAccountSessions(account, context);
}

function registerListing(account: Command, context: Context): void {
  examples(
    account
      .command("list")
      .description("list the accounts, by name")
      .action(async (_options, command: Command) => {
        const run = invocation(context, command);
        const accounts = await run.client().accounts();
        run.print(
          { accounts },
          accounts.length === 0 ? "there is no account: run `sternway setup`\n" : listed(accounts),
        );
      }),
    "sternway account list",
  );
}

function registerMaking(account: Command, context: Context): void {
  examples(
    account
      .command("add")
      .description("add an account with a password")
      .argument(...NAME)
      .addArgument(new Argument("<role>").choices(ROLES))
      .option(...MACHINE, collect)
      .option(...PASSWORD_FILE)
      .action(async (name: string, role: Role, options: PasswordOptions & { machine?: string[] }, command: Command) => {
        const run = invocation(context, command);
        const machines = options.machine === undefined ? {} : { machines: options.machine };
        const made = await run.client().addAccount({ name, role, ...machines, password: newPassword(options, name) });
        run.print(made, `added ${made.name} as ${made.role}\n`);
      }),
    "sternway account add boris operator",
    "sternway account add sam self-service --machine web --password-file sam.password",
  ).addHelpText("after", ROLE_HELP);

  examples(
    account
      .command("change")
      .description("give an account another role or other machines; its sessions end")
      .argument("<name>")
      .addOption(new Option("--role <role>", "the new role").choices(ROLES))
      .option(...MACHINE, collect)
      .action(async (name: string, options: { role?: Role; machine?: string[] }, command: Command) => {
        const run = invocation(context, command);
        const { tokensRemoved, ...changed } = await run.client().changeAccount(name, {
          ...(options.role === undefined ? {} : { role: options.role }),
          ...(options.machine === undefined ? {} : { machines: options.machine }),
        });
        const tokens = tokensRemoved === 0 ? "" : `; tokens that would do more were removed: ${tokensRemoved}`;
        run.print({ ...changed, tokensRemoved }, `${name} is ${changed.role} now${tokens}\n`);
      }),
    "sternway account change boris --role auditor",
    "sternway account change sam --machine web --machine db",
  ).addHelpText("after", ROLE_HELP);

  examples(
    account
      .command("remove")
      .description("remove an account with its sessions and tokens")
      .argument("<name>")
      .action(async (name: string, _options, command: Command) => {
        const run = invocation(context, command);
        await run.client().removeAccount(name);
        run.print({ removed: name }, `removed ${name}, with all sessions and tokens\n`);
      }),
    "sternway account remove boris",
  );
}

function registerHelping(account: Command, context: Context): void {
  examples(
    account
      .command("password")
      .description("set the password of an account; its sessions end, its tokens stay")
      .argument("<name>")
      .option(...PASSWORD_FILE)
      .action(async (name: string, options: PasswordOptions, command: Command) => {
        const run = invocation(context, command);
        await run.client().setAccountPassword(name, newPassword(options, name));
        run.print({ name }, `${name} has another password now\n`);
      }),
    "sternway account password boris",
  );

  examples(
    account
      .command("unlock")
      .description("end the pause after too many wrong passwords or codes")
      .argument("<name>")
      .action(async (name: string, _options, command: Command) => {
        const run = invocation(context, command);
        run.print(await run.client().unlockAccount(name), `${name} can sign in at once\n`);
      }),
    "sternway account unlock boris",
  );

  examples(
    account
      .command("totp-off")
      .description("turn the second factor of an account off, for who lost it")
      .argument("<name>")
      .action(async (name: string, _options, command: Command) => {
        const run = invocation(context, command);
        run.print(await run.client().turnAccountTotpOff(name), `${name} signs in with the password alone now\n`);
      }),
    "sternway account totp-off boris",
  );
}

function listed(accounts: readonly WireAccount[]): string {
  return table(
    [
      { title: "name" },
      { title: "role" },
      { title: "machines" },
      { title: "signs in by" },
      { title: "last time" },
      { title: "paused until" },
    ],
    accounts.map(({ name, role, machines, signsInBy, secondFactor, signedInAt, pausedUntil }) => [
      name,
      role,
      machines.join(" "),
      secondFactor ? `${signsInBy} and code` : signsInBy,
      signedInAt === undefined ? "never" : showTime(signedInAt),
      pausedUntil === undefined ? "" : showTime(pausedUntil),
    ]),
  );
}
