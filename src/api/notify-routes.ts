/** Routes of notifications: channels, rules, deliveries, and the kinds of events. What comes out never holds a secret but in the answer that made it. */
import type { OpenAPIHono } from "@hono/zod-openapi";
import { formatTime } from "../base/units.ts";
import { PAGE_DEFAULT, routes } from "../contract/contract.ts";
import { EVENT_KINDS } from "../contract/event-kinds.ts";
import type { SetChannel, WireChannel, WireChannelMade, WireDelivery, WireRule } from "../contract/notify.ts";
import type { Channel, Rule } from "../notify/notify.ts";
import type { ApiContext, ApiEnv } from "./appliance.ts";
import { recordEvent } from "./record.ts";

export function registerNotifyRoutes(app: OpenAPIHono<ApiEnv>, context: ApiContext): void {
  const { notifier, catalog } = context;
  const { directory } = notifier;
  const tell = (level: "info" | "warning", kind: string, subject: string, message: string): void =>
    recordEvent(context, { level, kind, subject, message });
  const wire = (channel: Channel): WireChannel => wireChannel(context, channel);
  const wireMade = ({ channel, made }: { channel: Channel; made?: string }): WireChannelMade => ({
    channel: wire(channel),
    ...(made === undefined ? {} : { secret: made }),
  });

  app.openapi(routes.listChannels, (c) => c.json({ channels: directory.channels().map(wire) }, 200));

  app.openapi(routes.createChannel, (c) => {
    const { name, ...wanted } = c.req.valid("json");
    const made = directory.createChannel(name, wanted);
    tell("info", "channel-added", name, `notifications can go to channel ${name} (${wanted.kind})`);
    return c.json(wireMade(made), 201, { location: `/v1/channels/${name}` });
  });

  app.openapi(routes.getChannel, (c) => c.json(wire(directory.channel(c.req.valid("param").name)), 200));

  app.openapi(routes.setChannel, (c) => {
    const { name } = c.req.valid("param");
    const wanted: SetChannel = c.req.valid("json");
    const made = directory.setChannel(name, wanted);
    notifier.channelChanged(name);
    tell("info", "channel-changed", name, `channel ${name} was changed`);
    return c.json(wireMade(made), 200);
  });

  app.openapi(routes.deleteChannel, (c) => {
    const { name } = c.req.valid("param");
    notifier.deleteChannel(name);
    tell("warning", "channel-removed", name, `notifications go to channel ${name} no more`);
    return c.body(null, 204);
  });

  app.openapi(routes.testChannel, async (c) => c.json(await notifier.test(c.req.valid("param").name), 200));

  app.openapi(routes.listRules, (c) => c.json({ rules: directory.rules().map(wireRule) }, 200));

  app.openapi(routes.createRule, (c) => {
    const { name, ...settings } = c.req.valid("json");
    const rule = directory.createRule(name, settings);
    tell("info", "rule-set", name, `rule ${name} sends notifications to ${settings.channels.join(", ")}`);
    return c.json(wireRule(rule), 201, { location: `/v1/rules/${name}` });
  });

  app.openapi(routes.getRule, (c) => c.json(wireRule(directory.rule(c.req.valid("param").name)), 200));

  app.openapi(routes.setRule, (c) => {
    const { name } = c.req.valid("param");
    const settings = c.req.valid("json");
    const rule = directory.setRule(name, settings);
    tell("info", "rule-set", name, `rule ${name} sends notifications to ${settings.channels.join(", ")}`);
    return c.json(wireRule(rule), 200);
  });

  app.openapi(routes.deleteRule, (c) => {
    const { name } = c.req.valid("param");
    directory.deleteRule(name);
    tell("warning", "rule-removed", name, `rule ${name} was removed`);
    return c.body(null, 204);
  });

  app.openapi(routes.listDeliveries, (c) => {
    const { channel, before, limit = PAGE_DEFAULT } = c.req.valid("query");
    const deliveries = catalog.notify
      .deliveries({ channel, before, limit })
      .map(({ content, nextAt, releasedAt: _, endedAt, lastError, createdAt, ...row }): WireDelivery => ({
        ...row,
        ...notifier.summary({ content, createdAt }),
        createdAt: formatTime(createdAt),
        ...(endedAt === null ? { nextAt: formatTime(nextAt) } : { endedAt: formatTime(endedAt) }),
        ...(lastError === null ? {} : { lastError }),
      }));
    const last = deliveries.at(-1);
    return c.json(deliveries.length < limit || !last ? { deliveries } : { deliveries, next: last.id }, 200);
  });

  app.openapi(routes.listEventKinds, (c) => {
    const kinds = Object.entries(EVENT_KINDS).map(([kind, words]) => ({ kind, ...words }));
    return c.json({ kinds }, 200);
  });
}

function wireChannel({ notifier }: ApiContext, { name, settings, secret, createdAt }: Channel): WireChannel {
  const { waiting, lastError } = notifier.channelState(name);
  return {
    name,
    ...settings,
    createdAt: formatTime(createdAt),
    hasSecret: secret !== undefined,
    state: !settings.enabled ? "disabled" : lastError === undefined ? "ok" : "failing",
    ...(lastError === undefined ? {} : { lastError }),
    waiting,
  };
}

const wireRule = ({ name, settings, createdAt }: Rule): WireRule => ({
  name,
  ...settings,
  createdAt: formatTime(createdAt),
});
