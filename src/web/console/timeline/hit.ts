/** What lies under the pointer on the strip: a flag first, since it is small and exact, then the interval. Flags that would cover each other are gathered into one. */
import { intervalAt, type Mark, type StripFacts } from "./facts.ts";
import { timeAt, xOf, type View } from "./view.ts";

/** Flags nearer than this cover each other. */
const FLAG_WIDTH = 14;
/** A finger is less exact than a mouse. */
export const REACH = { mouse: 9, touch: 22 } as const;

export interface Flag {
  x: number;
  marks: Mark[];
}

/** Marks as they are drawn, from left to right. */
export function flagsOf(marks: readonly Mark[], view: View, width: number): Flag[] {
  const flags: Flag[] = [];
  for (const mark of marks) {
    const x = xOf(view, width, mark.time);
    if (x < -FLAG_WIDTH || x > width + FLAG_WIDTH) continue;
    const last = flags.at(-1);
    if (last && x - last.x < FLAG_WIDTH) last.marks.push(mark);
    else flags.push({ x, marks: [mark] });
  }
  return flags;
}

export type Hit = { kind: "flag"; flag: Flag } | { kind: "interval"; index: number } | { kind: "nothing" };

export interface HitQuery {
  facts: StripFacts;
  view: View;
  width: number;
  x: number;
  /** From the top of the strip. */
  y: number;
  /** Where flags end and bars begin. */
  flagsHeight: number;
  reach: number;
}

export function hitAt({ facts, view, width, x, y, flagsHeight, reach }: HitQuery): Hit {
  if (y <= flagsHeight) {
    const near = flagsOf(facts.marks, view, width)
      .map((flag) => ({ flag, distance: Math.abs(flag.x - x) }))
      .filter(({ distance }) => distance <= reach)
      .sort((a, b) => a.distance - b.distance)[0];
    if (near) return { kind: "flag", flag: near.flag };
  }
  const index = intervalAt(facts.grid, timeAt(view, width, x));
  return index === undefined ? { kind: "nothing" } : { kind: "interval", index };
}

/** The time that a press at `x` means: that of a flag when it is within reach, else of the place. */
export function timePressed(query: HitQuery): { time: number; mark?: Mark } {
  const hit = hitAt(query);
  if (hit.kind === "flag") {
    const mark = hit.flag.marks.at(-1)!;
    return { time: mark.time, mark };
  }
  return { time: timeAt(query.view, query.width, query.x) };
}
