/** Makes new disks that begin as a machine's were at one moment: a second machine to try something with. */
import { useState } from "preact/hooks";
import type { WireVolume } from "../../../../contract/contract.ts";
import { api } from "../../api.ts";
import { Button } from "../../parts/button.tsx";
import { TextField } from "../../parts/field.tsx";
import { Link } from "../../parts/link.tsx";
import { Notice, Trouble } from "../../parts/notice.tsx";
import { useAction } from "../../resource.ts";
import { nameOfMoment, nameTrouble } from "../../timeline/moment-names.ts";
import { branchConsequences } from "../consequences.ts";
import { timelinePath } from "../places.ts";
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
      <Notice tone="good" live title="The new disks are there">
        <ul>
          {made.map(({ name }) => (
            <li key={name}>
              <Link to={timelinePath(name)}>{name}</Link>
            </li>
          ))}
        </ul>
      </Notice>
    );
  }
  return (
    <ReviewFrame
      title={`New disks from ${subject.name}`}
      consequences={branchConsequences({ name: subject.name }, moment, names.join(", "))}
    >
      <form
        class="stack"
        onSubmit={(event) => {
          event.preventDefault();
          void making.run();
        }}
      >
        <TextField
          label="After each disk's name"
          value={suffix}
          onInput={setSuffix}
          error={trouble}
          maxLength={32}
          required
        />
        <Trouble error={making.error} />
        <div class="row-end">
          <Button onClick={onBack}>Back</Button>
          <Button type="submit" kind="primary" busy={making.busy} disabled={trouble !== undefined}>
            Make the new disks
          </Button>
        </div>
      </form>
    </ReviewFrame>
  );
}
