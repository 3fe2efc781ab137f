/** The chosen moment in words: when it was, what it is, what changed around it, and what can be done with it. */
import type { ComponentChildren } from "preact";
import { isSternwayError } from "../../../base/errors.ts";
import { Button } from "../parts/button.tsx";
import { Badge, Trouble } from "../parts/notice.tsx";
import { Card, Facts } from "../parts/page.tsx";
import { useAction } from "../resource.ts";
import { useMay } from "../session.tsx";
import { changeText, type Change, type Created } from "./around.ts";
import { choiceAt, useAround, type ChosenMoment } from "./chosen-moment.ts";
import { MomentWhen } from "./moment-when.tsx";
import { localText, microsOf, utcText } from "./time.ts";
import type { Choice } from "./words.ts";

export interface MomentPanelProps {
  volume: string;
  created: Created;
  choice: Choice;
  chosen: ChosenMoment;
  now: number;
  zone: string;
  onChoice: (choice: Choice) => void;
  /** What can be done with it; drawn once it is known. */
  actions?: ComponentChildren;
}

export function MomentPanel({ volume, created, choice, chosen, now, zone, onChoice, actions }: MomentPanelProps) {
  const { moment, error } = chosen;
  const may = useMay();
  const mayCompare = may("getDiff");
  const around = useAround(volume, moment, created, mayCompare);
  return (
    <Card title="The chosen moment" class="moment-panel">
      <MomentWhen time={choice.time} now={now} zone={zone} />
      <Trouble error={error} />
      <Nearest error={error} onMoment={(at) => choiceAt(volume, at).then(onChoice)} />
      {moment && (
        <>
          <Facts
            of={[
              ["In UTC", <span class="mono">{utcText(choice.time)}</span>],
              [
                "State of",
                <>
                  <span class="mono" data-testid="lsn">
                    lsn:{moment.lsn}
                  </span>{" "}
                  {moment.flushPoint ? (
                    <Badge tone="good">flush point</Badge>
                  ) : (
                    <span class="quiet">not a flush point: file systems may have to replay their journal</span>
                  )}
                </>,
              ],
              ["Newest record", localText(microsOf(moment.time), zone, "microsecond")],
              ["Minute before", mayCompare ? words(around, (found) => found.before) : undefined],
              ["Minute after", mayCompare ? words(around, (found) => found.after) : undefined],
            ]}
          />
          {/* While the panel still shows what it found of the choice before, nobody must act on that. */}
          {actions !== undefined && (
            <div class="row" inert={chosen.isStale}>
              {actions}
            </div>
          )}
        </>
      )}
    </Card>
  );
}

function words(
  state: ReturnType<typeof useAround>,
  pick: (around: { before: Change | undefined; after: Change }) => Change | undefined,
): ComponentChildren {
  switch (state.kind) {
    case "counting":
      return <span class="quiet">counting…</span>;
    case "failed":
      return <span class="quiet">could not be counted</span>;
    case "known": {
      const change = pick(state.around);
      return change === undefined ? "nothing to compare with" : `${changeText(change)} changed`;
    }
  }
}

/** Where a moment is no longer kept, the nearest that is, as a button. */
function Nearest({ error, onMoment }: { error: unknown; onMoment: (at: string) => Promise<void> }) {
  const going = useAction(onMoment);
  if (!isSternwayError(error, "not_found")) return null;
  const { oldestLsn, beforeLsn, horizonLsn } = error.facts;
  const offers = [
    ["Go to the nearest kept moment before", beforeLsn],
    ["Go to where every write begins to be kept", horizonLsn],
    ["Go to the oldest moment", oldestLsn],
  ] as const;
  return (
    <div class="row">
      {offers.map(([label, lsn]) =>
        typeof lsn === "number" ? (
          <Button key={label} size="small" onClick={() => void going.run(`lsn:${lsn}`)}>
            {label}
          </Button>
        ) : null,
      )}
    </div>
  );
}
