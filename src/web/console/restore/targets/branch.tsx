/** Makes a new disk that begins as the old one was: to try something, or to run both. */
import { useState } from "preact/hooks";
import type { WireVolume } from "../../../../contract/contract.ts";
import { api } from "../../api.ts";
import { TextField } from "../../parts/field.tsx";
import { ButtonLink } from "../../parts/link.tsx";
import { useAction } from "../../resource.ts";
import { nameOfMoment, nameTrouble } from "../../timeline/moment-names.ts";
import { branchConsequences } from "../consequences.ts";
import { MountCommands } from "../mount-commands.tsx";
import { timelinePath } from "../places.ts";
import { Outcome } from "../outcome.tsx";
import { ReviewForm } from "../review-form.tsx";
import { ReviewFrame } from "../review-frame.tsx";
import type { RestoreTarget, ReviewProps } from "../target.ts";

export const branchTarget: RestoreTarget = {
  id: "branch",
  title: "Make a new disk from it",
  summary: "A writable copy that takes no space at first, beside the disk of today.",
  isDangerous: false,
  needs: () => ["createBranch"],
  takes: (subject) => subject.kind === "volume",
  Review,
};

function Review({ plan, onBack }: ReviewProps) {
  const { subject, at, moment } = plan;
  const volume = subject.volumes[0]!;
  const [name, setName] = useState(() => nameOfMoment(volume.name, moment.time, moment.zone));
  const [made, setMade] = useState<WireVolume | undefined>(undefined);
  const trouble = nameTrouble(name);
  const making = useAction(async () => setMade(await api.branch(volume.name, at, name)));
  if (made) return <Made volume={made} />;
  return (
    <ReviewFrame title={`A new disk from ${volume.name}`} consequences={branchConsequences(volume, moment, name)}>
      <ReviewForm doing={making} submit="Make the new disk" isReady={trouble === undefined} onBack={onBack}>
        <TextField
          label="Name of the new disk"
          value={name}
          onInput={setName}
          error={name === "" ? undefined : trouble}
          maxLength={64}
          required
        />
      </ReviewForm>
    </ReviewFrame>
  );
}

function Made({ volume }: { volume: WireVolume }) {
  return (
    <>
      <Outcome title={`The disk ${volume.name} is there`}>
        <p>It can be attached and written to now. These commands attach it live.</p>
        <div class="row">
          <ButtonLink to={timelinePath(volume.name)}>Open its timeline</ButtonLink>
        </div>
      </Outcome>
      <MountCommands volume={volume.name} />
    </>
  );
}
