/** What people are told of a vault's tiers, and when it is news. */
import type { CopyState } from "./copy-status.ts";
import type { TierCopy } from "./tier-copy.ts";
import type { Link } from "./tier-links.ts";

export interface ReplicationEvent {
  level: "info" | "warning" | "alert";
  kind:
    | "tier-online"
    | "tier-offline"
    | "tier-foreign"
    | "tier-lagging"
    | "tier-caught-up"
    | "tier-damaged"
    | "file-restored"
    | "vault-overtaken"
    | "vault-arrived";
  tier: string;
  message: string;
}

/** It lags beyond its RPO, or is within it again, as the link says. */
export function lagEvent({ settings: { name, rpoSeconds }, isLagging }: Link, lagSeconds: number): ReplicationEvent {
  if (!isLagging) {
    return {
      level: "info",
      kind: "tier-caught-up",
      tier: name,
      message: `tier ${name} is within ${rpoSeconds} s again`,
    };
  }
  const lag = lagSeconds.toFixed(1);
  const message = `tier ${name} lags ${lag} s behind; it should be ${rpoSeconds} s at the most`;
  return { level: "warning", kind: "tier-lagging", tier: name, message };
}

/** A copy came to another state. @returns undefined: that is no news */
export function stateEvent(link: Link, copy: TierCopy, before: CopyState): ReplicationEvent | undefined {
  const { name: tier, state } = copy;
  const { reason = "" } = copy.status();
  if (state === "online") {
    link.toldReasons.clear();
    return { level: "info", kind: "tier-online", tier, message: `tier ${tier} is equal to the vault` };
  }
  if (state === "offline" && isNews(link, reason)) {
    return { level: "warning", kind: "tier-offline", tier, message: `tier ${tier} is offline: ${reason}` };
  }
  if (state === "foreign" && before !== "foreign") {
    return { level: "alert", kind: "tier-foreign", tier, message: `tier ${tier}: ${reason}` };
  }
  return undefined;
}

/** Kept of one time away. */
const TOLD_REASONS_MAX = 8;

/** A place that is reached and takes nothing, such as a full disk, goes back and forth for as long as it is so: it is told once. */
function isNews({ toldReasons, tier }: Link, reason: string): boolean {
  // Without what is another one at each try: names of temporary files.
  const gist = reason.replace(`${tier.url} is offline: `, "").replace(/[0-9a-f]{8,}/g, "…");
  if (toldReasons.has(gist) || toldReasons.size >= TOLD_REASONS_MAX) return false;
  toldReasons.add(gist);
  return true;
}
