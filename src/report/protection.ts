/** How well everything is protected: each volume's reach back, each tier's objective kept or missed, and the gaps. */
import { micros, type Micros } from "../base/units.ts";
import type { CatalogEvent } from "../catalog/catalog.ts";
import type { WireTier, WireVault } from "../contract/contract.ts";
import type { ReportCell } from "../contract/reports.ts";
import { BEGINNING, count, EVENTS_MAX, had, secondsOf, section, timeCell, type Body, type Finding } from "./parts.ts";
import type { Range, ReportSources } from "./sources.ts";
import { coveredSeconds, spansOf, type Span } from "./spans.ts";

const MISSED = { begin: ["tier-lagging"], end: ["tier-caught-up", "tier-removed"] };
const AWAY = { begin: ["tier-offline", "tier-foreign"], end: ["tier-online", "tier-removed"] };
const VAULT_DOWN = {
  begin: ["vault-locked", "vault-closed", "vault-damaged", "vault-missing", "vault-unavailable"],
  end: ["vault-opened", "vault-deleted", "vault-forgotten"],
};
const SEAL = { begin: ["seal-trouble"], end: ["seal-recovered"] };
const FULL = { begin: ["space-critical"], end: ["space-back", "space-low"] };

export async function protectionReport(sources: ReportSources, range: Range): Promise<Body> {
  const findings: Finding[] = [];
  const volumes = await volumeRows(sources, findings);
  const { tiers, missed } = await tierRows(sources, range, findings);
  const gaps = gapRows(sources, range);
  if (gaps.length > 0)
    findings.push({
      level: "warning",
      text: `${count(gaps.length, "gap")} in which something was not protected as usual.`,
    });
  if (findings.length === 0)
    findings.push({ level: "good", text: "Every volume is protected, and every tier kept its objective." });
  return {
    findings,
    sections: [
      section(
        "Volumes",
        [
          ["volume", "Volume", "text"],
          ["vault", "Vault", "text"],
          ["sizeBytes", "Size", "bytes"],
          ["lastWriteAt", "Last write", "time"],
          ["everyWriteFrom", "Every write from", "time"],
          ["oldest", "Oldest moment", "time"],
          ["reachDays", "Days back", "count"],
          ["policy", "Keeps", "text"],
          ["holds", "Holds", "count"],
          ["clients", "Clients now", "count"],
          ["note", "Note", "text"],
        ],
        volumes,
      ),
      section(
        "Tiers and their recovery point objectives",
        [
          ["vault", "Vault", "text"],
          ["tier", "Tier", "text"],
          ["mode", "Mode", "text"],
          ["state", "State now", "text"],
          ["rpoSeconds", "Objective", "seconds"],
          ["lagSeconds", "Behind now", "seconds"],
          ["misses", "Times missed", "count"],
          ["missedSeconds", "Missed for", "seconds"],
          ["awaySeconds", "Out of reach for", "seconds"],
          ["keptPercent", "Kept", "percent"],
        ],
        tiers,
        { about: "Kept: the share of the range in which the tier was within reach and within its objective." },
      ),
      section(
        "Objectives missed",
        [
          ["subject", "Tier", "text"],
          ["from", "From", "time"],
          ["to", "To", "time"],
          ["seconds", "For", "seconds"],
          ["isOpen", "Goes on", "yes-no"],
          ["why", "Why", "text"],
        ],
        missed,
      ),
      section(
        "Gaps",
        [
          ["what", "What", "text"],
          ["subject", "Of", "text"],
          ["from", "From", "time"],
          ["to", "To", "time"],
          ["seconds", "For", "seconds"],
          ["isOpen", "Goes on", "yes-no"],
          ["why", "Why", "text"],
        ],
        gaps,
        { about: "When the appliance did not run, or a vault did not take writes." },
      ),
    ],
  };
}

async function volumeRows(sources: ReportSources, findings: Finding[]): Promise<Record<string, ReportCell>[]> {
  const volumes = sources.volumes().sort((a, b) => (a.name < b.name ? -1 : 1));
  const rows: Record<string, ReportCell>[] = [];
  for (const { name, vault, sizeBytes, lastWriteAt, attached } of volumes) {
    const kept = await had(() => sources.retention(name));
    const { fact } = kept;
    const oldest = fact ? Math.min(fact.horizon.time, fact.points[0]?.time ?? Number.POSITIVE_INFINITY) : undefined;
    rows.push({
      volume: name,
      vault,
      sizeBytes,
      lastWriteAt: timeCell(lastWriteAt),
      everyWriteFrom: timeCell(fact?.horizon.time),
      oldest: timeCell(oldest),
      reachDays: oldest === undefined ? null : Math.max(0, Math.floor((sources.now() - oldest) / 86_400e6)),
      policy: fact ? (fact.policy ? sources.policyText(fact.policy) : "everything") : null,
      holds: fact ? sources.holds(name).length : null,
      clients: attached,
      note: kept.fact === undefined ? kept.why : null,
    });
  }
  for (const { name, state, reason, volumeCount } of await sources.vaults()) {
    if (["writable", "read-only"].includes(state)) continue;
    findings.push({
      level: "bad",
      text: `Vault ${name} with ${count(volumeCount, "volume")} is ${state}: ${reason ?? "its reason is not known"}.`,
    });
  }
  if (volumes.length === 0 && (await sources.vaults()).every(({ volumeCount }) => volumeCount === 0))
    findings.push({ level: "warning", text: "No volume is protected." });
  return rows;
}

async function tierRows(sources: ReportSources, range: Range, findings: Finding[]) {
  const kinds = [...MISSED.begin, ...MISSED.end, ...AWAY.begin, ...AWAY.end];
  const events = sources.events({ from: BEGINNING, to: range.to, kinds: [...new Set(kinds)], limit: EVENTS_MAX });
  const misses = spansOf(events, MISSED, range);
  const aways = spansOf(events, AWAY, range);
  const tiers: Record<string, ReportCell>[] = [];
  for (const vault of await sources.vaults()) {
    const listed = await had(() => sources.tiers(vault.name));
    for (const tier of listed.fact ?? []) tiers.push(tierRow(vault, tier, range, misses, aways, findings));
  }
  return { tiers, missed: [...misses, ...aways].sort((a, b) => a.from - b.from).map(spanRow) };
}

function tierRow(
  { name: vault }: WireVault,
  { name: tier, mode, state, rpoSeconds, lagSeconds, reason }: WireTier,
  range: Range,
  allMisses: readonly Span[],
  allAways: readonly Span[],
  findings: Finding[],
): Record<string, ReportCell> {
  const isOurs = ({ subject }: Span): boolean => subject === `${vault}/${tier}`;
  const misses = allMisses.filter(isOurs);
  const aways = allAways.filter(isOurs);
  const bad = coveredSeconds([...misses, ...aways]);
  const keptPercent = Math.round(Math.max(0, 1 - bad / Math.max(1, secondsOf(range))) * 1_000) / 10;
  if (state !== "online" && state !== "connecting")
    findings.push({
      level: "bad",
      text: `Tier ${tier} of vault ${vault} is ${state}${reason === undefined ? "" : `: ${reason}`}.`,
    });
  if (misses.length > 0)
    findings.push({
      level: "warning",
      text: `Tier ${tier} of vault ${vault} missed its objective of ${rpoSeconds} s ${count(misses.length, "time")}.`,
    });
  return {
    vault,
    tier,
    mode,
    state,
    rpoSeconds,
    lagSeconds,
    misses: misses.length,
    missedSeconds: coveredSeconds(misses),
    awaySeconds: coveredSeconds(aways),
    keptPercent,
  };
}

function spanRow({ subject, from, to, isOpen, why }: Span): Record<string, ReportCell> {
  return { subject, from: timeCell(from), to: timeCell(to), seconds: secondsOf({ from, to }), isOpen, why };
}

function gapRows(sources: ReportSources, range: Range): Record<string, ReportCell>[] {
  const watched = [VAULT_DOWN, SEAL, FULL];
  const kinds = ["started", "stopped", ...watched.flatMap(({ begin, end }) => [...begin, ...end])];
  const events = sources.events({ from: BEGINNING, to: range.to, kinds, limit: EVENTS_MAX });
  const spans = [
    ...standstills(sources, events, range).map((span) => ({ what: "the appliance did not run", span })),
    ...spansOf(events, VAULT_DOWN, range).map((span) => ({ what: "a vault was not open", span })),
    ...spansOf(events, SEAL, range).map((span) => ({ what: "sealing was in trouble", span })),
    ...spansOf(events, FULL, range).map((span) => ({ what: "space was critical", span })),
  ];
  return spans.sort((a, b) => a.span.from - b.span.from).map(({ what, span }) => ({ what, ...spanRow(span) }));
}

/** Between a stop and the next start; after a crash, from the last that was heard. */
function standstills(sources: ReportSources, events: readonly CatalogEvent[], range: Range): Span[] {
  const spans: Span[] = [];
  let isFirst = true;
  let stoppedAt: Micros | undefined;
  for (const { kind, time } of events) {
    if (kind === "stopped") stoppedAt = time;
    if (kind !== "started") continue;
    const last = stoppedAt ?? (isFirst ? undefined : sources.events({ from: BEGINNING, to: time, limit: 1 })[0]?.time);
    if (last !== undefined && time > range.from && time > last) {
      const why =
        stoppedAt === undefined ? "it ended without a stop; from the last that was heard of it" : "it was stopped";
      spans.push({ subject: "appliance", from: micros(Math.max(last, range.from)), to: time, isOpen: false, why });
    }
    stoppedAt = undefined;
    isFirst = false;
  }
  return spans;
}
