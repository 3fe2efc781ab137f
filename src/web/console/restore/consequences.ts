/** What a restore will do, in plain words, before anybody presses the button. Pure, so that each sentence can be tested. */
import { formatSize } from "../../../base/units.ts";
import type { WireVolume } from "../../../contract/contract.ts";
import { changeText, type Change } from "../timeline/around.ts";
import { lengthText, localText, several, zoneText } from "../timeline/time.ts";

export interface Moment {
  /** Microseconds. */
  time: number;
  zone: string;
  /** A client's flush was answered exactly here. */
  flushPoint: boolean;
}

export interface Consequence {
  /** The question that it answers: `What is overwritten`. */
  about: string;
  text: string;
  /** It deserves a second look. */
  isWarning?: boolean;
}

export function momentText({ time, zone }: Moment): string {
  return `${localText(time, zone)} (${zoneText(time, zone)})`;
}

function consistency(moment: Moment): Consequence {
  return {
    about: "How clean it is",
    text: moment.flushPoint
      ? "It is a flush point: the file system had just asked for everything to be on disk."
      : "It is between two flush points, as if the power had been cut then. File systems and databases replay their journal when they start.",
  };
}

export interface RollbackFacts {
  volume: Pick<WireVolume, "name" | "attached" | "sizeBytes">;
  moment: Moment;
  /** How much differs between the moment and now; undefined: not counted. */
  change: Change | undefined;
  now: number;
  /** The name of a bookmark of the state before, if one is set. */
  bookmark: string | undefined;
  /** How long every write is kept, in microseconds; undefined: for ever. */
  keptFor: number | undefined;
}

export function rollbackConsequences(facts: RollbackFacts): Consequence[] {
  const { volume, moment, change, now, bookmark, keptFor } = facts;
  return [
    {
      about: "What happens",
      text: `The disk ${volume.name} reads again as it did on ${momentText(moment)}. That is done at once, whatever its size: nothing is copied.`,
    },
    {
      about: "What is overwritten",
      text:
        change === undefined
          ? `Everything written in the last ${lengthText(now - moment.time)} disappears from the live disk.`
          : change.bytes === 0
            ? "Nothing: the disk holds the same now as it did then."
            : `${capital(changeText(change))} of ${formatSize(volume.sizeBytes)} differ from then. What was written in the last ${lengthText(now - moment.time)} disappears from the live disk.`,
      isWarning: change === undefined || change.bytes > 0,
    },
    {
      about: "What stays",
      text: `All of it stays in the history${keptText(keptFor)}. Rolling back again to the moment before undoes this${bookmark === undefined ? "" : `; the bookmark ${bookmark} marks it`}.`,
    },
    usersOf(volume.attached),
    consistency(moment),
  ];
}

export function machineRollbackConsequences(
  machine: string,
  volumes: readonly Pick<WireVolume, "name" | "attached">[],
  moment: Moment,
  now: number,
): Consequence[] {
  const attached = volumes.reduce((sum, volume) => sum + volume.attached, 0);
  return [
    {
      about: "What happens",
      text: `${several(volumes.length, "disk")} of ${machine} (${volumes.map((volume) => volume.name).join(", ")}) read again as they did on ${momentText(moment)}, all at the same moment. Nothing is copied.`,
    },
    {
      about: "What is overwritten",
      text: `Everything written in the last ${lengthText(now - moment.time)} disappears from these live disks.`,
      isWarning: true,
    },
    {
      about: "What stays",
      text: "All of it stays in the history. The state before is bookmarked, and rolling back to that bookmark undoes this.",
    },
    usersOf(attached),
  ];
}

/** @param attached - sessions on the live disks */
function usersOf(attached: number): Consequence {
  if (attached === 0) return { about: "Who uses it", text: "No client is attached." };
  return {
    about: "Who uses it",
    text: `${several(attached, "client")} ${attached === 1 ? "is" : "are"} attached and would see the disk change underneath. Shut the machine down first, or its file system will be damaged.`,
    isWarning: true,
  };
}

export function branchConsequences(volume: Pick<WireVolume, "name">, moment: Moment, newName: string): Consequence[] {
  return [
    {
      about: "What happens",
      text: `A new disk${newName === "" ? "" : ` ${newName}`} appears, as ${volume.name} was on ${momentText(moment)}. It can be read and written.`,
    },
    { about: "What is overwritten", text: `Nothing. ${volume.name} goes on as it is.` },
    {
      about: "Space",
      text: "None at first: both share what they have in common, and only what is written to either takes space. It is protected like any other disk.",
    },
    consistency(moment),
  ];
}

/** @param newNames - of the new disks, one for each of the machine's */
export function machineBranchConsequences(machine: string, moment: Moment, newNames: readonly string[]): Consequence[] {
  const isOne = newNames.length === 1;
  return [
    {
      about: "What happens",
      text: `${isOne ? "A new disk appears" : `${several(newNames.length, "new disk")} appear`} (${newNames.join(", ")}), as the ${isOne ? "disk" : "disks"} of ${machine} ${isOne ? "was" : "were"} on ${momentText(moment)}. ${isOne ? "It" : "They"} can be read and written.`,
    },
    { about: "What is overwritten", text: `Nothing. ${machine} goes on as it is.` },
    {
      about: "Space",
      text: "None at first: old and new disks share what they have in common, and only what is written to either takes space. The new ones are protected like any other disk.",
    },
    consistency(moment),
  ];
}

export function downloadConsequences(volume: Pick<WireVolume, "name" | "sizeBytes">, moment: Moment): Consequence[] {
  return [
    {
      about: "What happens",
      text: `Your browser downloads one file of ${formatSize(volume.sizeBytes)}: ${volume.name} as it was on ${momentText(moment)}, byte for byte.`,
    },
    { about: "What is overwritten", text: "Nothing on the appliance." },
    {
      about: "Room that you need",
      text: `${formatSize(volume.sizeBytes)}, empty parts included. On a machine with the command line, “sternway restore” leaves them out.`,
      isWarning: volume.sizeBytes > 64 * 2 ** 30,
    },
    consistency(moment),
  ];
}

export function mountConsequences(volume: Pick<WireVolume, "name">, moment: Moment): Consequence[] {
  return [
    {
      about: "What happens",
      text: `A machine of yours attaches ${volume.name} as it was on ${momentText(moment)}, and you copy out of it what you need. Nothing is copied before that.`,
    },
    { about: "What is overwritten", text: "Nothing. A past moment cannot be written to." },
    consistency(moment),
  ];
}

function keptText(keptFor: number | undefined): string {
  return keptFor === undefined ? "" : `, every write of it for ${lengthText(keptFor)} as the policy says`;
}

function capital(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}
