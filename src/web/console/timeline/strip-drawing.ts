/**
 * Draws the strip on a canvas: flags of marks on top, bars of what was written, a lane of flush points, a band of what is kept, and the axis. Lengths are CSS pixels;
 * the caller scales the context by the screen's density, and edges are put on whole device pixels so that lines stay sharp.
 */
import {
  barHeight,
  mostIn,
  retainedRanges,
  shownIntervals,
  type KeptFacts,
  type MarkKind,
  type StripFacts,
} from "./facts.ts";
import { flagsOf } from "./hit.ts";
import { layoutOf, type StripLayout } from "./strip-layout.ts";
import { ticksOf } from "./ticks.ts";
import { xOf, type View } from "./view.ts";

/** Colours of the theme, as the browser computed them. */
export interface Palette {
  surface: string;
  line: string;
  lineStrong: string;
  text: string;
  quiet: string;
  accent: string;
  accentSoft: string;
  good: string;
  warn: string;
  bad: string;
  font: string;
}

export interface Scene {
  width: number;
  height: number;
  /** Device pixels per CSS pixel. */
  density: number;
  view: View;
  facts: StripFacts | undefined;
  kept: KeptFacts | undefined;
  now: number;
  zone: string;
  palette: Palette;
  /** The interval under the pointer. */
  hovered: number | undefined;
  /** The chosen moment. */
  chosen: number | undefined;
}

/** Below so many pixels between them, flush points melt into a tone. */
const FLUSH_APART_MIN = 4;

export function paletteOf(element: Element): Palette {
  const style = getComputedStyle(element);
  const token = (name: string): string => style.getPropertyValue(`--${name}`).trim();
  return {
    surface: token("surface"),
    line: token("line"),
    lineStrong: token("line-strong"),
    text: token("text"),
    quiet: token("text-quiet"),
    accent: token("accent"),
    accentSoft: token("accent-soft"),
    good: token("good"),
    warn: token("warn"),
    bad: token("bad"),
    font: style.fontFamily,
  };
}

export function drawStrip(context: CanvasRenderingContext2D, scene: Scene): void {
  const layout = layoutOf(scene.height);
  context.setTransform(scene.density, 0, 0, scene.density, 0, 0);
  context.clearRect(0, 0, scene.width, scene.height);
  drawTimeOutside(context, scene, layout);
  drawAxis(context, scene, layout);
  if (scene.facts) {
    drawBars(context, scene, scene.facts, layout);
    drawFlushPoints(context, scene, scene.facts, layout);
  }
  if (scene.kept) drawKept(context, scene, scene.kept, layout);
  if (scene.facts) drawFlags(context, scene, scene.facts, layout);
  drawChosen(context, scene, layout);
}

/** Onto the grid of device pixels. */
function snap(scene: Scene, x: number): number {
  return Math.round(x * scene.density) / scene.density;
}

/** Before history and after the present there is nothing to choose: hatched, and the present a line. */
function drawTimeOutside(context: CanvasRenderingContext2D, scene: Scene, layout: StripLayout): void {
  const { view, width, palette } = scene;
  const left = scene.kept === undefined ? 0 : xOf(view, width, scene.kept.createdAt);
  const right = xOf(view, width, scene.now);
  if (left > 0) hatch(context, palette.line, 0, layout.bars.top, Math.min(left, width), layout.kept.bottom);
  if (right >= width) return;
  hatch(context, palette.line, Math.max(0, right), layout.bars.top, width, layout.kept.bottom);
  context.fillStyle = palette.quiet;
  context.fillRect(snap(scene, right), layout.bars.top, 1, layout.kept.bottom - layout.bars.top);
}

function hatch(
  context: CanvasRenderingContext2D,
  colour: string,
  left: number,
  top: number,
  right: number,
  bottom: number,
): void {
  context.save();
  context.beginPath();
  context.rect(left, top, right - left, bottom - top);
  context.clip();
  context.strokeStyle = colour;
  context.lineWidth = 1;
  context.beginPath();
  // From a fixed origin, so that the pattern does not swim when the view moves by less than its period.
  const height = bottom - top;
  for (let x = left - height - ((left - height) % 7); x < right + height; x += 7) {
    context.moveTo(x, bottom);
    context.lineTo(x + height, top);
  }
  context.stroke();
  context.restore();
}

function drawAxis(context: CanvasRenderingContext2D, scene: Scene, layout: StripLayout): void {
  const { view, width, palette, zone } = scene;
  context.textBaseline = "middle";
  context.textAlign = "center";
  const y = (layout.axis.top + layout.axis.bottom) / 2 + 1;
  for (const tick of ticksOf(view, width, zone)) {
    const x = snap(scene, xOf(view, width, tick.time));
    context.fillStyle = palette.line;
    context.fillRect(x, layout.bars.top, 1, layout.axis.top - layout.bars.top + 4);
    context.font = `${tick.isMajor ? "600 " : ""}12px ${palette.font}`;
    const half = context.measureText(tick.label).width / 2;
    // A label that the edge would cut is left out; its line says enough.
    if (x - half < 2 || x + half > width - 2) continue;
    context.fillStyle = tick.isMajor ? palette.text : palette.quiet;
    context.fillText(tick.label, x, y);
  }
}

function drawBars(context: CanvasRenderingContext2D, scene: Scene, facts: StripFacts, layout: StripLayout): void {
  const { view, width, palette } = scene;
  const { grid } = facts;
  const { top, bottom } = layout.bars;
  const most = Math.max(mostIn(facts.writtenBytes, grid, view), mostIn(facts.clearedBytes, grid, view));
  const [first, end] = shownIntervals(grid, view);
  const gap = (grid.width / (view.to - view.from)) * width >= 4 ? 1 : 0;
  for (let i = first; i < end; i++) {
    const written = barHeight(facts.writtenBytes[i]!, most);
    const cleared = barHeight(facts.clearedBytes[i]!, most);
    if (written === 0 && cleared === 0 && i !== scene.hovered) continue;
    const x = snap(scene, xOf(view, width, grid.from + i * grid.width));
    const end = snap(scene, xOf(view, width, grid.from + (i + 1) * grid.width));
    const barWidth = Math.max(1, end - x - gap);
    if (i === scene.hovered) {
      context.fillStyle = palette.accentSoft;
      context.fillRect(x, top, barWidth, bottom - top);
    }
    if (cleared > 0) {
      context.fillStyle = palette.lineStrong;
      const height = Math.max(1, cleared * (bottom - top));
      context.fillRect(x, bottom - height, barWidth, height);
    }
    if (written > 0) {
      context.fillStyle = palette.accent;
      const height = Math.max(1, written * (bottom - top));
      context.fillRect(x, bottom - height, barWidth, height);
    }
  }
  context.fillStyle = palette.lineStrong;
  context.fillRect(0, snap(scene, bottom), width, 1);
}

/** One tick for each interval with a flush point, fainter where they are so near that they touch. */
function drawFlushPoints(
  context: CanvasRenderingContext2D,
  scene: Scene,
  facts: StripFacts,
  layout: StripLayout,
): void {
  const { view, width, palette } = scene;
  const { grid } = facts;
  const apart = (grid.width / (view.to - view.from)) * width;
  const [first, end] = shownIntervals(grid, view);
  context.fillStyle = palette.quiet;
  for (let i = first; i < end; i++) {
    const count = facts.flushPoints[i]!;
    if (count === 0) continue;
    context.globalAlpha = apart >= FLUSH_APART_MIN ? 1 : Math.min(1, 0.45 + count * 0.05);
    const x = snap(scene, xOf(view, width, grid.from + (i + 0.5) * grid.width));
    context.fillRect(x, layout.flush.top, 1, layout.flush.bottom - layout.flush.top);
  }
  context.globalAlpha = 1;
}

function drawKept(context: CanvasRenderingContext2D, scene: Scene, kept: KeptFacts, layout: StripLayout): void {
  const { view, width, palette } = scene;
  const { top, bottom } = layout.kept;
  for (const range of retainedRanges(kept, view, scene.now)) {
    const x = snap(scene, xOf(view, width, range.from));
    const end = snap(scene, xOf(view, width, range.to));
    if (range.kind === "every-write" || range.kind === "expiring") {
      context.fillStyle = range.kind === "expiring" ? palette.warn : palette.good;
      context.fillRect(x, top, end - x, bottom - top);
    } else if (range.kind === "points") {
      context.fillStyle = palette.lineStrong;
      context.fillRect(x, (top + bottom) / 2 - 0.5, end - x, 1);
    }
  }
  context.fillStyle = palette.good;
  let drawnTo = -Infinity;
  for (const point of kept.points) {
    const x = xOf(view, width, point.time);
    // Hundreds of points in a pixel are one dot.
    if (x < -4 || x > width + 4 || x - drawnTo < 1) continue;
    drawnTo = x;
    context.beginPath();
    context.arc(x, (top + bottom) / 2, (bottom - top) / 2, 0, 2 * Math.PI);
    context.fill();
  }
}

const FLAG_LETTERS: Record<MarkKind, string> = {
  created: "▸",
  resized: "↔",
  "rolled-back": "↶",
  bookmark: "★",
  hold: "■",
  alarm: "!",
};

function flagColour(kind: MarkKind, palette: Palette): string {
  switch (kind) {
    case "alarm":
      return palette.bad;
    case "rolled-back":
      return palette.warn;
    case "hold":
      return palette.good;
    case "bookmark":
      return palette.accent;
    case "created":
    case "resized":
      return palette.quiet;
  }
}

function drawFlags(context: CanvasRenderingContext2D, scene: Scene, facts: StripFacts, layout: StripLayout): void {
  const { view, width, palette } = scene;
  const { top, bottom } = layout.flags;
  context.textAlign = "center";
  context.textBaseline = "middle";
  for (const { x, marks } of flagsOf(facts.marks, view, width)) {
    const worst = marks.find((mark) => mark.kind === "alarm") ?? marks.at(-1)!;
    const colour = flagColour(worst.kind, palette);
    const middle = snap(scene, x);
    context.fillStyle = colour;
    context.globalAlpha = 0.7;
    context.fillRect(middle, top + 18, 1, layout.kept.top - top - 18);
    context.globalAlpha = 1;
    context.beginPath();
    context.roundRect(middle - 9, top + 1, 18, bottom - top - 4, 5);
    context.fill();
    context.fillStyle = palette.surface;
    context.font = `700 12px ${palette.font}`;
    context.fillText(
      marks.length > 1 ? String(marks.length) : FLAG_LETTERS[worst.kind],
      middle,
      (top + bottom) / 2 - 0.5,
    );
  }
}

function drawChosen(context: CanvasRenderingContext2D, scene: Scene, layout: StripLayout): void {
  if (scene.chosen === undefined) return;
  const x = snap(scene, xOf(scene.view, scene.width, scene.chosen));
  if (x < -12 || x > scene.width + 12) return;
  context.fillStyle = scene.palette.text;
  context.fillRect(x - 1, layout.flags.bottom - 2, 2, layout.kept.bottom - layout.flags.bottom + 2);
}
