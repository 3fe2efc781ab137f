/** The timeline of one volume: its history to look at, and the way from a moment to getting it back. */
import { useState } from "preact/hooks";
import { api } from "../api.ts";
import { useResource } from "../resource.ts";
import { usePlace } from "../route.ts";
import { Notice, Trouble } from "../parts/notice.tsx";
import { Card, Page } from "../parts/page.tsx";
import { useMoment, useInitialChoice } from "./chosen-moment.ts";
import { HistoryExplorer, type Explored } from "./history-explorer.tsx";
import { MomentActions } from "./moment-actions.tsx";
import { MomentPanel } from "./moment-panel.tsx";
import { ShownChart } from "./shown-chart.tsx";
import { useSignals, type Signals } from "./signals.ts";
import type { Choice } from "./words.ts";

export function VolumeTimelinePage({ name }: { name: string }) {
  const { query } = usePlace();
  const [choice, setChoice] = useState<Choice | undefined>(undefined);
  const error = useInitialChoice(name, query.get("at") ?? undefined, setChoice);
  const volume = useResource(() => api.volume(name), [name]);
  const signals = useSignals(volume.value ? [volume.value] : []);
  return (
    <Page
      title={`${name}: timeline`}
      back={{ to: "/volumes", label: "Volumes" }}
      intro="Every write that this disk ever received. Find the moment that you want back, then restore it."
    >
      <Trouble error={error} title="The moment in the address cannot be had" />
      <Card>
        <HistoryExplorer label={name} volumes={[name]} choice={choice} onChoice={setChoice} extraMarks={signals.marks}>
          {(explored) => <OfVolume {...{ name, choice, setChoice, explored, signals }} />}
        </HistoryExplorer>
      </Card>
    </Page>
  );
}

interface OfVolumeProps {
  name: string;
  choice: Choice | undefined;
  setChoice: (choice: Choice) => void;
  explored: Explored;
  signals: Signals;
}

function OfVolume({ name, choice, setChoice, explored, signals }: OfVolumeProps) {
  const chosen = useMoment(name, choice);
  const [said, setSaid] = useState("");
  const { now, zone, data, view, kept } = explored;
  return (
    <>
      {choice && (
        <MomentPanel
          volume={name}
          created={{ time: kept.createdAt, lsn: explored.volumes[0]!.createdLsn }}
          choice={choice}
          chosen={chosen}
          now={now}
          zone={zone}
          onChoice={setChoice}
          actions={
            chosen.moment && (
              <MomentActions
                volume={name}
                moment={chosen.moment}
                time={choice.time}
                zone={zone}
                onDone={(text) => {
                  setSaid(text);
                  data.reload();
                }}
              />
            )
          }
        />
      )}
      {said !== "" && (
        <Notice tone="good" live>
          {said}
        </Notice>
      )}
      <ShownChart
        label="Show a chart with figures"
        facts={data.facts}
        view={view}
        zone={zone}
        compressibility={signals.compressibility}
      />
    </>
  );
}
