/** Sizes, times and progress. Times are drawn anew as they age. */
import type { ComponentChildren } from "preact";
import { useEffect, useId, useState } from "preact/hooks";
import { ago, formatSize, localTime } from "../words.ts";

export function Size({ bytes }: { bytes: number }) {
  return (
    <span class="nowrap" title={`${bytes.toLocaleString("en-US")} bytes`}>
      {formatSize(bytes)}
    </span>
  );
}

/** The present in milliseconds, anew every so often. */
export function useNow(everyMs = 1_000): number {
  const [now, setNow] = useState(() => Date.now());
  useEffect(() => {
    const timer = setInterval(() => setNow(Date.now()), everyMs);
    return () => clearInterval(timer);
  }, [everyMs]);
  return now;
}

/** @param props.at - RFC 3339 @param props.as - `ago` (with the local time on hover) or `local` */
export function Time({ at, as = "ago" }: { at: string; as?: "ago" | "local" }) {
  const now = useNow(10_000);
  const local = localTime(at);
  return (
    <time dateTime={at} title={as === "ago" ? local : at}>
      {as === "ago" ? ago(at, now) : local}
    </time>
  );
}

export interface ProgressProps {
  label: ComponentChildren;
  /** 0 to 1; undefined: how far it is cannot be told. */
  value: number | undefined;
  /** What is beside the label; by default the percentage. */
  detail?: ComponentChildren;
}

export function Progress({ label, value, detail }: ProgressProps) {
  const id = useId();
  const beside = detail ?? (value === undefined ? "" : `${Math.floor(value * 100)} %`);
  return (
    <div class="progress">
      <div class="progress-words">
        <span id={id}>{label}</span>
        <span class="quiet nowrap">{beside}</span>
      </div>
      <progress aria-labelledby={id} max={1} value={value} />
    </div>
  );
}
