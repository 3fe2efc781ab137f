/** The client's methods for signals and alarms. */
import {
  alarmListSchema,
  alarmSchema,
  signalSettingsSchema,
  volumeSignalsSchema,
  type WireAlarm,
  type WireVolumeSignals,
} from "./signals.ts";
import { sendForJson, type ClientTarget } from "./transport.ts";

export function signalClient(target: ClientTarget) {
  const path = (volume: string): string => `/v1/volumes/${encodeURIComponent(volume)}/signals`;
  return {
    alarms: (page: { before?: number; limit?: number } = {}) =>
      sendForJson(target, { method: "GET", path: "/v1/alarms", query: { ...page } }, alarmListSchema),
    acknowledgeAlarm: (
      id: number,
      answer: { verdict: NonNullable<WireAlarm["acknowledged"]>["verdict"]; note?: string },
    ) => sendForJson(target, { method: "POST", path: `/v1/alarms/${id}/acknowledge`, body: answer }, alarmSchema),
    /** @param range - `from` and `to` are moments; `buckets` 1 to 2,000 */
    signals: (volume: string, range: { from?: string; to?: string; buckets?: number } = {}) =>
      sendForJson(target, { method: "GET", path: path(volume), query: { ...range } }, volumeSignalsSchema),
    setSignals: (volume: string, settings: Pick<WireVolumeSignals, "sensitivity">) =>
      sendForJson(target, { method: "PUT", path: path(volume), body: settings }, signalSettingsSchema),
  };
}
