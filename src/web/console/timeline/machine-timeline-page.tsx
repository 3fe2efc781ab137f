/** The timeline of a machine: the sum of what its disks did. A moment of it is a time, which every disk has. */
import { useState } from "preact/hooks";
import type { WireVolume } from "../../../contract/contract.ts";
import { api } from "../api.ts";
import { MachineCertificates } from "../certificates.tsx";
import { Link } from "../parts/link.tsx";
import { Badge, Loaded, Notice } from "../parts/notice.tsx";
import { Card, Facts, Page } from "../parts/page.tsx";
import { useResource } from "../resource.ts";
import { timelinePath } from "../restore/places.ts";
import { useMay } from "../session.tsx";
import { useInitialChoice } from "./chosen-moment.ts";
import { HistoryExplorer, type Explored } from "./history-explorer.tsx";
import { MachineActions } from "./machine-actions.tsx";
import { MomentWhen } from "./moment-when.tsx";
import { ShownChart } from "./shown-chart.tsx";
import { useSignals } from "./signals.ts";
import { utcText, wireTime } from "./time.ts";
import type { Choice } from "./words.ts";

export function MachineTimelinePage({ name }: { name: string }) {
  const machine = useResource(() => api.machine(name), [name]);
  const may = useMay();
  return (
    <Page
      title={`${name}: timeline`}
      back={{ to: "/machines", label: "Machines" }}
      intro="What all disks of this machine received, together. A moment here is one moment of all of them."
    >
      <Loaded of={machine}>
        {({ volumes, missing }) => (
          <>
            {missing.length > 0 && (
              <Notice tone="warn" title="Not all disks can be had">
                {missing.map(({ reason }) => reason).join("; ")}
              </Notice>
            )}
            {volumes.length > 0 && <OfMachine machine={name} volumes={volumes} />}
            {may("listCredentials") && (
              <Card title="Certificates">
                <MachineCertificates machine={name} />
              </Card>
            )}
          </>
        )}
      </Loaded>
    </Page>
  );
}

function OfMachine({ machine, volumes }: { machine: string; volumes: readonly WireVolume[] }) {
  const names = volumes.map((volume) => volume.name);
  const [choice, setChoice] = useState<Choice | undefined>(undefined);
  useInitialChoice(names[0]!, undefined, setChoice);
  const signals = useSignals(volumes);
  return (
    <Card>
      <HistoryExplorer
        label={machine}
        volumes={names}
        choice={choice}
        extraMarks={signals.marks}
        // LSNs of different vaults do not compare: what counts for the machine is the time.
        onChoice={({ time }) => setChoice({ time })}
      >
        {(explored) => choice && <MachineMoment {...{ machine, choice, explored }} />}
      </HistoryExplorer>
    </Card>
  );
}

function MachineMoment({ machine, choice, explored }: { machine: string; choice: Choice; explored: Explored }) {
  const { now, zone, volumes, data, view } = explored;
  const [said, setSaid] = useState("");
  const at = wireTime(choice.time);
  const moment = useResource(() => api.resolveMachine(machine, at), [machine, at]);
  return (
    <>
      <Card title="The chosen moment" class="moment-panel">
        <MomentWhen time={choice.time} now={now} zone={zone} />
        <Loaded of={moment}>
          {(found) => (
            <>
              <Facts
                of={[
                  ["In UTC", utcText(choice.time)],
                  ...found.volumes.map(
                    ({ volume, lsn, flushPoint }) =>
                      [
                        volume,
                        <>
                          <Link to={timelinePath(volume, `lsn:${lsn}`)}>lsn:{lsn}</Link>{" "}
                          {flushPoint && <Badge tone="good">flush point</Badge>}
                        </>,
                      ] as const,
                  ),
                ]}
              />
              {!found.isOne && (
                <Notice tone="warn" title="Not quite one moment">
                  Retention kept different moments of these disks: they are at the newest that each still has.
                </Notice>
              )}
              <MachineActions
                {...{ machine, at, zone }}
                moment={found}
                time={choice.time}
                onDone={(text) => {
                  setSaid(text);
                  data.reload();
                }}
              />
            </>
          )}
        </Loaded>
      </Card>
      {said !== "" && (
        <Notice tone="good" live>
          {said}
        </Notice>
      )}
      <ShownChart
        label={volumes.length === 1 ? "Show a chart with figures" : `Show a chart of all ${volumes.length} disks`}
        facts={data.facts}
        view={view}
        zone={zone}
      />
    </>
  );
}
