/**
 * Which intervals the strip asks for. Their widths come from a ladder (1, 2, 5 times a power of ten) and their edges are multiples of the width, so the same stretch
 * is always cut the same way: bars keep their heights while one pans, and several volumes can be added up interval by interval.
 */
import { spanOf, type View } from "./view.ts";

export interface Grid {
  /** A multiple of the width. */
  from: number;
  to: number;
  /** Microseconds. */
  width: number;
  count: number;
}

/** As the API allows. */
export const BUCKETS_MAX = 10_000;
/** Narrower bars cannot be told apart, and cost more to fetch. */
const PIXELS_MIN = 2.5;
/** What is fetched on either side of the view, as a share of it: panning shows something at once. */
const MARGIN = 0.5;

/** The lowest step of the ladder that is at least `micros`. */
export function stepUp(micros: number): number {
  const power = 10 ** Math.floor(Math.log10(Math.max(1, micros)));
  return [1, 2, 5, 10].map((digit) => digit * power).find((step) => step >= micros * (1 - 1e-9)) ?? 10 * power;
}

/** @param widthPixels - of the strip */
export function gridFor(view: View, widthPixels: number): Grid {
  const span = spanOf(view);
  let width = stepUp((span * PIXELS_MIN) / Math.max(1, widthPixels));
  while ((span * (1 + 2 * MARGIN)) / width > BUCKETS_MAX - 2) width = stepUp(width * 1.5);
  const from = Math.max(0, Math.floor((view.from - span * MARGIN) / width) * width);
  const to = Math.ceil((view.to + span * MARGIN) / width) * width;
  return { from, to, width, count: Math.round((to - from) / width) };
}

/** Whether a grid that was fetched still serves a view: it covers it, and is as fine. */
export function serves(grid: Grid, view: View, widthPixels: number): boolean {
  return grid.width === gridFor(view, widthPixels).width && grid.from <= view.from && grid.to >= view.to;
}
