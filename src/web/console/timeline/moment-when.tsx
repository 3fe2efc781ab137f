/** The time of a chosen moment, with its zone and how long ago it was. */
import { agoText, localText, zoneText } from "./time.ts";

/** @param props - times in microseconds */
export function MomentWhen({ time, now, zone }: { time: number; now: number; zone: string }) {
  return (
    <p class="moment-when" data-testid="moment">
      <strong>{localText(time, zone, "microsecond")}</strong> {zoneText(time, zone)}
      <span class="quiet"> · {agoText(time, now)}</span>
    </p>
  );
}
