/** Mounts the moment from somewhere else: nothing is done here but to say how. */
import { useState } from "preact/hooks";
import { Button } from "../../parts/button.tsx";
import { SelectField } from "../../parts/field.tsx";
import { mountConsequences } from "../consequences.ts";
import { MountCommands } from "../mount-commands.tsx";
import { ReviewFrame } from "../review-frame.tsx";
import type { RestoreTarget, ReviewProps } from "../target.ts";

export const mountTarget: RestoreTarget = {
  id: "mount",
  title: "Mount it and copy files out",
  summary: "Attach the past disk, read-only, to a machine of yours. The quickest way to single files.",
  isDangerous: false,
  needs: () => ["getImage"],
  takes: () => true,
  Review,
};

function Review({ plan, onBack }: ReviewProps) {
  const { subject, at, moment } = plan;
  const [name, setName] = useState(subject.volumes[0]!.name);
  const volume = subject.volumes.find((each) => each.name === name) ?? subject.volumes[0]!;
  return (
    <ReviewFrame title={`Mount ${volume.name}`} consequences={mountConsequences(volume, moment)}>
      {subject.volumes.length > 1 && (
        <SelectField
          label="Disk"
          value={volume.name}
          onInput={setName}
          choices={subject.volumes.map((each) => ({ value: each.name, label: each.name }))}
        />
      )}
      <MountCommands volume={volume.name} at={at} />
      <p class="small">
        When you have what you need, detach it: <code>sudo umount /mnt</code>, then{" "}
        <code>sudo nbd-client -d /dev/nbd0</code> or <code>sudo qemu-nbd -d /dev/nbd0</code>.
      </p>
      <div class="row-end">
        <Button onClick={onBack}>Back</Button>
      </div>
    </ReviewFrame>
  );
}
