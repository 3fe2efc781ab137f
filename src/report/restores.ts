/** What was got back: restores, imports, rollbacks and branches, with how they ended and who asked. */
import { jobSection, jobsOf } from "./jobs.ts";
import { count, EVENTS_MAX, had, section, timeCell, type Body, type Finding } from "./parts.ts";
import type { Range, ReportSources } from "./sources.ts";

const JOBS = ["restore", "rollback", "import"];
const EVENTS = ["volume-rolled-back", "volume-branched", "vault-opened-from-tier", "vault-taken-over"];

export async function restoresReport(sources: ReportSources, range: Range): Promise<Body> {
  const jobs = jobsOf(sources, range, JOBS);
  const events = sources.events({ ...range, kinds: EVENTS, limit: EVENTS_MAX });
  const failed = jobs.filter(({ state }) => state !== "done" && state !== "running");
  const findings: Finding[] = failed.map(({ kind, subject, state, error }) => ({
    level: "warning" as const,
    text: `${kind} of ${subject} ${state}${error === null ? "" : `: ${error}`}.`,
  }));
  if (failed.length === 0) {
    const text =
      jobs.length === 0
        ? "Nothing was restored in this time."
        : `${count(jobs.length, "job")} came to a good end or still run.`;
    findings.push({ level: "good", text });
  }
  const volumes = await had(() => sources.volumes());
  const sets = (volumes.fact ?? []).flatMap(({ name, origin }) =>
    origin ? [{ branch: name, of: origin.volume }] : [],
  );
  return {
    findings,
    sections: [
      jobSection("Restores, imports and rollbacks", "Why", jobs),
      section(
        "Changes of history",
        [
          ["time", "Time", "time"],
          ["kind", "What", "text"],
          ["subject", "Of", "text"],
          ["message", "Words", "text"],
        ],
        events.map(({ time, kind, subject, message }) => ({ time: timeCell(time), kind, subject, message })),
      ),
      section(
        "Branches that there are",
        [
          ["branch", "Branch", "text"],
          ["of", "Of volume", "text"],
        ],
        sets,
      ),
    ],
  };
}
