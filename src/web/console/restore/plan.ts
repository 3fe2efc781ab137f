/** What somebody has decided so far in the wizard. */
import type { WireMoment, WireVolume } from "../../../contract/contract.ts";
import { microsOf } from "../timeline/time.ts";
import type { Moment } from "./consequences.ts";

/** What is restored: one disk, or all disks of a machine at one moment. */
export interface Subject {
  kind: "volume" | "machine";
  /** The volume's or the machine's. */
  name: string;
  /** At least one. */
  volumes: readonly WireVolume[];
}

export interface Plan {
  subject: Subject;
  /** As the API takes it, exact: `lsn:7` for one disk, a time for a machine. */
  at: string;
  moment: Moment;
}

/** @param at - as it was asked for: exact for a machine, whose volumes have each their own LSN */
export function planOf(subject: Subject, at: string, moment: WireMoment, zone: string): Plan {
  const { time, flushPoint, lsn } = moment;
  return {
    subject,
    at: subject.kind === "volume" ? `lsn:${lsn}` : at,
    moment: { time: microsOf(time), zone, flushPoint },
  };
}
