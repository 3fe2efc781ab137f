/** Makes new disks that begin as a machine's were at one moment: a second machine to try something with. */
import { useState } from "preact/hooks";
import type { WireVolume } from "../../../../contract/contract.ts";
import { api } from "../../api.ts";
import { TextField } from "../../parts/field.tsx";
import { Link } from "../../parts/link.tsx";
import { useAction } from "../../resource.ts";
import { nameOfMoment, nameTrouble } from "../../timeline/moment-names.ts";
import { machineBranchConsequences } from "../consequences.ts";
import { timelinePath } from "../places.ts";
import { Outcome } from "../outcome.tsx";
import { ReviewForm } from "../review-form.tsx";
import { ReviewFrame } from "../review-frame.tsx";
import type { RestoreTarget, ReviewProps } from "../target.ts";

export const branchMachineTarget: RestoreTarget = {
  id: "branch-machine",
  title: "Make new disks from them",
  summary: "Writable copies of all disks that take no space at first, beside those of today.",
  isDangerous: false,
  needs: () => ["branchMachine"],
  takes: (subject) => subject.kind === "machine",
  Review,
};

function Review({ plan, onBack }: ReviewProps) {
  const { subject, at, moment } = plan;
  const [suffix, setSuffix] = useState(() => nameOfMoment("", moment.time, moment.zone));
  const [made, setMade] = useState<WireVolume[] | undefined>(undefined);
  const names = subject.volumes.map((volume) => `${volume.name}${suffix}`);
  const trouble = suffix === "" ? "The new disks need names of their own." : names.map(nameTrouble).find(Boolean);
  const making = useAction(async () => setMade(await api.branchMachine(subject.name, at, { suffix })));
  if (made) {
    return (
      <Outcome title="The new disks are there">
        <ul>
          {made.map(({ name }) => (
            <li key={name}>
              <Link to={timelinePath(name)}>{name}</Link>
            </li>
          ))}
        </ul>
      </Outcome>
    );
  }
  return (
    <ReviewFrame
      title={`New disks from ${subject.name}`}
      consequences={machineBranchConsequences(subject.name, moment, names)}
    >
      <ReviewForm doing={making} submit="Make the new disks" isReady={trouble === undefined} onBack={onBack}>
        <TextField
          label="Added to each disk’s name"
          value={suffix}
          onInput={setSuffix}
          error={trouble}
          maxLength={32}
          required
        />
      </ReviewForm>
    </ReviewFrame>
  );
}
