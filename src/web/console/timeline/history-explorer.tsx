/**
 * A history to choose a moment in: the strip with its tools, the chosen moment in words, and beside them whatever the page adds. The timeline pages and the wizard's
 * "when" are this same thing.
 */
import type { ComponentChildren } from "preact";
import { useEffect, useMemo, useState } from "preact/hooks";
import { Loaded, Trouble } from "../parts/notice.tsx";
import { useNow } from "../parts/figures.tsx";
import { useResource } from "../resource.ts";
import { choiceAt, flushPointBeside, resolvedLsn } from "./chosen-moment.ts";
import type { Mark } from "./facts.ts";
import { FactsTable } from "./facts-table.tsx";
import { Legend } from "./legend.tsx";
import { loadHistory, useStripData, type HistoryOf, type StripData } from "./strip-data.ts";
import { Strip } from "./strip.tsx";
import { StripTools } from "./strip-tools.tsx";
import { localZone } from "./time.ts";
import { following, revealing, wholeView, type View } from "./view.ts";
import type { Choice } from "./words.ts";

export interface Explored extends HistoryOf {
  data: StripData;
  view: View;
  now: number;
  zone: string;
}

export interface HistoryExplorerProps {
  /** Whose history, in words. */
  label: string;
  /** At least one. */
  volumes: readonly string[];
  choice: Choice | undefined;
  onChoice: (choice: Choice) => void;
  /** Marks of other origin, such as alarms. */
  extraMarks?: readonly Mark[];
  /** Below the strip. */
  children?: (explored: Explored) => ComponentChildren;
}

export function HistoryExplorer(props: HistoryExplorerProps) {
  const { volumes } = props;
  const history = useResource(() => loadHistory(volumes), [volumes.join("\n")], { everyMs: 30_000 });
  return <Loaded of={history}>{(found) => <Explorer {...props} history={found} />}</Loaded>;
}

function Explorer({
  label,
  volumes,
  choice,
  onChoice,
  extraMarks,
  children,
  history,
}: HistoryExplorerProps & { history: HistoryOf }) {
  const zone = useMemo(localZone, []);
  const now = useNow(1_000) * 1000 + history.ahead;
  const { kept } = history;
  const bounds = wholeView(kept.createdAt, now);
  const [view, setView] = useState<View>(bounds);
  const [width, setWidth] = useState(0);
  useEffect(() => setView((old) => following(old, bounds, now)), [now]);
  const data = useStripData(volumes, view, width);
  const [step, setStep] = useState<{ error: unknown; said: string }>({ error: undefined, said: "" });
  const facts = useMemo(() => withMarks(data.facts, extraMarks), [data.facts, extraMarks]);

  const choose = (next: Choice): void => {
    setStep({ error: undefined, said: "" });
    onChoice(next);
  };
  const show = (next: Choice): void => {
    choose(next);
    setView((old) => revealing(old, next.time, bounds));
  };

  /** To the flush point before or after the chosen moment; `at` counts too when it is one. */
  const stepFlush = async (direction: -1 | 1, isInclusive = false): Promise<void> => {
    try {
      const found = await besides(volumes, choice ?? { time: now }, direction, isInclusive);
      if (found) show(found);
      else
        setStep({
          error: undefined,
          said: direction < 0 ? "There is no flush point before this." : "There is no flush point after this.",
        });
    } catch (error) {
      setStep({ error, said: "" });
    }
  };

  return (
    <div class="stack">
      <StripTools
        view={view}
        bounds={bounds}
        now={now}
        zone={zone}
        kept={kept}
        choice={choice}
        onView={setView}
        onChoice={show}
        onMoment={async (at) => show(await choiceAt(volumes[0]!, at))}
        onStep={(direction) => stepFlush(direction)}
        onLastGood={() => stepFlush(-1, true)}
      />
      <Strip
        label={`the history of ${label}`}
        facts={facts}
        kept={kept}
        view={view}
        bounds={bounds}
        now={now}
        zone={zone}
        choice={choice}
        hasSeveral={volumes.length > 1}
        onView={setView}
        onChoice={choose}
        onStep={(direction) => void stepFlush(direction)}
        onWidth={setWidth}
      />
      <Legend kept={kept} />
      <Trouble error={data.error ?? step.error} />
      <p class="quiet" role="status">
        {step.said}
      </p>
      {children?.({ ...history, data: { ...data, facts }, view, now, zone })}
      <FactsTable facts={facts} view={view} zone={zone} kept={kept} now={now} onChoice={show} />
    </div>
  );
}

function withMarks(facts: StripData["facts"], extra: readonly Mark[] | undefined): StripData["facts"] {
  if (!facts || !extra || extra.length === 0) return facts;
  const within = extra.filter(({ time }) => time >= facts.grid.from && time < facts.grid.to);
  return { ...facts, marks: [...facts.marks, ...within].sort((a, b) => a.time - b.time) };
}

/**
 * The nearest flush point of any of the volumes. Of several volumes it is chosen by its time, since LSNs of different vaults do not compare.
 * @param isInclusive - the moment itself counts, if it is one
 */
async function besides(
  volumes: readonly string[],
  choice: Choice,
  direction: -1 | 1,
  isInclusive: boolean,
): Promise<Choice | undefined> {
  const found = await Promise.all(
    volumes.map(async (volume) => {
      const lsn = await resolvedLsn(volume, choice);
      return await flushPointBeside(volume, isInclusive ? lsn + 1 : lsn, direction);
    }),
  );
  const points = found.filter((point) => point !== undefined).sort((a, b) => (a.time - b.time) * direction);
  const [nearest] = points;
  if (!nearest) return undefined;
  return volumes.length === 1 ? nearest : { time: nearest.time };
}
