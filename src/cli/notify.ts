/** `sternway notify channel|rule|deliveries|kinds`: where notifications go, who gets what, and what became of them. */
import type { Command } from "commander";
import type { SetChannelInput, WireChannel, WireChannelMade } from "../contract/notify.ts";
import { collect, given, integerArgument, wordArgument } from "./arguments.ts";
import { examples, invocation, type Context, type Invocation } from "./context.ts";
import { registerChannelSet, SECURITIES } from "./notify-channel-set.ts";
import { registerNotifyRules } from "./notify-rules.ts";
import { newPassword, PASSWORD_FILE, type PasswordOptions } from "./password.ts";
import { showTime, table } from "./text.ts";
import { fileText } from "./text-file.ts";

interface CommonOptions {
  brief?: boolean;
  hourlyMax?: number;
  gatherSeconds?: number;
  ca?: string;
}

interface EmailOptions extends CommonOptions, PasswordOptions {
  host: string;
  port?: number;
  security?: "starttls" | "tls" | "none";
  user?: string;
  serverName?: string;
  from: string;
  to: string[];
}

interface WebhookOptions extends CommonOptions {
  url: string;
  plaintext?: boolean;
}

export function registerNotify(program: Command, context: Context): void {
  const notify = program.command("notify").description("notifications by mail and webhook");
  const channel = notify.command("channel").description("where notifications go");

  examples(
    channel
      .command("list")
      .description("list the channels and how they fare")
      .action(async (_options: object, command: Command) => {
        const run = invocation(context, command);
        const channels = await run.client().channels();
        run.print({ channels }, channels.length === 0 ? "there are no channels\n" : channelTable(channels));
      }),
    "sternway notify channel list",
  );

  examples(
    common(
      channel
        .command("email")
        .description("add a channel that sends mails; its password comes from a file or is asked for")
        .argument("<name>")
        .requiredOption("--host <host>", "the mail server")
        .option("--port <port>", "default: 587", integerArgument(1, 65_535))
        .option("--security <how>", "starttls (default), tls, or none", wordArgument(SECURITIES))
        .option("--user <user>", "signs in; a password belongs to it")
        .option(...PASSWORD_FILE)
        .option("--server-name <name>", "the name in its certificate, where it is another")
        .requiredOption("--from <address>", "who the mails are from")
        .requiredOption("--to <address>", "who gets them; may be given several times", collect),
    ).action(async (name: string, options: EmailOptions, command: Command) => {
      const run = invocation(context, command);
      const { host, port, security, user, serverName, from, to } = options;
      const password = user === undefined ? undefined : newPassword(options, user);
      const email: SetChannelInput = {
        kind: "email",
        ...commonOf(options),
        host,
        from,
        to,
        ...given({ port, security, user, serverName, password }),
      };
      printMade(run, await run.client().createChannel({ name, ...email }));
    }),
    "sternway notify channel email ops --host mail.example.org --from box@example.org \\",
    "    --to ops@example.org --user box --password-file smtp.password",
  );

  examples(
    common(
      channel
        .command("webhook")
        .description("add a channel that calls an address with signed JSON; shows its secret once")
        .argument("<name>")
        .requiredOption("--url <url>", "what is called, by POST")
        .option("--plaintext", "allow http://, which others on the way can read"),
    ).action(async (name: string, options: WebhookOptions, command: Command) => {
      const run = invocation(context, command);
      const { url, plaintext } = options;
      const hook: SetChannelInput = { kind: "webhook", ...commonOf(options), url, ...given({ plaintext }) };
      printMade(run, await run.client().createChannel({ name, ...hook }));
    }),
    "sternway notify channel webhook chat --url https://hooks.example.org/sternway",
  ).addHelpText(
    "after",
    "\nEach call carries `sternway-signature: t=SECONDS,v1=HEX`: HMAC-SHA256, keyed with the\nsecret, of SECONDS, a dot, and the body.",
  );

  examples(
    channel
      .command("test")
      .description("send a test message now")
      .argument("<name>")
      .action(async (name: string, _options: object, command: Command) => {
        const run = invocation(context, command);
        const result = await run.client().testChannel(name);
        run.print(result, `it was taken after ${Math.round(result.tookMs)} ms: ${result.message}\n`);
      }),
    "sternway notify channel test ops",
  );

  examples(
    channel
      .command("remove")
      .description("remove a channel, and what waits for it")
      .argument("<name>")
      .action(async (name: string, _options: object, command: Command) => {
        const run = invocation(context, command);
        await run.client().deleteChannel(name);
        run.print({ removed: name }, `removed channel ${name}\n`);
      }),
    "sternway notify channel remove ops",
  );

  registerChannelSet(channel, context);
  registerNotifyRules(notify, context);
  registerDeliveries(notify, context);
}

function registerDeliveries(notify: Command, context: Context): void {
  examples(
    notify
      .command("deliveries")
      .description("what became of notifications, newest first")
      .option("--channel <name>", "only of this one")
      .option("--limit <n>", "how many", integerArgument(1, 1000), 20)
      .action(async (options: { channel?: string; limit: number }, command: Command) => {
        const run = invocation(context, command);
        const page = await run.client().deliveries(options);
        const text = table(
          [
            { title: "time" },
            { title: "channel" },
            { title: "state" },
            { title: "tries", align: "right" },
            { title: "what" },
            { title: "why" },
          ],
          page.deliveries.map(({ createdAt, channel, state, attempts, subject, lastError }) => [
            showTime(createdAt),
            channel,
            state,
            String(attempts),
            subject,
            lastError ?? "",
          ]),
        );
        run.print(page, page.deliveries.length === 0 ? "nothing was sent yet\n" : text);
      }),
    "sternway notify deliveries",
    "sternway notify deliveries --channel ops --json",
  );

  examples(
    notify
      .command("kinds")
      .description("the kinds of events that there are, and what to do about each")
      .action(async (_options: object, command: Command) => {
        const run = invocation(context, command);
        const kinds = await run.client().eventKinds();
        const text = table(
          [{ title: "kind" }, { title: "topic" }, { title: "level" }, { title: "what" }],
          kinds.map(({ kind, topic, level, title }) => [kind, topic, level, title]),
        );
        run.print({ kinds }, text);
      }),
    "sternway notify kinds",
  );
}

function common(command: Command): Command {
  return command
    .option("--brief", "leave out names and messages, for channels that others read too")
    .option("--hourly-max <n>", "messages in an hour; the rest comes in one (default: 20)", integerArgument(1, 500))
    .option("--gather-seconds <n>", "what follows a message comes together (default: 60)", integerArgument(0, 3600))
    .option("--ca <file>", "PEM: who signs the other side's certificate");
}

function commonOf({ brief, hourlyMax, gatherSeconds, ca }: CommonOptions) {
  return given({
    details: brief ? ("brief" as const) : undefined,
    hourlyMax,
    gatherSeconds,
    ca: ca === undefined ? undefined : fileText(ca),
  });
}

function printMade(run: Invocation, made: WireChannelMade): void {
  const { channel, secret } = made;
  const lines = [
    `added channel ${channel.name}`,
    ...(secret === undefined ? [] : [`its secret, which is shown this once: ${secret}`]),
    `try it: sternway notify channel test ${channel.name}`,
    `nothing goes there before a rule says so: sternway notify rule add NAME --channel ${channel.name}`,
  ];
  run.print(made, `${lines.join("\n")}\n`);
}

function channelTable(channels: readonly WireChannel[]): string {
  return table(
    [
      { title: "name" },
      { title: "kind" },
      { title: "where" },
      { title: "state" },
      { title: "waiting", align: "right" },
      { title: "why" },
    ],
    channels.map((channel) => [
      channel.name,
      channel.kind,
      channel.kind === "email" ? channel.to.join(", ") : new URL(channel.url).origin,
      channel.state,
      String(channel.waiting),
      channel.lastError ?? "",
    ]),
  );
}
