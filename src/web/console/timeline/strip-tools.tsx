/** Around the strip: how much of history it shows, steps from flush point to flush point, and a field for an exact time. */
import { useState } from "preact/hooks";
import { Button } from "../parts/button.tsx";
import { Field } from "../parts/field.tsx";
import { useAction } from "../resource.ts";
import { troubleOf } from "../words.ts";
import { EXACT_TIME_FORMS, parseExactTime } from "./exact-time.ts";
import type { KeptFacts } from "./facts.ts";
import { DAY, HOUR, lengthText, localText, MINUTE, precisionOf, zoneText } from "./time.ts";
import { recentView, spanOf, wholeView, zoomed, type View } from "./view.ts";
import type { Choice } from "./words.ts";

export interface StripToolsProps {
  view: View;
  bounds: View;
  now: number;
  zone: string;
  kept: KeptFacts;
  choice: Choice | undefined;
  onView: (view: View) => void;
  onChoice: (choice: Choice) => void;
  /** A moment that the appliance must resolve. */
  onMoment: (at: string) => Promise<void>;
  onStep: (direction: -1 | 1) => Promise<void>;
  onLastGood: () => Promise<void>;
}

const LENGTHS: readonly (readonly [string, string, number])[] = [
  ["15 min", "the last 15 minutes", 15 * MINUTE],
  ["1 h", "the last hour", HOUR],
  ["1 d", "the last day", DAY],
  ["1 w", "the last week", 7 * DAY],
  ["1 mo", "the last month", 30 * DAY],
  ["1 y", "the last year", 365 * DAY],
];

export function StripTools(props: StripToolsProps) {
  const { view, bounds, now, zone, kept, choice, onView } = props;
  const anchor = choice && choice.time >= view.from && choice.time <= view.to ? choice.time : (view.from + view.to) / 2;
  const history = now - kept.createdAt;
  const span = spanOf(view);
  const precision = precisionOf(span);
  return (
    <div class="strip-tools">
      <div class="row strip-range">
        <p class="strip-shown">
          <strong>{lengthText(span)}</strong>{" "}
          <span class="quiet">
            {localText(view.from, zone, precision)} – {localText(view.to, zone, precision)} ({zoneText(view.to, zone)})
          </span>
        </p>
        <div class="row" role="group" aria-label="How much is shown">
          {LENGTHS.filter(([, , length]) => length < history).map(([label, words, length]) => (
            <Button
              key={label}
              size="small"
              label={`${label}: show ${words}`}
              onClick={() => onView(recentView(length, bounds, now))}
            >
              {label}
            </Button>
          ))}
          <Button size="small" label="All: show everything" onClick={() => onView(wholeView(kept.createdAt, now))}>
            All
          </Button>
          <Button size="small" label="Zoom in" onClick={() => onView(zoomed(view, 0.4, anchor, bounds))}>
            +
          </Button>
          <Button size="small" label="Zoom out" onClick={() => onView(zoomed(view, 2.5, anchor, bounds))}>
            −
          </Button>
        </div>
      </div>
      <div class="row strip-find">
        <GoTo {...props} />
        <Steps {...props} />
      </div>
    </div>
  );
}

function Steps({ onStep, onLastGood }: StripToolsProps) {
  const back = useAction(() => onStep(-1));
  const forth = useAction(() => onStep(1));
  const good = useAction(onLastGood);
  return (
    <div class="row" role="group" aria-label="Flush points">
      <Button size="small" busy={back.busy} onClick={() => void back.run()}>
        ‹ Flush point before
      </Button>
      <Button size="small" busy={forth.busy} onClick={() => void forth.run()}>
        Flush point after ›
      </Button>
      <Button size="small" busy={good.busy} onClick={() => void good.run()}>
        Last good before here
      </Button>
    </div>
  );
}

function GoTo({ zone, now, onChoice, onMoment }: StripToolsProps) {
  const [typed, setTyped] = useState("");
  const [wrong, setWrong] = useState<string | undefined>(undefined);
  const [twice, setTwice] = useState<{ times: readonly [number, number]; text: string } | undefined>(undefined);
  const asking = useAction(onMoment);
  const go = async (): Promise<void> => {
    setWrong(undefined);
    setTwice(undefined);
    const parsed = parseExactTime(typed, zone, now);
    switch (parsed.kind) {
      case "wrong":
        setWrong(parsed.why);
        break;
      case "twice":
        setTwice(parsed);
        break;
      case "time":
        if (parsed.time > now) setWrong("That is still to come.");
        else onChoice({ time: parsed.time });
        break;
      case "moment":
        await asking.run(parsed.at);
        break;
    }
  };
  const error = wrong ?? (asking.error === undefined ? undefined : troubleOf(asking.error).message);
  return (
    <form
      class="go-to"
      onSubmit={(event) => {
        event.preventDefault();
        void go();
      }}
    >
      <Field label="Go to" hint={<span class="hidden-visually">{EXACT_TIME_FORMS}</span>} error={error}>
        {(ids) => (
          <div class="row go-to-row">
            <input
              {...ids}
              class="input"
              value={typed}
              placeholder="yesterday 14:00, -15m, lsn:123"
              spellcheck={false}
              autocapitalize="none"
              autocomplete="off"
              onInput={(event) => setTyped(event.currentTarget.value)}
            />
            <Button type="submit" busy={asking.busy}>
              Go
            </Button>
          </div>
        )}
      </Field>
      {twice && (
        <div class="stack-tight" role="status">
          <span class="small">{twice.text}</span>
          <div class="row">
            {twice.times.map((time) => (
              <Button key={time} size="small" onClick={() => onChoice({ time })}>
                {zoneText(time, zone)}
              </Button>
            ))}
          </div>
        </div>
      )}
    </form>
  );
}
