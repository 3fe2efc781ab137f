/** The client's methods for notifications, growth and reports; `client.ts` has them among its own. */
import { growthSchema } from "./growth.ts";
import {
  channelListSchema,
  channelMadeSchema,
  channelSchema,
  deliveryListSchema,
  eventKindListSchema,
  ruleListSchema,
  ruleSchema,
  testResultSchema,
  channelSettingsSchema,
  type ChannelSettings,
  type CreateChannelInput,
  type RuleSettings,
  type RuleSettingsInput,
  type SetChannelInput,
} from "./notify.ts";
import { reportListSchema, reportSchema, type ReportFormat, type ReportKind } from "./reports.ts";
import { revise } from "./revise.ts";
import { send, sendForJson, type ClientTarget } from "./transport.ts";

const channelPath = (name: string): string => `/v1/channels/${encodeURIComponent(name)}`;
const rulePath = (name: string): string => `/v1/rules/${encodeURIComponent(name)}`;

/** Times in a range: RFC 3339, an age such as `-7d`, or `now`. */
type Range = { from?: string; to?: string };

export function notifyClient(target: ClientTarget) {
  return {
    channels: async () =>
      (await sendForJson(target, { method: "GET", path: "/v1/channels" }, channelListSchema)).channels,
    channel: (name: string) => sendForJson(target, { method: "GET", path: channelPath(name) }, channelSchema),
    /** @returns a webhook's secret too, which is shown this once */
    createChannel: (channel: CreateChannelInput) =>
      sendForJson(target, { method: "POST", path: "/v1/channels", body: channel }, channelMadeSchema),
    setChannel: (name: string, channel: SetChannelInput) =>
      sendForJson(target, { method: "PUT", path: channelPath(name), body: channel }, channelMadeSchema),
    /** Changes a channel out of what it is. @param revised - gets its settings; called again when somebody was faster @throws conflict: each time somebody was */
    reviseChannel: (name: string, revised: (now: ChannelSettings) => SetChannelInput) =>
      revise(target, channelPath(name), { read: channelSchema, answer: channelMadeSchema }, (channel) =>
        revised(channelSettingsSchema.parse(channel)),
      ),
    async deleteChannel(name: string): Promise<void> {
      await send(target, { method: "DELETE", path: channelPath(name) });
    },
    /** Sends a test message now. @throws unavailable: why it was not taken */
    testChannel: (name: string) =>
      sendForJson(target, { method: "POST", path: `${channelPath(name)}/test` }, testResultSchema),
    rules: async () => (await sendForJson(target, { method: "GET", path: "/v1/rules" }, ruleListSchema)).rules,
    rule: (name: string) => sendForJson(target, { method: "GET", path: rulePath(name) }, ruleSchema),
    createRule: (name: string, rule: RuleSettingsInput) =>
      sendForJson(target, { method: "POST", path: "/v1/rules", body: { name, ...rule } }, ruleSchema),
    setRule: (name: string, rule: RuleSettingsInput) =>
      sendForJson(target, { method: "PUT", path: rulePath(name), body: rule }, ruleSchema),
    /** Changes a rule out of what it is, as {@link reviseChannel} does. */
    reviseRule: (name: string, revised: (now: RuleSettings) => RuleSettingsInput) =>
      revise(target, rulePath(name), { read: ruleSchema, answer: ruleSchema }, ({ name: _, createdAt: __, ...now }) =>
        revised(now),
      ),
    async deleteRule(name: string): Promise<void> {
      await send(target, { method: "DELETE", path: rulePath(name) });
    },
    deliveries: (page: { channel?: string; before?: number; limit?: number } = {}) =>
      sendForJson(target, { method: "GET", path: "/v1/deliveries", query: { ...page } }, deliveryListSchema),
    eventKinds: async () =>
      (await sendForJson(target, { method: "GET", path: "/v1/event-kinds" }, eventKindListSchema)).kinds,
    growth: (query: Range & { vault?: string } = {}) =>
      sendForJson(target, { method: "GET", path: "/v1/growth", query: { ...query } }, growthSchema),
    reports: async () => (await sendForJson(target, { method: "GET", path: "/v1/reports" }, reportListSchema)).reports,
    report: (kind: ReportKind, range: Range = {}) =>
      sendForJson(
        target,
        { method: "GET", path: `/v1/reports/${kind}`, query: { ...range, format: "json" } },
        reportSchema,
      ),
    /** The report as a text of that format. */
    reportText: async (kind: ReportKind, format: ReportFormat, range: Range = {}): Promise<string> =>
      (await send(target, { method: "GET", path: `/v1/reports/${kind}`, query: { ...range, format } })).text(),
    /** Queues it for a notification channel. */
    async sendReport(kind: ReportKind, channel: string, range: Range = {}): Promise<void> {
      await send(target, { method: "POST", path: `/v1/reports/${kind}/send`, body: { channel, ...range } });
    },
  };
}
