/** Sets all live disks of a machine back to one moment. The appliance checks everything first and bookmarks the state before by itself. */
import { useState } from "preact/hooks";
import type { WireMachineRollback } from "../../../../contract/machines.ts";
import { api } from "../../api.ts";
import { TextField } from "../../parts/field.tsx";
import { Loaded } from "../../parts/notice.tsx";
import { useNow } from "../../parts/figures.tsx";
import { useAction, useResource } from "../../resource.ts";
import { machineRollbackConsequences } from "../consequences.ts";
import { restorePath } from "../places.ts";
import { RolledBack } from "../outcome.tsx";
import type { Subject } from "../plan.ts";
import { ForceField, ReviewForm } from "../review-form.tsx";
import { ReviewFrame } from "../review-frame.tsx";
import { subjectOf } from "../subjects.ts";
import type { RestoreTarget, ReviewProps } from "../target.ts";

export const rollbackMachineTarget: RestoreTarget = {
  id: "rollback-machine",
  title: "Roll the machine back",
  summary: "All its live disks become what they were at that one moment. Shut the machine down first.",
  isDangerous: true,
  needs: () => ["rollbackMachine"],
  takes: (subject) => subject.kind === "machine",
  Review,
};

/** The disks as they stand now: clients come and go while somebody reads. */
function Review(props: ReviewProps) {
  const { name } = props.plan.subject;
  const now = useResource(() => subjectOf("machine", name), [name]);
  return <Loaded of={now}>{({ volumes }) => <Asked {...props} volumes={volumes} onLookAgain={now.reload} />}</Loaded>;
}

interface AskedProps extends ReviewProps {
  volumes: Subject["volumes"];
  onLookAgain: () => void;
}

function Asked({ plan, onBack, volumes, onLookAgain }: AskedProps) {
  const { subject, at, moment } = plan;
  const now = useNow(10_000) * 1000;
  const [typed, setTyped] = useState("");
  const [force, setForce] = useState(false);
  const [done, setDone] = useState<WireMachineRollback | undefined>(undefined);
  const attached = volumes.reduce((sum, volume) => sum + volume.attached, 0);
  const doing = useAction(async () =>
    setDone(await api.rollbackMachine(subject.name, at, attached > 0 ? { force } : {})),
  );
  if (done) return <Done machine={subject.name} done={done} />;
  const isReady = typed === subject.name && (attached === 0 || force);
  return (
    <ReviewFrame
      title={`Roll ${subject.name} back`}
      consequences={machineRollbackConsequences(subject.name, volumes, moment, now)}
    >
      <ReviewForm
        doing={doing}
        submit="Roll back"
        isReady={isReady}
        isDangerous
        trouble={`${subject.name} was not rolled back`}
        onBack={onBack}
        onFailed={onLookAgain}
      >
        <ForceField attached={attached} force={force} onForce={setForce} onLookAgain={onLookAgain} />
        <TextField label={`Type ${subject.name} to confirm`} value={typed} onInput={setTyped} autocomplete="off" mono />
      </ReviewForm>
    </ReviewFrame>
  );
}

const STATE_WORDS: Record<WireMachineRollback["volumes"][number]["state"], string> = {
  "rolled-back": "rolled back",
  failed: "not rolled back",
  untouched: "left as it was",
};

function Done({ machine, done }: { machine: string; done: WireMachineRollback }) {
  const isWhole = done.outcome === "done";
  return (
    <RolledBack
      title={isWhole ? `${machine} is rolled back` : `${machine} is rolled back in part`}
      isPartial={!isWhole}
      undo={done.undo}
      undoPath={restorePath({ machine, at: done.undo, to: "rollback-machine" })}
      timelinePath={`/machines/${encodeURIComponent(machine)}`}
    >
      {isWhole ? (
        <p>
          All its disks read as they did at that moment. Start the machine again and look whether it is what you wanted.
        </p>
      ) : (
        <ul>
          {done.volumes.map(({ volume, state, error }) => (
            <li key={volume}>
              {volume}: {STATE_WORDS[state]}
              {error === undefined ? "" : `, ${error}`}
            </li>
          ))}
        </ul>
      )}
    </RolledBack>
  );
}
