/** Sets all live disks of a machine back to one moment. The appliance checks everything first and bookmarks the state before by itself. */
import { useState } from "preact/hooks";
import type { WireMachineRollback } from "../../../../contract/machines.ts";
import { api } from "../../api.ts";
import { Button } from "../../parts/button.tsx";
import { CheckField, TextField } from "../../parts/field.tsx";
import { ButtonLink } from "../../parts/link.tsx";
import { Notice, Trouble } from "../../parts/notice.tsx";
import { useNow } from "../../parts/figures.tsx";
import { useAction } from "../../resource.ts";
import { several } from "../../timeline/time.ts";
import { machineRollbackConsequences } from "../consequences.ts";
import { restorePath } from "../places.ts";
import { ReviewFrame } from "../review-frame.tsx";
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

function Review({ plan, onBack }: ReviewProps) {
  const { subject, at, moment } = plan;
  const now = useNow(10_000) * 1000;
  const [typed, setTyped] = useState("");
  const [force, setForce] = useState(false);
  const [done, setDone] = useState<WireMachineRollback | undefined>(undefined);
  const doing = useAction(async () => setDone(await api.rollbackMachine(subject.name, at, force ? { force } : {})));
  if (done) return <RolledBack machine={subject.name} done={done} />;
  const attached = subject.volumes.reduce((sum, volume) => sum + volume.attached, 0);
  const isReady = typed === subject.name && (attached === 0 || force);
  return (
    <ReviewFrame
      title={`Roll ${subject.name} back`}
      consequences={machineRollbackConsequences(subject.name, subject.volumes, moment, now)}
    >
      <form
        class="stack"
        onSubmit={(event) => {
          event.preventDefault();
          if (isReady) void doing.run();
        }}
      >
        {attached > 0 && (
          <CheckField
            label={`Roll back although ${several(attached, "client")} ${attached === 1 ? "is" : "are"} attached`}
            hint="Their file systems will be damaged unless they are shut down."
            checked={force}
            onInput={setForce}
          />
        )}
        <TextField label={`Type ${subject.name} to confirm`} value={typed} onInput={setTyped} autocomplete="off" mono />
        <Trouble error={doing.error} title={`${subject.name} was not rolled back`} />
        <div class="row-end">
          <Button onClick={onBack}>Back</Button>
          <Button type="submit" kind="danger-filled" busy={doing.busy} disabled={!isReady}>
            Roll back
          </Button>
        </div>
      </form>
    </ReviewFrame>
  );
}

function RolledBack({ machine, done }: { machine: string; done: WireMachineRollback }) {
  const isWhole = done.outcome === "done";
  return (
    <Notice
      tone={isWhole ? "good" : "bad"}
      live
      title={isWhole ? `${machine} is rolled back` : `${machine} is rolled back in part`}
    >
      <div class="stack">
        {isWhole ? (
          <p>
            All its disks read as they did at that moment. Start the machine again and look whether it is what you
            wanted.
          </p>
        ) : (
          <ul>
            {done.volumes.map(({ volume, state, error }) => (
              <li key={volume}>
                {volume}: {state === "rolled-back" ? "rolled back" : state}
                {error === undefined ? "" : `, ${error}`}
              </li>
            ))}
          </ul>
        )}
        <p>
          To undo this, roll back to the moment before: <code data-testid="undo">{done.undo}</code>.
        </p>
        <div class="row">
          <ButtonLink to={restorePath({ machine, at: done.undo, to: "rollback-machine" })}>Undo this</ButtonLink>
          <ButtonLink to={`/machines/${encodeURIComponent(machine)}`}>Back to the timeline</ButtonLink>
        </div>
      </div>
    </Notice>
  );
}
