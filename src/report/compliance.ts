/** What rules are in force: how long histories are kept, what nobody can delete, what is encrypted, who can get in. */
import { EVENTS_MAX, count, had, section, timeCell, type Body, type Finding } from "./parts.ts";
import type { ReportCell } from "../contract/reports.ts";
import type { Range, ReportSources } from "./sources.ts";

const EVENTS = [
  "retention-set",
  "retention-cleared",
  "retention-locked",
  "hold-made",
  "hold-released",
  "volume-deleted",
  "vault-deleted",
  "tier-removed",
  "vault-unlock-denied",
  "clock-ahead",
];

export async function complianceReport(sources: ReportSources, range: Range): Promise<Body> {
  const findings: Finding[] = [];
  const { kept, holds } = await keptRows(sources);
  const vaults = await vaultRows(sources, findings);
  const events = sources.events({ ...range, kinds: EVENTS, limit: EVENTS_MAX });
  const accounts = sources.accounts?.();
  const bare = (accounts ?? []).filter(
    ({ role, secondFactor, signsInBy }) => role === "administrator" && !secondFactor && signsInBy === "password",
  );
  if (bare.length > 0)
    findings.push({
      level: "warning",
      text: `${count(bare.length, "administrator")} without a second factor: ${bare.map(({ name }) => name).join(", ")}.`,
    });
  const unlocked = kept.filter((row) => row["lockDays"] === 0);
  if (unlocked.length > 0)
    findings.push({
      level: "warning",
      text: `${count(unlocked.length, "volume")} without a lock: administrators can delete their history.`,
    });
  if (findings.length === 0)
    findings.push({ level: "good", text: "Every vault is encrypted and every history is locked." });
  return {
    findings,
    sections: [
      section(
        "Histories",
        [
          ["volume", "Volume", "text"],
          ["vault", "Vault", "text"],
          ["policy", "Keeps", "text"],
          ["everyWriteFrom", "Every write from", "time"],
          ["points", "Points before", "count"],
          ["lockDays", "Locked for days", "count"],
          ["holds", "Holds", "count"],
          ["note", "Note", "text"],
        ],
        kept,
        { about: "What is younger than the lock can be let go of by nobody, administrators included." },
      ),
      section(
        "Holds",
        [
          ["volume", "Volume", "text"],
          ["hold", "Hold", "text"],
          ["moment", "Moment", "time"],
          ["since", "Since", "time"],
          ["note", "Note", "text"],
        ],
        holds,
      ),
      section(
        "Vaults and tiers",
        [
          ["vault", "Vault", "text"],
          ["state", "State", "text"],
          ["encrypted", "Encrypted", "yes-no"],
          ["tiers", "Also kept at", "text"],
        ],
        vaults,
      ),
      ...(accounts === undefined ? [] : [accountSection(accounts)]),
      section(
        "Changes of the rules",
        [
          ["time", "Time", "time"],
          ["kind", "What", "text"],
          ["subject", "Of", "text"],
          ["message", "Words", "text"],
        ],
        events.map(({ time, kind, subject, message }) => ({ time: timeCell(time), kind, subject, message })),
      ),
    ],
  };
}

async function keptRows(sources: ReportSources) {
  const kept: Record<string, ReportCell>[] = [];
  const holds: Record<string, ReportCell>[] = [];
  for (const { name, vault } of sources.volumes().sort((a, b) => (a.name < b.name ? -1 : 1))) {
    const state = await had(() => sources.retention(name));
    const held = await had(() => sources.holds(name));
    const { fact } = state;
    kept.push({
      volume: name,
      vault,
      policy: fact ? (fact.policy ? sources.policyText(fact.policy) : "everything") : null,
      everyWriteFrom: timeCell(fact?.horizon.time),
      points: fact?.points.length ?? null,
      lockDays: fact ? Math.floor(fact.lockMicros / 86_400e6) : null,
      holds: held.fact?.length ?? null,
      note: state.fact === undefined ? state.why : null,
    });
    for (const hold of held.fact ?? [])
      holds.push({
        volume: name,
        hold: hold.name,
        moment: timeCell(hold.time),
        since: timeCell(hold.createdAt),
        note: hold.note,
      });
  }
  return { kept, holds };
}

async function vaultRows(sources: ReportSources, findings: Finding[]): Promise<Record<string, ReportCell>[]> {
  const rows: Record<string, ReportCell>[] = [];
  for (const { name, state, encrypted } of await sources.vaults()) {
    const tiers = await had(() => sources.tiers(name));
    const listed = tiers.fact?.map((tier) => `${tier.name} (${tier.mode}, ${tier.state})`).join("; ");
    rows.push({ vault: name, state, encrypted: encrypted ?? null, tiers: tiers.fact ? (listed ?? "") : tiers.why });
    if (encrypted === false) findings.push({ level: "warning", text: `Vault ${name} is not encrypted.` });
    if (tiers.fact?.length === 0)
      findings.push({ level: "warning", text: `Vault ${name} is kept on this machine alone.` });
  }
  return rows;
}

function accountSection(accounts: ReturnType<NonNullable<ReportSources["accounts"]>>) {
  return section(
    "Accounts",
    [
      ["account", "Account", "text"],
      ["role", "Role", "text"],
      ["signsInBy", "Signs in by", "text"],
      ["secondFactor", "Second factor", "yes-no"],
      ["signedInAt", "Last signed in", "time"],
    ],
    accounts.map(({ name, role, signsInBy, secondFactor, signedInAt }) => ({
      account: name,
      role,
      signsInBy,
      secondFactor,
      signedInAt: signedInAt ?? null,
    })),
  );
}
