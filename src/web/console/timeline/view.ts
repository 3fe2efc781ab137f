/**
 * What part of history the strip shows, and how it moves: zooming keeps the moment under the pointer where it is, nothing leaves the bounds, and the arithmetic
 * stays in whole microseconds so that zooming in and out comes back to the same place.
 */

/** `[from, to)` in microseconds since 1970. */
export interface View {
  from: number;
  to: number;
}

/** Microseconds: a strip of a thousand pixels then shows each of them. */
export const SPAN_MIN = 1_000;
/** Room beside the ends of history, so that they can be seen as such. */
const MARGIN = 0.04;
/** A volume that was just made still has a strip to look at. */
const WHOLE_SPAN_MIN = 60e6;

export function spanOf(view: View): number {
  return view.to - view.from;
}

/** Everything, with a little room at both ends. @param created - when history begins */
export function wholeView(created: number, now: number): View {
  const span = Math.max(now - created, WHOLE_SPAN_MIN);
  return { from: Math.floor(now - span * (1 + MARGIN)), to: Math.ceil(now + span * MARGIN) };
}

/** So much up to now, or everything where there is less. */
export function recentView(lengthMicros: number, bounds: View, now: number): View {
  return clamped({ from: now - lengthMicros, to: now + lengthMicros * MARGIN }, bounds);
}

/** Moves a view into the bounds without changing its length, unless it is longer than they are. */
export function clamped(view: View, bounds: View): View {
  const span = Math.min(Math.max(Math.round(spanOf(view)), SPAN_MIN), spanOf(bounds));
  const from = Math.min(Math.max(Math.round(view.from), bounds.from), bounds.to - span);
  return { from, to: from + span };
}

/** @param factor - below 1 shows less, above 1 more @param anchor - the time that stays where it is */
export function zoomed(view: View, factor: number, anchor: number, bounds: View): View {
  const old = spanOf(view);
  const span = Math.min(Math.max(Math.round(old * factor), SPAN_MIN), spanOf(bounds));
  const share = (anchor - view.from) / old;
  const from = anchor - share * span;
  return clamped({ from, to: from + span }, bounds);
}

export function panned(view: View, byMicros: number, bounds: View): View {
  return clamped({ from: view.from + byMicros, to: view.to + byMicros }, bounds);
}

/** A view of the same length around a time, or the same one if the time is well inside it. */
export function revealing(view: View, time: number, bounds: View): View {
  const margin = spanOf(view) * 0.05;
  if (time >= view.from + margin && time <= view.to - margin) return view;
  return clamped({ from: time - spanOf(view) / 2, to: time + spanOf(view) / 2 }, bounds);
}

/**
 * Time goes on: a view that showed everything, and that the present has left, shows everything again. One that somebody zoomed stays where it was put.
 * @param bounds - as of now
 */
export function following(view: View, bounds: View, now: number): View {
  const isWhole = spanOf(view) > spanOf(bounds) * 0.8;
  return isWhole && view.to < now ? { from: bounds.from, to: Math.round(now + spanOf(bounds) * 0.1) } : view;
}

/** Two fingers: the times that were under them come under where they are now. */
export function pinched(
  view: View,
  width: number,
  before: [number, number],
  after: [number, number],
  bounds: View,
): View {
  const apart = Math.max(16, Math.abs(before[1] - before[0]));
  const factor = apart / Math.max(16, Math.abs(after[1] - after[0]));
  const anchor = timeAt(view, width, (before[0] + before[1]) / 2);
  const scaled = zoomed(view, factor, anchor, bounds);
  return panned(scaled, anchor - timeAt(scaled, width, (after[0] + after[1]) / 2), bounds);
}

/** Pixels from the left edge. */
export function xOf(view: View, width: number, time: number): number {
  return ((time - view.from) / spanOf(view)) * width;
}

/** Whole microseconds. */
export function timeAt(view: View, width: number, x: number): number {
  return Math.round(view.from + (x / width) * spanOf(view));
}

/** Exponent of zoom for a turn of the wheel. @param mode - of a WheelEvent: pixels, lines or pages */
export function wheelFactor(delta: number, mode: number): number {
  const pixels = delta * (mode === 1 ? 16 : mode === 2 ? 400 : 1);
  // One notch is about 100 pixels and changes the length by a fifth; more at once than three notches would lose people.
  return Math.exp(Math.min(Math.max(pixels, -300), 300) * 0.0018);
}
