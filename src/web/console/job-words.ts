/** Jobs in words. Pure. */
import type { WireJob } from "../../contract/jobs.ts";
import { formatSize, plural, sentence, spell } from "./words.ts";

/** A line that a job told: which kind it is, and its facts. */
export interface JobLine {
  line: string;
  [fact: string]: unknown;
}

const KINDS: Record<string, string> = {
  check: "Check",
  scrub: "Scrub",
  gc: "Giving space back",
  "verify-tier": "Verifying a tier",
  "sync-tiers": "Bringing tiers up",
  import: "Import",
  restore: "Restore",
  rollback: "Rollback",
  bookmark: "Bookmark",
  report: "Report",
};

/** What a job does, as a title. */
export const jobTitle = (job: Pick<WireJob, "kind" | "subject">): string =>
  `${KINDS[job.kind] ?? sentence(job.kind.replaceAll("-", " ")).replace(/\.$/, "")}: ${job.subject}`;

export function jobTone(state: WireJob["state"]): "good" | "bad" | "warn" | "accent" | "plain" {
  switch (state) {
    case "running":
      return "accent";
    case "done":
      return "good";
    case "failed":
      return "bad";
    case "interrupted":
      return "warn";
    case "cancelled":
      return "plain";
  }
}

/** How long it took, or has been running. @param nowMs - milliseconds since 1970 */
export function jobLength(job: WireJob, nowMs: number): string {
  const end = job.finishedAt === undefined ? nowMs : Date.parse(job.finishedAt);
  return spell(Math.max(0, (end - Date.parse(job.startedAt)) / 1000));
}

/** One line of a job in words; its own fields where no better words are known. */
export function lineWords(line: JobLine): string {
  const text = (name: string): string => {
    const value = line[name];
    return typeof value === "string" || typeof value === "number" ? String(value) : "";
  };
  const number = (name: string): number => (typeof line[name] === "number" ? line[name] : 0);
  switch (line.line) {
    case "finding":
      return `${text("severity") || "found"}: ${text("subject") || text("object")}: ${text("message")}${line["repaired"] === true ? " (repaired)" : ""}`;
    case "repair":
      return `repair of ${text("subject")}: ${plural(number("lost"), "block")} without a copy${text("obstacle") === "" ? "" : `, ${text("obstacle")}`}`;
    case "thinned":
      return `${text("volume")}: ${plural(number("writes"), "write")} let go of, ${plural(number("pointCount"), "moment")} kept`;
    case "kept":
      return `${text("volume")}: kept, ${text("reason")}`;
    case "collected":
      return `vault ${text("vault")}: ${formatSize(number("freedBytes"))} given back`;
    case "failed":
      return "failed";
    case "end":
      return endWords(line);
    default:
      return Object.entries(line)
        .filter(([name, value]) => name !== "line" && typeof value !== "object")
        .map(([name, value]) => `${name}: ${String(value)}`)
        .join(", ");
  }
}

function endWords(line: JobLine): string {
  const number = (name: string): number | undefined => (typeof line[name] === "number" ? line[name] : undefined);
  const parts: string[] = [];
  const objects = number("objects");
  if (objects !== undefined) parts.push(`${plural(objects, "object")} of ${formatSize(number("bytes") ?? 0)} read`);
  const findings = number("findings");
  if (findings !== undefined) parts.push(findings === 0 ? "no damage" : plural(findings, "finding"));
  const repaired = number("repaired") ?? number("restored");
  if (repaired !== undefined && repaired > 0) parts.push(`${plural(repaired, "piece")} repaired`);
  const freed = number("freedBytes");
  if (freed !== undefined) parts.push(`${formatSize(freed)} given back`);
  return parts.length === 0 ? "done" : parts.join(", ");
}

/** What a line of progress says, whichever job it is of: all of them have something done of something. */
export function progressOf(line: JobLine): { progress: number | undefined; what: string | undefined } {
  const done = numberOf(line["done"] ?? line["objects"]);
  const total = numberOf(line["total"] ?? line["objectsTotal"]);
  const what = line["what"];
  return {
    progress: done === undefined || total === undefined || total <= 0 ? undefined : Math.min(1, done / total),
    what: typeof what === "string" ? what : undefined,
  };
}

const numberOf = (value: unknown): number | undefined => (typeof value === "number" ? value : undefined);
