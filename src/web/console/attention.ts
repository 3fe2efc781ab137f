/**
 * What needs somebody, worst first, in sentences: the one list that a person at night reads. Pure; pages give it what the appliance said.
 */
import type { Health, ScrubStatus, WireAlarm, WireTier, WireVault, WireVolume } from "../../contract/contract.ts";
import type { WireForecast } from "../../contract/growth.ts";
import { ageSeconds, formatSize, percent, plural, sentence, spell } from "./words.ts";

export interface Attention {
  tone: "bad" | "warn";
  title: string;
  /** What it means and what to do. */
  detail: string;
  /** Where to do it. */
  to: string;
  /** On the link. */
  action: string;
}

/** What is known; parts that could not be had are left out. */
export interface Known {
  health?: Health | undefined;
  vaults?: readonly WireVault[] | undefined;
  tiers?: readonly WireTier[] | undefined;
  volumes?: readonly WireVolume[] | undefined;
  scrub?: ScrubStatus | undefined;
  /** Of the ransomware signals; those that somebody has looked into are left out. */
  alarms?: readonly WireAlarm[] | undefined;
  forecasts?: readonly { vault: string; forecast: WireForecast }[] | undefined;
}

/** From here on the space of a vault is worth a line. */
const FULL_PERCENT = 85;
const DAYS_LEFT_BAD = 7;
const DAYS_LEFT_WARN = 30;
/** A tier that is this many times behind what it should be is told as bad. */
const RPO_BAD_FACTOR = 10;

export function attentionOf(known: Known, nowMs: number): Attention[] {
  const list = [
    ...(known.alarms ?? []).flatMap((alarm) => ofAlarm(alarm, nowMs)),
    ...(known.vaults ?? []).flatMap(ofVault),
    ...(known.tiers ?? []).flatMap((tier) => ofTier(tier, nowMs)),
    ...(known.scrub?.vaults ?? []).flatMap(({ vault, quarantined }): Attention[] =>
      quarantined === 0
        ? []
        : [
            {
              tone: "bad",
              title: `${plural(quarantined, "block")} in vault ${vault} ${quarantined === 1 ? "is" : "are"} damaged`,
              detail: "No good copy was found. A check says which moments are affected; all others are whole.",
              to: "/vaults",
              action: "Run a check",
            },
          ],
    ),
    ...(known.forecasts ?? []).flatMap(ofForecast),
    ...ofUntouched(known.volumes ?? []),
    ...ofHealth(known),
  ];
  return list.sort((a, b) => (a.tone === b.tone ? 0 : a.tone === "bad" ? -1 : 1));
}

function ofAlarm(alarm: WireAlarm, nowMs: number): Attention[] {
  if (alarm.acknowledged) return [];
  const kept =
    alarm.hold === undefined
      ? "The moment before could not be held: make a hold of it."
      : "The moment before is held and stays.";
  const now = alarm.state === "open" ? "It goes on. Disconnect the machine first." : "It is over.";
  return [
    {
      tone: "bad",
      title: `Files on ${alarm.volume ?? "a volume"} look as if they were encrypted by somebody`,
      detail: `Noticed ${spell(ageSeconds(alarm.raisedAt, nowMs))} ago. ${now} ${kept}`,
      to: "/alarms",
      action: "See the alarm",
    },
  ];
}

function ofVault(vault: WireVault): Attention[] {
  const found: Attention[] = [];
  const why = vault.reason === undefined ? "" : sentence(vault.reason);
  const link = { to: "/vaults", action: "Open the vaults" } as const;
  const disks = plural(vault.volumeCount, "volume");
  const are = vault.volumeCount === 1 ? "is" : "are";
  if (vault.state === "locked") {
    found.push({
      tone: "bad",
      title: `Vault ${vault.name} is locked`,
      detail: `It needs its key. Until then its ${disks} cannot be written to or restored.`,
      to: "/vaults",
      action: "Unlock it",
    });
  } else if (vault.state === "closed") {
    found.push({
      tone: "warn",
      title: `Vault ${vault.name} is closed`,
      detail: `Its ${disks} ${are} not served. ${why}`,
      ...link,
    });
  } else if (vault.state === "damaged" || vault.state === "missing" || vault.state === "unavailable") {
    found.push({
      tone: "bad",
      title: `Vault ${vault.name} is ${vault.state}`,
      detail: why || `Its ${disks} ${are} not served.`,
      ...link,
    });
  } else if (vault.state === "read-only") {
    found.push({
      tone: "warn",
      title: `Vault ${vault.name} is read-only`,
      detail: why || "Nothing new is protected in it.",
      ...link,
    });
  }
  const status = vault.status;
  if (status && status.totalBytes > 0) {
    const used = percent(status.totalBytes - status.freeBytes, status.totalBytes);
    if (used >= FULL_PERCENT) {
      found.push({
        tone: used >= 95 ? "bad" : "warn",
        title: `The disk of vault ${vault.name} is ${Math.floor(used)} % full`,
        detail: `${formatSize(status.freeBytes)} are left. When nothing is left, writes of the protected disks are refused. Add space, or keep history for less long.`,
        to: "/retention",
        action: "Look at what is kept",
      });
    }
  }
  return found;
}

function ofTier(tier: WireTier, nowMs: number): Attention[] {
  const name = `Tier ${tier.name} of vault ${tier.vault}`;
  const link = { to: "/tiers", action: "Open the tiers" } as const;
  const since = tier.since === undefined ? "" : ` for ${spell(ageSeconds(tier.since, nowMs))}`;
  const why = tier.reason === undefined ? "" : sentence(tier.reason);
  if (tier.state === "foreign" || tier.state === "overtaken") {
    const detail =
      tier.state === "foreign"
        ? "Another installation writes to this place. Nothing of ours goes there until that is settled."
        : "Another appliance took this vault over. If nobody meant that, find out who has the credentials.";
    return [{ tone: "bad", title: `${name} is not ours any more`, detail: `${detail} ${why}`.trim(), ...link }];
  }
  if (tier.state === "offline") {
    return [
      {
        tone: "warn",
        title: `${name} has been out of reach${since}`,
        detail: `${why} ${formatSize(tier.lagBytes)} wait for it; here nothing is lost.`.trim(),
        ...link,
      },
    ];
  }
  if (tier.state === "online" && tier.mode !== "scheduled" && tier.lagSeconds > 2 * tier.rpoSeconds) {
    return [
      {
        tone: tier.lagSeconds > RPO_BAD_FACTOR * tier.rpoSeconds ? "bad" : "warn",
        title: `${name} is ${spell(tier.lagSeconds)} behind`,
        detail: `It should be at most ${spell(tier.rpoSeconds)}. ${formatSize(tier.lagBytes)} wait: the line or the place may be too slow.`,
        ...link,
      },
    ];
  }
  return [];
}

function ofForecast({ vault, forecast }: { vault: string; forecast: WireForecast }): Attention[] {
  if (forecast.kind !== "ends" || forecast.daysLeft > DAYS_LEFT_WARN) return [];
  const { daysLeft } = forecast;
  return [
    {
      tone: daysLeft <= DAYS_LEFT_BAD ? "bad" : "warn",
      title: `The space of vault ${vault} ends in ${plural(Math.max(1, Math.floor(daysLeft)), "day")}`,
      detail: "At the pace of the last weeks. Add space, or keep history for less long.",
      to: "/retention",
      action: "Look at what is kept",
    },
  ];
}

/** Reasons that the appliance gives, less those that a line above tells better. */
function ofHealth({ health, vaults, tiers }: Known): Attention[] {
  const told = [
    ...(vaults ?? []).filter((vault) => vault.state !== "writable").map((vault) => `vault ${vault.name}`),
    ...(tiers ?? []).filter((tier) => tier.state !== "online").map((tier) => `tier ${tier.name}`),
  ];
  return (health?.reasons ?? [])
    .filter((reason) => !told.some((name) => new RegExp(`\\b${escaped(name)}(?![\\w.-])`).test(reason)))
    .map((reason): Attention => ({
      tone: /critical|refused/.test(reason) ? "bad" : "warn",
      title: sentence(reason),
      detail: "",
      to: "/settings",
      action: "See the appliance's health",
    }));
}

const escaped = (text: string): string => text.replaceAll(/[.*+?^${}()|[\]\\]/g, String.raw`\$&`);

/** When a vault's space ends, in a few words; undefined: nothing worth saying. */
export function forecastSentence(forecast: WireForecast): string | undefined {
  switch (forecast.kind) {
    case "not-enough-data":
      return `How long the space lasts can be told after ${plural(Math.ceil(forecast.needDays), "day")}.`;
    case "not-growing":
      return "The space does not shrink.";
    case "ends":
      return forecast.daysLeft > 5 * 365
        ? "The space lasts for years."
        : `At this pace the space lasts for ${spell(forecast.daysLeft * 86_400)}; ${formatSize(Math.max(0, forecast.bytesPerDay))} a day go.`;
  }
}

/** Made, and never written to: its machine is not protected, whatever the person who made it believes. A branch holds what it began with. */
export function isUntouched({ lastLsn, createdLsn, origin }: WireVolume): boolean {
  return origin === undefined && lastLsn <= createdLsn;
}

function ofUntouched(volumes: readonly WireVolume[]): Attention[] {
  const [first, ...others] = volumes.filter(isUntouched);
  if (!first) return [];
  const detail = "A disk is protected from the first write on. Connect the machine, or delete what is not wanted.";
  if (others.length === 0) {
    const to = `/protect/${encodeURIComponent(first.name)}`;
    return [{ tone: "warn", title: `${first.name} waits for its first write`, detail, to, action: "Connect it" }];
  }
  const title = `${plural(others.length + 1, "disk")} wait for their first write`;
  return [{ tone: "warn", title, detail, to: "/volumes", action: "See the volumes" }];
}

/** The overview's first line: what is protected, in one sentence. */
export function protectionSentence(all: readonly WireVolume[]): string {
  const volumes = all.filter((volume) => !isUntouched(volume));
  if (volumes.length === 0) return "Nothing is protected yet.";
  const bytes = volumes.reduce((sum, volume) => sum + volume.sizeBytes, 0);
  const attached = volumes.filter((volume) => volume.attached > 0).length;
  const connected =
    attached === 0
      ? "none is connected now"
      : attached === volumes.length
        ? volumes.length === 1
          ? "it is connected"
          : "all are connected"
        : `${attached} of them connected now`;
  return `${plural(volumes.length, "disk")} of ${formatSize(bytes)} ${volumes.length === 1 ? "is" : "are"} protected; ${connected}.`;
}

/** How a tier stands, in a few words. */
export function tierFreshness(tier: WireTier): { words: string; tone: "good" | "warn" | "bad" | "plain" } {
  if (tier.state === "foreign" || tier.state === "overtaken") return { words: "not ours", tone: "bad" };
  if (tier.state === "connecting") return { words: "connecting", tone: "plain" };
  if (tier.state === "unsynchronised") return { words: "being brought up", tone: "plain" };
  if (tier.state === "offline") {
    return {
      words: tier.lagSeconds > 0 ? `out of reach, ${spell(tier.lagSeconds)} behind` : "out of reach",
      tone: "warn",
    };
  }
  if (tier.lagBytes === 0 || tier.lagSeconds === 0) return { words: "up to date", tone: "good" };
  const late = tier.mode !== "scheduled" && tier.lagSeconds > 2 * tier.rpoSeconds;
  return { words: `${spell(tier.lagSeconds)} behind`, tone: late ? "warn" : "good" };
}
