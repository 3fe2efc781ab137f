/** The task of a schedule as its form has it: what it is about, as one choice of a list, and back again. Pure. */
import type { WireShownTask, WireTask } from "../../contract/schedules.ts";
import { type ReportKind, type ReportSpan } from "../../contract/reports.ts";

type TaskKind = WireShownTask["kind"];
const ALL = "all vaults";
/** What the API takes. */
const KEEP_MAX = 1_000;
/** The subject of a bookmark whose volume cannot be had. */
export const LOST = "volume/";

/** What there is to choose from. */
export interface Subjects {
  machines: string[];
  volumes: string[];
  vaults: string[];
  /** As `vault/tier`. */
  tiers: string[];
  channels: string[];
}

/** What a task is about, as the form's choices name it. */
export function subjectOf(task: WireShownTask): string {
  switch (task.kind) {
    case "bookmark":
      return task.machine === undefined ? `volume/${task.volume ?? ""}` : `machine/${task.machine}`;
    case "check":
    case "scrub":
    case "gc":
      return task.vault ?? ALL;
    case "sync-tier":
    case "verify-tier":
      return `${task.vault ?? ""}/${task.tier ?? ""}`;
    case "report":
      return task.channel ?? "";
  }
}

/** How that is called where no list names it. */
export function ownWords(own: string): string {
  if (own === LOST) return "a volume that cannot be had";
  return own.endsWith("/") ? `${own.slice(0, -1)}: all tiers` : own.replace("/", ": ");
}

/** Choices that are called what they are. */
export const same = <Value extends string>(values: readonly Value[]): { value: Value; label: string }[] =>
  values.map((value) => ({ value, label: value }));

/** What a task of a kind can be about. @param subjects - undefined: not known yet */
export function subjectChoices(kind: TaskKind, subjects: Subjects | undefined): { value: string; label: string }[] {
  if (!subjects) return [];
  switch (kind) {
    case "bookmark":
      return [
        ...subjects.machines.map((each) => ({ value: `machine/${each}`, label: `machine ${each}` })),
        ...subjects.volumes.map((each) => ({ value: `volume/${each}`, label: `volume ${each}` })),
      ];
    case "check":
    case "scrub":
    case "gc":
      return same([ALL, ...subjects.vaults]);
    case "sync-tier":
    case "verify-tier":
      return subjects.tiers.map((each) => ({ value: each, label: each.replace("/", ": ") }));
    case "report":
      return same(subjects.channels);
  }
}

/** What only some tasks have. */
export interface TaskDetails {
  keep: string;
  report: ReportKind;
  span: ReportSpan;
}

/** What is wrong with how many bookmarks shall stay, as it was typed; undefined: nothing. */
export function keepTrouble(keep: string): string | undefined {
  const count = Number(keep);
  const isFine = keep.trim() === "" || (Number.isInteger(count) && count >= 1 && count <= KEEP_MAX);
  return isFine ? undefined : `From 1 to ${KEEP_MAX.toLocaleString("en-US")}.`;
}

/** The task that a form describes; undefined: it is not one yet. @param chosen - one of {@link subjectChoices} */
export function taskOf(kind: TaskKind, chosen: string, { keep, report, span }: TaskDetails): WireTask | undefined {
  const [first = "", second = ""] = chosen.split("/");
  const of = chosen === ALL ? {} : { vault: chosen };
  switch (kind) {
    case "bookmark": {
      if (second === "") return undefined;
      if (keepTrouble(keep) !== undefined) return undefined;
      return {
        kind,
        ...(first === "machine" ? { machine: second } : { volume: second }),
        ...(keep.trim() === "" ? {} : { keep: Number(keep) }),
      };
    }
    case "check":
    case "scrub":
    case "gc":
      return { kind, ...of };
    case "sync-tier":
      return { kind, vault: first, ...(second === "" ? {} : { tier: second }) };
    case "verify-tier":
      return { kind, vault: first, tier: second };
    case "report":
      return { kind, report, span, channel: chosen };
  }
}
