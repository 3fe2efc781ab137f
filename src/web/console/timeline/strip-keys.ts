/** What keys do on the strip's handle. Pure, so that it can be tested; the strip carries it out. */
import { clamped, spanOf, wholeView, zoomed, type View } from "./view.ts";

export interface KeyState {
  view: View;
  bounds: View;
  now: number;
  /** When history begins. */
  first: number;
  /** Where the handle is. */
  at: number;
}

export type KeyStep =
  { kind: "time"; time: number } | { kind: "view"; view: View } | { kind: "flush-point"; direction: -1 | 1 };

/** One step of an arrow key, as a share of what is shown. */
const ARROW_SHARE = 1 / 200;
const PAGE_SHARE = 1 / 10;

export function keyStep(
  event: { key: string; shiftKey: boolean; ctrlKey: boolean; altKey: boolean; metaKey: boolean },
  { view, bounds, now, first, at }: KeyState,
): KeyStep | undefined {
  if (event.ctrlKey || event.altKey || event.metaKey) return undefined;
  const span = spanOf(view);
  const moved = (by: number): KeyStep => ({
    kind: "time",
    time: Math.round(Math.min(Math.max(at + by, first), now)),
  });
  // At least a microsecond, or a key would do nothing in the closest view.
  const arrow = Math.max(1, span * (event.shiftKey ? ARROW_SHARE * 5 : ARROW_SHARE));
  switch (event.key) {
    case "ArrowLeft":
    case "ArrowDown":
      return moved(-arrow);
    case "ArrowRight":
    case "ArrowUp":
      return moved(arrow);
    case "PageDown":
      return moved(-span * PAGE_SHARE);
    case "PageUp":
      return moved(span * PAGE_SHARE);
    case "Home":
      return { kind: "time", time: first };
    case "End":
      return { kind: "time", time: now };
    case "+":
    case "=":
      return { kind: "view", view: zoomed(centred(view, at, bounds), 0.5, at, bounds) };
    case "-":
    case "_":
      return { kind: "view", view: zoomed(view, 2, at, bounds) };
    case "0":
      return { kind: "view", view: wholeView(first, now) };
    case "[":
    case ",":
    case "p":
      return { kind: "flush-point", direction: -1 };
    case "]":
    case ".":
    case "n":
      return { kind: "flush-point", direction: 1 };
    default:
      return undefined;
  }
}

/** The handle may lie outside of what is shown: zooming in goes to it first. */
function centred(view: View, at: number, bounds: View): View {
  if (at >= view.from && at <= view.to) return view;
  return clamped({ from: at - spanOf(view) / 2, to: at + spanOf(view) / 2 }, bounds);
}
