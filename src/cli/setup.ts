/** `sternway setup`: the first administrator, or the code with which a browser makes him. */
import type { Command } from "commander";
import { SternwayError } from "../base/errors.ts";
import { examples, invocation, type Context } from "./context.ts";
import { askLine, newPassword, PASSWORD_FILE, type PasswordOptions } from "./password.ts";
import { canAsk } from "./secret.ts";

interface SetupOptions extends PasswordOptions {
  showCode?: boolean;
}

export function registerSetup(program: Command, context: Context): void {
  examples(
    program
      .command("setup")
      .description("make the first account, an administrator; the API and the console open with it")
      .argument("[name]", "1 to 64 of a-z 0-9 . _ - @ (default: asked for)")
      .option(...PASSWORD_FILE)
      .option("--show-code", "show the code with which a browser does the set-up instead")
      .action(async (given: string | undefined, options: SetupOptions, command: Command) => {
        const run = invocation(context, command);
        const { isSetUp, code } = await run.client().setup();
        if (isSetUp) {
          throw new SternwayError(
            "conflict",
            "the appliance is set up already; `sternway account add` adds accounts, and `sternway account password` sets a password",
          );
        }
        if (options.showCode === true) {
          run.print({ code }, `${code ?? ""}\n`);
          return;
        }
        const name = given ?? askedName();
        const made = await run.client().setUp({ name, password: newPassword(options, name) });
        run.print(made, `${made.name} is the first administrator: sign in with that name and password\n`);
      }),
    "sternway setup",
    "sternway setup anna --password-file anna.password",
    "sternway setup --show-code",
  );
}

function askedName(): string {
  if (canAsk()) return askLine("Name of the first administrator: ");
  throw new SternwayError("invalid", "which name? Add it: sternway setup NAME");
}
