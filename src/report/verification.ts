/** Whether what is stored can be read: scrubs, checks, verified tiers, and what they found. */
import { jobSection, jobsOf } from "./jobs.ts";
import { count, EVENTS_MAX, section, timeCell, type Body, type Finding } from "./parts.ts";
import type { Range, ReportSources } from "./sources.ts";

const JOBS = ["check", "scrub", "verify-tier"];
const EVENTS = ["damage", "lost", "repaired", "file-restored", "vault-damaged"];

export async function verificationReport(sources: ReportSources, range: Range): Promise<Body> {
  const jobs = jobsOf(sources, range, JOBS);
  const events = sources.events({ ...range, kinds: EVENTS, limit: EVENTS_MAX });
  const { cycleDays, vaults } = sources.scrub();
  const findings: Finding[] = [];
  for (const { vault, quarantined, trouble, last } of vaults) {
    if (quarantined > 0)
      findings.push({
        level: "bad",
        text: `Vault ${vault} has ${count(quarantined, "block")} that are damaged and not brought back.`,
      });
    if (trouble !== undefined)
      findings.push({ level: "warning", text: `The scrub of vault ${vault} does not go on: ${trouble}.` });
    if (last === undefined)
      findings.push({
        level: "warning",
        text: `Vault ${vault} has not been scrubbed whole yet; a cycle takes ${cycleDays} days.`,
      });
  }
  const damages = events.filter(({ kind }) => kind === "damage" || kind === "lost");
  if (damages.length > 0)
    findings.push({ level: "bad", text: `${count(damages.length, "finding")} of damage in this time.` });
  if (findings.length === 0) findings.push({ level: "good", text: "Everything that was read was right." });
  return {
    findings,
    sections: [
      section(
        "Scrubs",
        [
          ["vault", "Vault", "text"],
          ["state", "State", "text"],
          ["cycle", "Cycle", "count"],
          ["startedAt", "Began", "time"],
          ["bytes", "Read", "bytes"],
          ["bytesLeft", "Left", "bytes"],
          ["findings", "Findings", "count"],
          ["restored", "Brought back", "count"],
          ["quarantined", "Damaged now", "count"],
          ["lastEndedAt", "Last whole cycle ended", "time"],
          ["lastFindings", "Its findings", "count"],
        ],
        vaults.map(
          ({ vault, state, cycle, startedAt, bytes, bytesLeft, findings: found, restored, quarantined, last }) => ({
            vault,
            state,
            cycle,
            startedAt,
            bytes,
            bytesLeft,
            findings: found,
            restored,
            quarantined,
            lastEndedAt: last?.endedAt ?? null,
            lastFindings: last?.findings ?? null,
          }),
        ),
        { about: `In ${cycleDays} days everything that is stored is read once.` },
      ),
      jobSection("Checks, scrubs and verified tiers that were asked for", "Result", jobs),
      section(
        "Findings and repairs",
        [
          ["time", "Time", "time"],
          ["level", "Level", "text"],
          ["kind", "What", "text"],
          ["subject", "Where", "text"],
          ["message", "Words", "text"],
        ],
        events.map(({ time, level, kind, subject, message }) => ({
          time: timeCell(time),
          level,
          kind,
          subject,
          message,
        })),
      ),
    ],
  };
}
