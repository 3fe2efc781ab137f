/** When: a moment on the strip, or one of those that have a name. */
import { useState } from "preact/hooks";
import { api } from "../api.ts";
import { Button } from "../parts/button.tsx";
import { Card } from "../parts/page.tsx";
import { useResource } from "../resource.ts";
import { choiceText, type Choice } from "../timeline/words.ts";
import { useInitialChoice, useMoment } from "../timeline/chosen-moment.ts";
import { HistoryExplorer } from "../timeline/history-explorer.tsx";
import { MomentPanel } from "../timeline/moment-panel.tsx";
import { agoText, localText, localZone, microsOf, wireTime } from "../timeline/time.ts";
import { Trouble } from "../parts/notice.tsx";
import type { WireAlarm } from "../../../contract/contract.ts";
import { useSignals } from "../timeline/signals.ts";
import type { Subject } from "./plan.ts";

export interface WhenStepProps {
  subject: Subject;
  /** @param at - as the API takes it */
  onMoment: (at: string) => void;
}

export function WhenStep({ subject, onMoment }: WhenStepProps) {
  const names = subject.volumes.map((volume) => volume.name);
  const first = names[0]!;
  const [choice, setChoice] = useState<Choice | undefined>(undefined);
  const error = useInitialChoice(first, undefined, setChoice);
  const chosen = useMoment(first, choice);
  const signals = useSignals(subject.volumes);
  return (
    <>
      <Named subject={subject} alarms={signals.alarms} onMoment={onMoment} />
      <Card title="When was it still good?">
        <Trouble error={error} />
        <HistoryExplorer
          label={subject.name}
          volumes={names}
          choice={choice}
          onChoice={setChoice}
          extraMarks={signals.marks}
        >
          {({ now, zone, kept }) =>
            choice && (
              <MomentPanel
                volume={first}
                created={{ time: kept.createdAt, lsn: subject.volumes[0]!.createdLsn }}
                choice={choice}
                chosen={chosen}
                now={now}
                zone={zone}
                onChoice={setChoice}
                actions={
                  <Button
                    kind="primary"
                    onClick={() =>
                      onMoment(choiceText(subject.kind === "volume" ? choice : { time: choice.time }, wireTime))
                    }
                  >
                    Take this moment
                  </Button>
                }
              />
            )
          }
        </HistoryExplorer>
      </Card>
    </>
  );
}

/** What fits at one look; the strip has them all. */
const NAMED_MAX = 6;
const ALARMS_MAX = 2;

/** Moments before alarms, then bookmarks and, of a disk, holds, newest first: the moments that somebody expected to be wanted. */
function Named({
  subject,
  alarms,
  onMoment,
}: {
  subject: Subject;
  alarms: readonly WireAlarm[];
  onMoment: (at: string) => void;
}) {
  const { kind: what, name: whose } = subject;
  const zone = localZone();
  const named = useResource(async () => {
    if (what === "machine") {
      const bookmarks = await api.machineBookmarks(whose);
      return bookmarks
        .map(({ name, createdAt, volumes }) => ({
          kind: "bookmark",
          name,
          time: volumes[0]?.time ?? createdAt,
          at: `bookmark:${name}`,
        }))
        .toReversed();
    }
    const [bookmarks, holds] = await Promise.all([api.bookmarks(whose), api.holds(whose)]);
    return [
      ...bookmarks.map((each) => ({ ...each, kind: "bookmark", at: `lsn:${each.lsn}` })),
      ...holds.map((each) => ({ ...each, kind: "hold", at: `lsn:${each.lsn}` })),
    ].sort((a, b) => b.lsn - a.lsn);
  }, [what, whose]);
  const beforeAlarms = alarms.slice(0, ALARMS_MAX).map(({ id, before, first }) => ({
    kind: "the last moment before",
    name: `Before the alarm of ${localText(microsOf(first.time), zone, "minute")}`,
    key: `alarm-${id}`,
    time: before.time,
    // A moment of a machine is a time, which every disk of it has.
    at: what === "machine" ? wireTime(microsOf(before.time)) : `lsn:${before.lsn}`,
  }));
  const marked = (named.value ?? []).slice(0, NAMED_MAX).map((each) => ({ ...each, key: `${each.kind}-${each.name}` }));
  const shown = [...beforeAlarms, ...marked];
  if (shown.length === 0 && named.error === undefined) return null;
  return (
    <Card title="Moments with a name">
      <Trouble error={named.error} title="Bookmarks cannot be shown now" />
      <ul class="targets targets-row">
        {shown.map(({ key, kind, name, at, time }) => (
          <li key={key}>
            <button type="button" class="target" onClick={() => onMoment(at)}>
              <span class="target-title">{name}</span>
              <span class="quiet">
                {kind}, {localText(microsOf(time), zone, "minute")}, {agoText(microsOf(time), Date.now() * 1000)}
              </span>
            </button>
          </li>
        ))}
      </ul>
    </Card>
  );
}
