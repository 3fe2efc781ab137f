/**
 * Notifications: channels (where they go), rules (who gets what), deliveries (what became of them), and the kinds of events that there are.
 *
 * Secrets go in and never come out: a password is kept and shown to nobody; a webhook's secret is made by the appliance and shown once, in the answer
 * that made it.
 */
import { createRoute, z } from "@hono/zod-openapi";
import { PAGE_MAX } from "./appliance.ts";
import { EVENT_LEVELS, EVENT_TOPICS } from "./event-kinds.ts";
import { countSchema, nameSchema, queryInteger, timeSchema } from "./fields.ts";
import { json, jsonBody, problem } from "./route-parts.ts";

/** Channels and rules that an appliance may have, each. */
export const CHANNELS_MAX = 32;
export const RULES_MAX = 200;
/** Who gets one channel's mails. */
const RECIPIENTS_MAX = 20;

/** No line's end and no blank may get into a header or a command of SMTP; RFC 5321 allows 254 characters. */
const ADDRESS = /^[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@[A-Za-z0-9](?:[A-Za-z0-9.-]{0,187}[A-Za-z0-9])?$/;
const addressSchema = z
  .string()
  .max(254)
  .regex(ADDRESS, "must be a mail address such as ops@example.org")
  .openapi({ example: "ops@example.org" });
const hostSchema = z
  .string()
  .max(253)
  .regex(/^(?:[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?|[0-9A-Fa-f:.]+)$/, "must be a host's name or address")
  .openapi({ example: "mail.example.org" });
const caSchema = z
  .string()
  .max(64 * 1024)
  .regex(/^-----BEGIN CERTIFICATE-----[\s\S]+-----END CERTIFICATE-----\s*$/, "must be certificates in PEM")
  .openapi({ description: "who signs the other side's certificate, where no public authority does; PEM" });
// eslint-disable-next-line no-control-regex -- what it refuses is control characters
const CREDENTIAL = /^[^\u0000-\u001f\u007f]+$/;

const commonFields = {
  enabled: z.boolean().default(true),
  details: z.enum(["full", "brief"]).default("full").openapi({
    description:
      "`brief` leaves out names and messages: kinds, levels and times only, for channels that others read too",
  }),
  hourlyMax: z.int().min(1).max(500).default(20).openapi({
    description: "messages in an hour; what comes above is gathered into one that says what was held back",
  }),
  gatherSeconds: z.int().min(0).max(3_600).default(60).openapi({
    description: "after a message, what follows within so many seconds comes together in the next",
  }),
};

const emailFields = {
  kind: z.literal("email"),
  host: hostSchema,
  port: z.int().min(1).max(65_535).default(587),
  security: z.enum(["starttls", "tls", "none"]).default("starttls").openapi({
    description: "`none` sends in the clear and takes no password; certificates are verified always",
  }),
  user: z.string().min(1).max(256).regex(CREDENTIAL, "must not hold control characters").optional(),
  serverName: hostSchema
    .optional()
    .openapi({ description: "the name in the server's certificate, where it is not `host`" }),
  ca: caSchema.optional(),
  from: addressSchema,
  to: z.array(addressSchema).min(1).max(RECIPIENTS_MAX),
};
const passwordField = z
  .string()
  .min(1)
  .max(1_024)
  .regex(CREDENTIAL, "must not hold control characters")
  .nullable()
  .optional()
  .openapi({ description: "kept and never shown; left out: as it is; null: none" });

const webhookFields = {
  kind: z.literal("webhook"),
  url: z
    .url({ protocol: /^https?$/ })
    .max(2_048)
    .refine((text) => !URL.canParse(text) || new URL(text).username === "", "must not hold a user or password")
    .openapi({ example: "https://hooks.example.org/sternway" }),
  plaintext: z.boolean().default(false).openapi({
    description: "allow http:// : others on the way can read it, and the signature alone proves who sent it",
  }),
  ca: caSchema.optional(),
};

/** What is kept of a channel, without its secret. */
export const channelSettingsSchema = z.discriminatedUnion("kind", [
  z.object({ ...commonFields, ...emailFields }),
  z.object({ ...commonFields, ...webhookFields }),
]);
export type ChannelSettings = z.output<typeof channelSettingsSchema>;

const shown = {
  name: nameSchema,
  createdAt: timeSchema,
  hasSecret: z.boolean().openapi({ description: "a password or secret is kept for it" }),
  state: z.enum(["ok", "failing", "disabled"]),
  lastError: z.string().optional().openapi({ description: "why the newest try failed" }),
  waiting: countSchema.openapi({ description: "messages that are not delivered yet" }),
};
export const channelSchema = z
  .discriminatedUnion("kind", [
    z.object({ ...shown, ...commonFields, ...emailFields }),
    z.object({ ...shown, ...commonFields, ...webhookFields }),
  ])
  .openapi("Channel");
export type WireChannel = z.output<typeof channelSchema>;
export const channelListSchema = z.object({ channels: z.array(channelSchema) }).openapi("ChannelList");

/** A channel as made or changed; the only answers that ever hold a webhook's secret. */
export const channelMadeSchema = z
  .object({
    channel: channelSchema,
    secret: z.string().optional().openapi({ description: "with which a webhook's calls are signed; shown this once" }),
  })
  .openapi("ChannelMade");
export type WireChannelMade = z.output<typeof channelMadeSchema>;

const changeSchema = z
  .discriminatedUnion("kind", [
    z.strictObject({ ...commonFields, ...emailFields, password: passwordField }),
    z.strictObject({
      ...commonFields,
      ...webhookFields,
      renewSecret: z.boolean().optional().openapi({ description: "make another secret; the old one signs no more" }),
    }),
  ])
  .openapi("SetChannel");
export type SetChannel = z.output<typeof changeSchema>;
export type SetChannelInput = z.input<typeof changeSchema>;
const createSchema = z
  .discriminatedUnion("kind", [
    z.strictObject({ name: nameSchema, ...commonFields, ...emailFields, password: passwordField }),
    z.strictObject({ name: nameSchema, ...commonFields, ...webhookFields }),
  ])
  .openapi("CreateChannel");
export type CreateChannelInput = z.input<typeof createSchema>;

const timeOfDay = z
  .string()
  .regex(/^(?:[01]\d|2[0-3]):[0-5]\d$/, "must be a time of day such as 22:00")
  .openapi({ example: "22:00" });
const zoneSchema = z
  .string()
  .max(64)
  .regex(/^[A-Za-z0-9_+/-]+$/, "must be a zone such as Europe/Berlin")
  .openapi({ example: "Europe/Berlin" });

export const ruleSettingsSchema = z.strictObject({
  channels: z.array(nameSchema).min(1).max(CHANNELS_MAX),
  enabled: z.boolean().default(true),
  level: z.enum(EVENT_LEVELS).default("warning").openapi({
    description: "this and worse; the end of a trouble that was told is told whatever its level",
  }),
  topics: z.array(z.enum(EVENT_TOPICS)).max(EVENT_TOPICS.length).optional().openapi({ description: "absent: all" }),
  kinds: z
    .array(z.string().regex(/^[a-z0-9-]{1,64}$/, "must be a kind such as tier-offline"))
    .max(100)
    .optional()
    .openapi({ description: "absent: all; GET /v1/event-kinds lists them" }),
  about: z
    .array(nameSchema)
    .max(100)
    .optional()
    .openapi({ description: "volumes, machines, vaults or tiers that the event names; absent: whatever it is about" }),
  quiet: z
    .strictObject({
      from: timeOfDay,
      to: timeOfDay,
      zone: zoneSchema.optional().openapi({ description: "whose hours; default: the appliance's" }),
      alsoAlerts: z.boolean().default(false).openapi({ description: "alerts wait too" }),
    })
    .optional()
    .openapi({ description: "what comes in these hours is gathered and sent at their end" }),
  remindHours: z
    .int()
    .min(0)
    .max(720)
    .default(24)
    .openapi({ description: "tell a trouble that goes on again after so many hours; 0: never" }),
});
export type RuleSettings = z.output<typeof ruleSettingsSchema>;
export type RuleSettingsInput = z.input<typeof ruleSettingsSchema>;
const ruleBody = ruleSettingsSchema.openapi("SetRule");
export const ruleSchema = z
  .object({ ...ruleSettingsSchema.shape, name: nameSchema, createdAt: timeSchema })
  .openapi("Rule");
export type WireRule = z.output<typeof ruleSchema>;
export const ruleListSchema = z.object({ rules: z.array(ruleSchema) }).openapi("RuleList");

export const DELIVERY_STATES = ["gathering", "waiting", "sent", "given-up"] as const;
export const deliverySchema = z
  .object({
    id: z.int().min(1),
    channel: z.string(),
    state: z.enum(DELIVERY_STATES).openapi({
      description: "`gathering`: more may join it; `waiting`: for its next try; `given-up`: after a day of tries",
    }),
    subject: z.string(),
    events: countSchema.openapi({ description: "that it tells; of a report 0" }),
    createdAt: timeSchema,
    attempts: countSchema,
    nextAt: timeSchema.optional().openapi({ description: "when it is tried next" }),
    endedAt: timeSchema.optional(),
    lastError: z.string().optional(),
  })
  .openapi("Delivery");
export type WireDelivery = z.output<typeof deliverySchema>;
export const deliveryListSchema = z
  .object({
    deliveries: z.array(deliverySchema),
    next: z.int().optional().openapi({ description: "pass as `before`" }),
  })
  .openapi("DeliveryList");

export const testResultSchema = z
  .object({ tookMs: z.number().min(0), message: z.string().openapi({ description: "what the other side answered" }) })
  .openapi("ChannelTest");
export type WireChannelTest = z.output<typeof testResultSchema>;

export const eventKindListSchema = z
  .object({
    kinds: z.array(
      z.object({
        kind: z.string(),
        topic: z.enum(EVENT_TOPICS),
        level: z.enum(EVENT_LEVELS).openapi({ description: "that it mostly has" }),
        title: z.string(),
        todo: z.string().openapi({ description: "what to do; empty where nothing is" }),
        ends: z.string().optional().openapi({ description: "the trouble that it ends" }),
        trouble: z.string().optional().openapi({ description: "the trouble that it begins" }),
      }),
    ),
  })
  .openapi("EventKindList");

const none = z.strictObject({});
const named = z.strictObject({ name: nameSchema });
const tags = ["notifications"];

export const listChannels = createRoute({
  method: "get",
  path: "/v1/channels",
  operationId: "listChannels",
  summary: "Where notifications go",
  tags,
  request: { query: none },
  responses: { 200: json("the channels, by name", channelListSchema), default: problem },
});

export const createChannel = createRoute({
  method: "post",
  path: "/v1/channels",
  operationId: "createChannel",
  summary: "Add a channel; the answer holds a webhook's secret, once",
  tags,
  request: { query: none, body: jsonBody(createSchema) },
  responses: { 201: json("the channel", channelMadeSchema), default: problem },
});

export const getChannel = createRoute({
  method: "get",
  path: "/v1/channels/{name}",
  operationId: "getChannel",
  summary: "One channel",
  tags,
  request: { params: named, query: none },
  responses: { 200: json("the channel", channelSchema), default: problem },
});

export const setChannel = createRoute({
  method: "put",
  path: "/v1/channels/{name}",
  operationId: "setChannel",
  summary: "Change a channel; its kind stays. A password is asked for again when it would go to another server or user",
  tags,
  request: { params: named, query: none, body: jsonBody(changeSchema) },
  responses: { 200: json("the channel", channelMadeSchema), default: problem },
});

export const deleteChannel = createRoute({
  method: "delete",
  path: "/v1/channels/{name}",
  operationId: "deleteChannel",
  summary: "Remove a channel with what waits for it; rules that name it lose it",
  tags,
  request: { params: named, query: none },
  responses: { 204: { description: "it is gone" }, default: problem },
});

export const testChannel = createRoute({
  method: "post",
  path: "/v1/channels/{name}/test",
  operationId: "testChannel",
  summary: "Send a test message now, past the queue",
  tags,
  request: { params: named, query: none },
  responses: { 200: json("it was taken", testResultSchema), default: problem },
});

export const listRules = createRoute({
  method: "get",
  path: "/v1/rules",
  operationId: "listRules",
  summary: "Who gets which notifications",
  tags,
  request: { query: none },
  responses: { 200: json("the rules, by name", ruleListSchema), default: problem },
});

export const createRule = createRoute({
  method: "post",
  path: "/v1/rules",
  operationId: "createRule",
  summary: "Add a rule",
  tags,
  request: {
    query: none,
    body: jsonBody(z.strictObject({ name: nameSchema, ...ruleSettingsSchema.shape }).openapi("CreateRule")),
  },
  responses: { 201: json("the rule", ruleSchema), default: problem },
});

export const getRule = createRoute({
  method: "get",
  path: "/v1/rules/{name}",
  operationId: "getRule",
  summary: "One rule",
  tags,
  request: { params: named, query: none },
  responses: { 200: json("the rule", ruleSchema), default: problem },
});

export const setRule = createRoute({
  method: "put",
  path: "/v1/rules/{name}",
  operationId: "setRule",
  summary: "Change a rule",
  tags,
  request: { params: named, query: none, body: jsonBody(ruleBody) },
  responses: { 200: json("the rule", ruleSchema), default: problem },
});

export const deleteRule = createRoute({
  method: "delete",
  path: "/v1/rules/{name}",
  operationId: "deleteRule",
  summary: "Remove a rule",
  tags,
  request: { params: named, query: none },
  responses: { 204: { description: "it is gone" }, default: problem },
});

export const listDeliveries = createRoute({
  method: "get",
  path: "/v1/deliveries",
  operationId: "listDeliveries",
  summary: "What became of notifications, newest first",
  tags,
  request: {
    query: z.strictObject({
      channel: nameSchema.optional(),
      before: queryInteger(1, Number.MAX_SAFE_INTEGER).optional(),
      limit: queryInteger(1, PAGE_MAX).optional(),
    }),
  },
  responses: { 200: json("one page", deliveryListSchema), default: problem },
});

export const listEventKinds = createRoute({
  method: "get",
  path: "/v1/event-kinds",
  operationId: "listEventKinds",
  summary: "The kinds of events that there are, and what to do about each",
  tags,
  request: { query: none },
  responses: { 200: json("the kinds", eventKindListSchema), default: problem },
});
