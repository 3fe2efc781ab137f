/** `sternway token list|add|remove`: API tokens, with which programs come in. */
import { Option, type Command } from "commander";
import type { WireTokenMade } from "../contract/accounts.ts";
import { ROLES, type Role } from "../contract/rights.ts";
import { collect, integerArgument } from "./arguments.ts";
import { examples, invocation, type Context } from "./context.ts";
import { newSecretFile } from "./secret-file.ts";
import { showTime, table } from "./text.ts";

const DAYS_MAX = 366;

interface AddOptions {
  role?: Role;
  machine?: string[];
  days?: number;
  tokenFile?: string;
}

export function registerToken(program: Command, context: Context): void {
  const token = program.command("token").description("API tokens, with which programs come in over HTTP");

  examples(
    token
      .command("list")
      .description("list the tokens, oldest first; what they are is shown once, when they are made")
      .action(async (_options, command: Command) => {
        const run = invocation(context, command);
        const tokens = await run.client().tokens();
        const text = table(
          [
            { title: "id" },
            { title: "name" },
            { title: "account" },
            { title: "role" },
            { title: "machines" },
            { title: "until" },
            { title: "last used" },
          ],
          tokens.map(({ id, name, account, role, machines, expiresAt, lastUsedAt }) => [
            id,
            name,
            account,
            role,
            machines?.join(" ") ?? "",
            showTime(expiresAt),
            lastUsedAt === undefined ? "never" : showTime(lastUsedAt),
          ]),
        );
        run.print({ tokens }, tokens.length === 0 ? "there is no token\n" : text);
      }),
    "sternway token list",
  );

  examples(
    token
      .command("add")
      .description("make a token for an account, and show it, once")
      .argument("<account>", "whose it is: it goes with it, and never does more")
      .argument("<name>", "what it is for")
      .addOption(new Option("--role <role>", "not above the account's (default: the account's)").choices(ROLES))
      .option("--machine <name>", "of the role self-service: only this machine; repeatable", collect)
      .option("--days <days>", `until it expires, 1 to ${DAYS_MAX} (default: 90)`, integerArgument(1, DAYS_MAX))
      .option("--token-file <path>", "write the token there, into a new file of mode 0600, and do not show it")
      .action(async (account: string, name: string, options: AddOptions, command: Command) => {
        const run = invocation(context, command);
        const { role, machine: machines, days: expiresInDays, tokenFile } = options;
        const file = tokenFile === undefined ? undefined : newSecretFile(tokenFile);
        let made: WireTokenMade;
        try {
          made = await run.client().addToken({
            account,
            name,
            ...(role === undefined ? {} : { role }),
            ...(machines === undefined ? {} : { machines }),
            ...(expiresInDays === undefined ? {} : { expiresInDays }),
          });
        } catch (error) {
          file?.discard();
          throw error;
        }
        const { token: secret, ...rest } = made;
        const what = `token ${name} of ${account}, ${made.role} until ${showTime(made.expiresAt)}`;
        file?.write(secret);
        if (file) run.print({ ...rest, tokenFile }, `made ${what}; it is in ${tokenFile}\n`);
        else run.print(made, `made ${what}; it is not shown again:\n${secret}\n`);
      }),
    "sternway token add anna nightly-report --role auditor --days 30",
    "sternway token add sam web-agent --machine web --token-file web.token",
  ).addHelpText("after", "\nPrograms send it as the header `Authorization: Bearer TOKEN`.");

  examples(
    token
      .command("remove")
      .description("remove a token: it is refused from then on")
      .argument("<id>", "as `sternway token list` shows it")
      .action(async (id: string, _options, command: Command) => {
        const run = invocation(context, command);
        await run.client().removeToken(id);
        run.print({ removed: id }, `removed token ${id}\n`);
      }),
    "sternway token remove 0123456789abcdef",
  );
}
