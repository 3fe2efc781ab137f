/**
 * The strip: history to look at, to move about in and to choose a moment on. A wheel or two fingers zoom around what is under them, a drag pans, a press or a drag of
 * the handle chooses; the handle is a slider for the keyboard and for screen readers, which get the same facts as a table beside it.
 */
import { useCallback, useEffect, useLayoutEffect, useRef, useState } from "preact/hooks";
import { intervalAt, type KeptFacts, type Mark, type StripFacts } from "./facts.ts";
import { hitAt, REACH, timePressed } from "./hit.ts";
import { drawStrip, paletteOf } from "./strip-drawing.ts";
import { layoutOf } from "./strip-layout.ts";
import { keyStep } from "./strip-keys.ts";
import { localText, precisionOf } from "./time.ts";
import { panned, pinched, revealing, spanOf, timeAt, wheelFactor, xOf, zoomed, type View } from "./view.ts";
import { handleText, intervalText, markText, type Choice } from "./words.ts";

export interface StripProps {
  /** What it shows, for screen readers: `web1's history`. */
  label: string;
  facts: StripFacts | undefined;
  kept: KeptFacts | undefined;
  view: View;
  bounds: View;
  now: number;
  zone: string;
  choice: Choice | undefined;
  hasSeveral: boolean;
  onView: (view: View) => void;
  onChoice: (choice: Choice, mark?: Mark) => void;
  /** The keyboard asks for the flush point before or after the chosen moment. */
  onStep: (direction: -1 | 1) => void;
  onWidth: (width: number) => void;
}

/** Further than this a press was a drag. */
const STILL_PIXELS = 4;

type Grip =
  | { kind: "handle" }
  | { kind: "pan"; startX: number; startView: View; moved: boolean }
  | { kind: "pinch"; startView: View; before: [number, number] };

export function Strip(props: StripProps) {
  const { view, bounds, facts, choice, now, zone, kept } = props;
  const frame = useRef<HTMLDivElement>(null);
  const canvas = useRef<HTMLCanvasElement>(null);
  const slider = useRef<HTMLDivElement>(null);
  const [size, setSize] = useState({ width: 0, height: 0, density: 1 });
  const [pointer, setPointer] = useState<{ x: number; y: number } | undefined>(undefined);
  const [theme, setTheme] = useState(0);
  const fingers = useRef(new Map<number, number>());
  const grip = useRef<Grip | undefined>(undefined);
  const latest = useRef(props);
  latest.current = props;

  useEffect(() => {
    const element = frame.current;
    if (!element) return undefined;
    const measure = (): void => {
      const { clientWidth: width, clientHeight: height } = element;
      setSize({ width, height, density: devicePixelRatio || 1 });
      latest.current.onWidth(width);
    };
    const observer = new ResizeObserver(measure);
    observer.observe(element);
    measure();
    // The page's colours change with its theme, which a canvas does not follow by itself.
    const themes = new MutationObserver(() => setTheme((old) => old + 1));
    themes.observe(document.documentElement, { attributes: true, attributeFilter: ["data-theme", "class"] });
    return () => {
      observer.disconnect();
      themes.disconnect();
    };
  }, []);

  useLayoutEffect(() => {
    const element = canvas.current;
    const context = element?.getContext("2d");
    if (!element || !context || size.width === 0) return;
    element.width = Math.round(size.width * size.density);
    element.height = Math.round(size.height * size.density);
    const hovered = pointer && facts ? intervalAt(facts.grid, timeAt(view, size.width, pointer.x)) : undefined;
    const palette = paletteOf(element);
    drawStrip(context, { ...size, view, facts, kept, now, zone, palette, hovered, chosen: choice?.time });
  }, [size, view, facts, kept, now, zone, choice?.time, pointer?.x, theme]);

  // Added by hand: a wheel that zooms must keep the page from scrolling, which a passive listener may not.
  useEffect(() => {
    const element = frame.current;
    if (!element) return undefined;
    const turn = (event: WheelEvent): void => {
      event.preventDefault();
      const now = latest.current;
      const { left, width } = element.getBoundingClientRect();
      const isSideways = event.shiftKey || Math.abs(event.deltaX) > Math.abs(event.deltaY);
      if (isSideways) {
        const delta = event.deltaX === 0 ? event.deltaY : event.deltaX;
        now.onView(panned(now.view, (delta / width) * spanOf(now.view), now.bounds));
        return;
      }
      const anchor = timeAt(now.view, width, event.clientX - left);
      now.onView(zoomed(now.view, wheelFactor(event.deltaY, event.deltaMode), anchor, now.bounds));
    };
    element.addEventListener("wheel", turn, { passive: false });
    return () => element.removeEventListener("wheel", turn);
  }, []);

  const place = (event: PointerEvent): { x: number; y: number } => {
    const { left, top } = frame.current!.getBoundingClientRect();
    return { x: event.clientX - left, y: event.clientY - top };
  };
  const choose = useCallback((x: number, y: number, reach: number, exact: boolean): void => {
    const { facts: shown, view: seen, now: present, kept: known, onChoice } = latest.current;
    const { width, height } = frame.current!.getBoundingClientRect();
    const first = known?.createdAt ?? seen.from;
    const within = (time: number): number => Math.min(Math.max(time, first), present);
    if (!shown || !exact) {
      onChoice({ time: within(timeAt(seen, width, x)) });
      return;
    }
    const query = { facts: shown, view: seen, width, x, y, flagsHeight: layoutOf(height).flags.bottom, reach };
    const { time, mark } = timePressed(query);
    if (mark && mark.lsn > 0) onChoice({ time, lsn: mark.lsn }, mark);
    else onChoice({ time: within(time) });
  }, []);

  const onPointerDown = (event: PointerEvent): void => {
    if (event.button !== 0) return;
    const { x } = place(event);
    frame.current!.setPointerCapture(event.pointerId);
    fingers.current.set(event.pointerId, x);
    const xs = [...fingers.current.values()];
    if (xs.length === 2) {
      grip.current = { kind: "pinch", startView: view, before: [xs[0]!, xs[1]!] };
      return;
    }
    const reach = event.pointerType === "touch" ? REACH.touch : REACH.mouse;
    const handleX = choice && xOf(view, size.width, choice.time);
    const isHandle = handleX !== undefined && Math.abs(handleX - x) <= reach;
    grip.current = isHandle ? { kind: "handle" } : { kind: "pan", startX: x, startView: view, moved: false };
    slider.current?.focus({ preventScroll: true });
  };

  const onPointerMove = (event: PointerEvent): void => {
    const at = place(event);
    if (event.pointerType !== "touch") setPointer(at);
    const held = grip.current;
    if (!held || !fingers.current.has(event.pointerId)) return;
    fingers.current.set(event.pointerId, at.x);
    if (held.kind === "pinch") {
      const [first = 0, second = 0] = [...fingers.current.values()];
      props.onView(pinched(held.startView, size.width, held.before, [first, second], bounds));
    } else if (held.kind === "handle") {
      choose(at.x, at.y, 0, false);
    } else {
      if (!held.moved && Math.abs(at.x - held.startX) < STILL_PIXELS) return;
      held.moved = true;
      props.onView(panned(held.startView, ((held.startX - at.x) / size.width) * spanOf(held.startView), bounds));
    }
  };

  const onPointerEnd = (event: PointerEvent): void => {
    const held = grip.current;
    fingers.current.delete(event.pointerId);
    grip.current = undefined;
    if (event.type !== "pointerup" || held?.kind !== "pan" || held.moved) return;
    const { x, y } = place(event);
    choose(x, y, event.pointerType === "touch" ? REACH.touch : REACH.mouse, true);
  };

  const onKeyDown = (event: KeyboardEvent): void => {
    const step = keyStep(event, { view, bounds, now, first: kept?.createdAt ?? bounds.from, at: choice?.time ?? now });
    if (!step) return;
    event.preventDefault();
    if (step.kind === "flush-point") props.onStep(step.direction);
    else if (step.kind === "view") props.onView(step.view);
    else {
      props.onChoice({ time: step.time });
      props.onView(revealing(view, step.time, bounds));
    }
  };

  const handleX = choice === undefined ? undefined : xOf(view, size.width, choice.time);
  const isShown = handleX !== undefined && handleX >= 0 && handleX <= size.width;
  return (
    <div
      ref={frame}
      class="strip"
      data-testid="strip"
      onPointerDown={onPointerDown}
      onPointerMove={onPointerMove}
      onPointerUp={onPointerEnd}
      onPointerCancel={onPointerEnd}
      onPointerLeave={() => setPointer(undefined)}
    >
      <canvas ref={canvas} aria-hidden="true" />
      <div
        ref={slider}
        class={`strip-handle${isShown ? "" : " strip-handle-away"}`}
        style={{ left: `${Math.min(Math.max(handleX ?? size.width, 0), size.width)}px` }}
        role="slider"
        tabIndex={0}
        aria-label={`Moment in ${props.label}`}
        aria-valuemin={Math.round((kept?.createdAt ?? bounds.from) / 1000)}
        aria-valuemax={Math.round(now / 1000)}
        aria-valuenow={Math.round((choice?.time ?? now) / 1000)}
        aria-valuetext={choice ? handleText(choice, view, zone, now, kept) : "no moment chosen"}
        onKeyDown={onKeyDown}
      >
        <span class="strip-knob" />
      </div>
      {pointer && facts && <Tip {...{ pointer, facts, view, zone, size, hasSeveral: props.hasSeveral }} />}
    </div>
  );
}

interface TipProps {
  pointer: { x: number; y: number };
  facts: StripFacts;
  view: View;
  zone: string;
  size: { width: number; height: number };
  hasSeveral: boolean;
}

/** What is under the pointer, beside it. */
function Tip({ pointer, facts, view, zone, size, hasSeveral }: TipProps) {
  const flagsHeight = layoutOf(size.height).flags.bottom;
  const hit = hitAt({ facts, view, width: size.width, ...pointer, flagsHeight, reach: REACH.mouse });
  if (hit.kind === "nothing") return null;
  const isLeft = pointer.x > size.width / 2;
  const lines =
    hit.kind === "flag"
      ? hit.flag.marks.slice(-6).map((mark) => markText(mark, hasSeveral))
      : [intervalText(facts, hit.index)];
  const time = hit.kind === "flag" ? hit.flag.marks.at(-1)!.time : timeAt(view, size.width, pointer.x);
  return (
    <div
      class="strip-tip"
      aria-hidden="true"
      style={isLeft ? { right: `${size.width - pointer.x + 12}px` } : { left: `${pointer.x + 12}px` }}
    >
      <strong>{localText(time, zone, precisionOf(spanOf(view)))}</strong>
      {lines.map((line) => (
        <div key={line}>{line}</div>
      ))}
    </div>
  );
}
