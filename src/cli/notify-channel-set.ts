/** `sternway notify channel set`: changes a channel in place, so that its secret, its rules and what waits for it stay. */
import { Option, type Command } from "commander";
import { SternwayError } from "../base/errors.ts";
import type { ChannelSettings, SetChannelInput, WireChannelMade } from "../contract/notify.ts";
import { collect, given, integerArgument, replaced, wordArgument } from "./arguments.ts";
import { examples, invocation, type Context } from "./context.ts";
import { newPassword, type PasswordOptions } from "./password.ts";
import { fileText } from "./text-file.ts";

export const SECURITIES = ["starttls", "tls", "none"] as const;

/** What is false is taken away; what is absent stays. */
interface ChannelChange extends PasswordOptions {
  brief?: boolean;
  hourlyMax?: number;
  gatherSeconds?: number;
  ca?: string | false;
  on?: true;
  off?: true;
  host?: string;
  port?: number;
  security?: (typeof SECURITIES)[number];
  user?: string | false;
  askPassword?: true;
  serverName?: string | false;
  from?: string;
  to?: string[];
  url?: string;
  plaintext?: boolean;
  renewSecret?: true;
}

/** Options that only one kind of channel has. */
const OF_EMAIL = [
  "host",
  "port",
  "security",
  "user",
  "passwordFile",
  "askPassword",
  "serverName",
  "from",
  "to",
] as const satisfies readonly (keyof ChannelChange)[];
const OF_WEBHOOK = ["url", "plaintext", "renewSecret"] as const satisfies readonly (keyof ChannelChange)[];

export function registerChannelSet(channel: Command, context: Context): void {
  examples(
    channel
      .command("set")
      .description("change a channel; what is not named stays")
      .argument("<name>")
      .addOption(new Option("--off", "switch it off; its rules and what waits for it stay").conflicts("on"))
      .option("--on", "switch it on again")
      .option("--brief", "leave out names and messages, for channels that others read too")
      .option("--no-brief", "tell names and messages")
      .option("--hourly-max <n>", "messages in an hour; the rest comes in one", integerArgument(1, 500))
      .option("--gather-seconds <n>", "what follows a message comes together", integerArgument(0, 3600))
      .option("--ca <file>", "PEM: who signs the other side's certificate")
      .option("--no-ca", "a public authority signs it")
      .option("--host <host>", "e-mail: the mail server")
      .option("--port <port>", "e-mail", integerArgument(1, 65_535))
      .option("--security <how>", "e-mail: starttls, tls, or none", wordArgument(SECURITIES))
      .option("--user <user>", "e-mail: signs in; a password belongs to it")
      .option("--no-user", "e-mail: nobody signs in; its password goes")
      .addOption(new Option("--password-file <path>", "e-mail: its first line").conflicts("askPassword"))
      .option("--ask-password", "e-mail: asked for, or one line on standard input")
      .option("--server-name <name>", "e-mail: the name in its certificate, where it is another")
      .option("--no-server-name", "e-mail: the name is the host's")
      .option("--from <address>", "e-mail: who the mails are from")
      .option("--to <address>", "e-mail: who gets them, in place of who did; repeatable", collect)
      .option("--url <url>", "webhook: what is called, by POST")
      .option("--plaintext", "webhook: allow http://, which others on the way can read")
      .option("--no-plaintext", "webhook: only https://")
      .option("--renew-secret", "webhook: make another secret, and show it once")
      .action(async (name: string, options: ChannelChange, command: Command) => {
        if (Object.keys(options).length === 0) throw new SternwayError("invalid", "say what is to be changed");
        const run = invocation(context, command);
        // Outside of what may be called again: nobody is asked twice.
        const ca = typeof options.ca === "string" ? fileText(options.ca) : options.ca;
        const password = passwordOf(options, name);
        const made = await run
          .client()
          .reviseChannel(name, (now) => revisedChannel(name, now, { ...options, ...given({ ca }) }, password));
        run.print(made, changedText(made));
      }),
    "sternway notify channel set ops --to ops@example.org --to boss@example.org",
    "sternway notify channel set ops --user box --password-file smtp.password",
    "sternway notify channel set chat --url https://hooks.example.org/new",
    "sternway notify channel set chat --off",
  );
}

/** @returns null: it is taken away; undefined: as it was */
function passwordOf(options: ChannelChange, name: string): string | null | undefined {
  if (options.passwordFile !== undefined || options.askPassword === true) {
    return newPassword(options, typeof options.user === "string" ? options.user : `channel ${name}`);
  }
  return options.user === false ? null : undefined;
}

/** @throws invalid: an option of another kind of channel */
function revisedChannel(
  name: string,
  now: ChannelSettings,
  change: ChannelChange,
  password: string | null | undefined,
): SetChannelInput {
  const foreign = (now.kind === "email" ? OF_WEBHOOK : OF_EMAIL).find((option) => change[option] !== undefined);
  if (foreign !== undefined) {
    const option = foreign.replaceAll(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
    const kind = now.kind === "email" ? "sends mails" : "is a webhook";
    throw new SternwayError("invalid", `channel ${name} ${kind}: --${option} is not for it`);
  }
  const { hourlyMax, gatherSeconds } = change;
  const both = given({
    hourlyMax,
    gatherSeconds,
    details: change.brief === undefined ? undefined : change.brief ? ("brief" as const) : ("full" as const),
    enabled: change.on === true ? true : change.off === true ? false : undefined,
  });
  if (now.kind === "webhook") {
    const { ca, ...rest } = now;
    const { url, plaintext, renewSecret } = change;
    return { ...rest, ...both, ...given({ url, plaintext, renewSecret, ca: replaced(ca, change.ca) }) };
  }
  const { ca, user, serverName, ...rest } = now;
  const { host, port, security, from, to } = change;
  return {
    ...rest,
    ...both,
    ...given({ host, port, security, from, to, password }),
    ...given({
      ca: replaced(ca, change.ca),
      user: replaced(user, change.user),
      serverName: replaced(serverName, change.serverName),
    }),
  };
}

function changedText({ channel, secret }: WireChannelMade): string {
  const state = channel.enabled ? "" : "; it is switched off";
  const shown = secret === undefined ? "" : `its new secret, which is shown this once: ${secret}\n`;
  return `changed channel ${channel.name}${state}\n${shown}try it: sternway notify channel test ${channel.name}\n`;
}
