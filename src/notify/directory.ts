/**
 * Channels and rules as people made them. They lie in the catalog; here they are read once and checked, so that an event costs no query. A channel's secret
 * leaves this room only to where it is used; {@link Directory.createChannel} and {@link Directory.setChannel} give out a webhook's, once.
 */
import { X509Certificate } from "node:crypto";
import { SternwayError } from "../base/errors.ts";
import type { Clock } from "../base/clock.ts";
import type { Random } from "../base/random.ts";
import type { Micros } from "../base/units.ts";
import { checkZone } from "../base/zone.ts";
import type { NotifyTable } from "../catalog/catalog.ts";
import {
  channelSettingsSchema,
  CHANNELS_MAX,
  RULES_MAX,
  ruleSettingsSchema,
  type ChannelSettings,
  type RuleSettings,
  type SetChannel,
} from "../contract/notify.ts";

export interface Channel {
  name: string;
  settings: ChannelSettings;
  secret: string | undefined;
  createdAt: Micros;
}

export interface Rule {
  name: string;
  settings: RuleSettings;
  createdAt: Micros;
}

const SECRET_BYTES = 32;

export class Directory {
  private readonly store: NotifyTable;
  private readonly clock: Clock;
  private readonly random: Random;
  private readonly channelsByName = new Map<string, Channel>();
  private readonly rulesByName = new Map<string, Rule>();

  /** Rows that cannot be read are passed over: the catalog is losable, and whoever looks sees that they are not there. */
  constructor(options: { store: NotifyTable; clock: Clock; random: Random }) {
    this.store = options.store;
    this.clock = options.clock;
    this.random = options.random;
    for (const { name, settings, secret, createdAt } of this.store.channels()) {
      const read = channelSettingsSchema.safeParse(parsed(settings));
      if (read.success)
        this.channelsByName.set(name, { name, settings: read.data, secret: secret ?? undefined, createdAt });
    }
    for (const { name, settings, createdAt } of this.store.rules()) {
      const read = ruleSettingsSchema.safeParse(parsed(settings));
      if (read.success) this.rulesByName.set(name, { name, settings: read.data, createdAt });
    }
  }

  /** By name. */
  channels(): Channel[] {
    return [...this.channelsByName.values()].sort(byName);
  }

  /** By name. */
  rules(): Rule[] {
    return [...this.rulesByName.values()].sort(byName);
  }

  find(name: string): Channel | undefined {
    return this.channelsByName.get(name);
  }

  /** @throws not_found */
  channel(name: string): Channel {
    const channel = this.channelsByName.get(name);
    if (!channel) throw new SternwayError("not_found", `there is no channel ${name}`, { channel: name });
    return channel;
  }

  /** @throws not_found */
  rule(name: string): Rule {
    const rule = this.rulesByName.get(name);
    if (!rule) throw new SternwayError("not_found", `there is no rule ${name}`, { rule: name });
    return rule;
  }

  /** @returns with the secret, if one was made @throws conflict: the name is taken, or there are too many; invalid */
  createChannel(name: string, wanted: SetChannel): { channel: Channel; made?: string } {
    if (this.channelsByName.has(name)) throw new SternwayError("conflict", `there is a channel ${name} already`);
    if (this.channelsByName.size >= CHANNELS_MAX)
      throw new SternwayError("conflict", `an appliance has at most ${CHANNELS_MAX} channels`, {
        channelsMax: CHANNELS_MAX,
      });
    return this.putChannel(name, wanted, undefined);
  }

  /** @throws not_found; invalid: another kind, or a kept password would go elsewhere */
  setChannel(name: string, wanted: SetChannel): { channel: Channel; made?: string } {
    const before = this.channel(name);
    if (before.settings.kind !== wanted.kind)
      throw new SternwayError(
        "invalid",
        `channel ${name} is of the kind ${before.settings.kind}; make another for ${wanted.kind}`,
      );
    return this.putChannel(name, wanted, before);
  }

  private putChannel(
    name: string,
    wanted: SetChannel,
    before: Channel | undefined,
  ): { channel: Channel; made?: string } {
    const settings = channelSettingsSchema.parse(wanted);
    checkChannel(settings);
    const kept = before?.secret;
    let secret: string | undefined;
    let made: string | undefined;
    if (wanted.kind === "webhook") {
      if (kept === undefined || wanted.renewSecret === true)
        made = `whsec_${Buffer.from(this.random.bytes(SECRET_BYTES)).toString("base64url")}`;
      secret = made ?? kept;
    } else {
      secret = wanted.password === undefined ? kept : (wanted.password ?? undefined);
      if (wanted.password === undefined && kept !== undefined && before && goesElsewhere(before.settings, settings))
        throw new SternwayError(
          "invalid",
          `the password of channel ${name} was given for another server or user: give it again`,
        );
      checkCredentials(wanted, secret);
    }
    const channel = { name, settings, secret, createdAt: before?.createdAt ?? this.clock.wall() };
    this.store.putChannel({ ...channel, settings: JSON.stringify(settings), secret: secret ?? null });
    this.channelsByName.set(name, channel);
    return { channel, ...(made === undefined ? {} : { made }) };
  }

  /** Takes it out of the rules too; a rule with no channel left goes. @throws not_found */
  deleteChannel(name: string): void {
    this.channel(name);
    this.store.deleteChannel(name);
    this.channelsByName.delete(name);
    for (const rule of this.rules()) {
      const channels = rule.settings.channels.filter((each) => each !== name);
      if (channels.length === 0) this.deleteRule(rule.name);
      else if (channels.length < rule.settings.channels.length)
        this.putRule({ ...rule, settings: { ...rule.settings, channels } });
    }
  }

  /** @throws conflict: the name is taken, or there are too many; not_found: a channel; invalid: the zone */
  createRule(name: string, settings: RuleSettings): Rule {
    if (this.rulesByName.has(name)) throw new SternwayError("conflict", `there is a rule ${name} already`);
    if (this.rulesByName.size >= RULES_MAX)
      throw new SternwayError("conflict", `an appliance has at most ${RULES_MAX} rules`, { rulesMax: RULES_MAX });
    return this.checkedRule({ name, settings, createdAt: this.clock.wall() });
  }

  /** @throws not_found: the rule, or a channel; invalid: the zone */
  setRule(name: string, settings: RuleSettings): Rule {
    return this.checkedRule({ ...this.rule(name), settings });
  }

  /** @throws not_found */
  deleteRule(name: string): void {
    this.rule(name);
    this.store.deleteRule(name);
    this.rulesByName.delete(name);
  }

  private checkedRule(rule: Rule): Rule {
    for (const channel of rule.settings.channels) this.channel(channel);
    const zone = rule.settings.quiet?.zone;
    if (zone !== undefined) checkZone(zone);
    return this.putRule(rule);
  }

  private putRule(rule: Rule): Rule {
    this.store.putRule({ ...rule, settings: JSON.stringify(rule.settings) });
    this.rulesByName.set(rule.name, rule);
    return rule;
  }
}

const byName = (a: { name: string }, b: { name: string }): number => (a.name < b.name ? -1 : 1);

function checkChannel(settings: ChannelSettings): void {
  if (settings.kind === "webhook" && new URL(settings.url).protocol === "http:" && !settings.plaintext)
    throw new SternwayError("invalid", "the webhook's address begins with http:// ; use https://, or allow plaintext");
  const { ca } = settings;
  if (ca === undefined) return;
  try {
    // Read only: what is no certificate would be found out at the first message otherwise.
    if (new X509Certificate(ca).subject === undefined) throw new Error("it has no subject");
  } catch (cause) {
    throw new SternwayError("invalid", "`ca` holds no certificate that can be read", {}, { cause });
  }
}

function checkCredentials(
  { user, security }: Extract<SetChannel, { kind: "email" }>,
  secret: string | undefined,
): void {
  if ((user === undefined) !== (secret === undefined))
    throw new SternwayError("invalid", "a mail channel has a user and a password, or neither of them");
  if (security === "none" && secret !== undefined)
    throw new SternwayError("invalid", "a password is never sent in the clear: use starttls or tls, or no user");
}

function goesElsewhere(before: ChannelSettings, now: ChannelSettings): boolean {
  if (before.kind !== "email" || now.kind !== "email") return false;
  return (["host", "port", "security", "user", "serverName", "ca"] as const).some((key) => before[key] !== now[key]);
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    // As if it were not there; see the constructor.
    return undefined;
  }
}
