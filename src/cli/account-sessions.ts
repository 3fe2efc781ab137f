/** `sternway account sessions|sign-out`: where somebody is signed in with a browser, and the end of that. */
import type { Command } from "commander";
import { SternwayError } from "../base/errors.ts";
import type { WireOpenSession } from "../contract/sessions.ts";
import { examples, invocation, type Context } from "./context.ts";
import { showTime, table } from "./text.ts";

export function registerAccountSessions(account: Command, context: Context): void {
  examples(
    account
      .command("sessions")
      .description("list where somebody is signed in with a browser, oldest first")
      .argument("<name>")
      .action(async (name: string, _options: object, command: Command) => {
        const run = invocation(context, command);
        const sessions = await run.client().sessions(name);
        run.print({ sessions }, sessions.length === 0 ? `${name} is signed in nowhere\n` : listed(sessions));
      }),
    "sternway account sessions anna",
  );

  examples(
    account
      .command("sign-out")
      .description("end a session of somebody, or all of them; API tokens stay")
      .argument("<name>")
      .option("--session <id>", "this one; `account sessions` lists them")
      .option("--all", "all of them")
      .action(async (name: string, options: { session?: string; all?: boolean }, command: Command) => {
        const { session, all = false } = options;
        if ((session !== undefined) === all) {
          throw new SternwayError("invalid", "say which: --session ID for one, or --all");
        }
        const run = invocation(context, command);
        const client = run.client();
        if (session === undefined) {
          const ended = await client.endSessions(name);
          run.print(
            { ended },
            ended === 0 ? `${name} was signed in nowhere\n` : `ended sessions of ${name}: ${ended}\n`,
          );
          return;
        }
        // Somebody else's is not meant by this name.
        if (!(await client.sessions(name)).some(({ id }) => id === session)) {
          throw new SternwayError("not_found", `${name} has no session ${session}: it may be over already`);
        }
        await client.endSession(session);
        run.print({ ended: 1 }, `ended session ${session} of ${name}\n`);
      }),
    "sternway account sign-out anna --all",
    "sternway account sign-out anna --session 9f86d081884c7d65",
  );
}

function listed(sessions: readonly WireOpenSession[]): string {
  return table(
    [{ title: "session" }, { title: "signed in" }, { title: "last seen" }, { title: "from" }, { title: "browser" }],
    sessions.map(({ id, createdAt, lastSeenAt, from, browser }) => [
      id,
      showTime(createdAt),
      showTime(lastSeenAt),
      from,
      browser === "" ? "not known" : browser,
    ]),
  );
}
