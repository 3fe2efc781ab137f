/** Mounts the moment from somewhere else: nothing is done here but to say how. */
import { Button } from "../../parts/button.tsx";
import { mountConsequences } from "../consequences.ts";
import { MountCommands } from "../mount-commands.tsx";
import { useDisk } from "../disk-field.tsx";
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
  const { volume, field } = useDisk(subject);
  return (
    <ReviewFrame title={`Mount ${volume.name}`} consequences={mountConsequences(volume, moment)}>
      {field}
      <MountCommands volume={volume.name} at={at} />
      <div class="row-end">
        <Button onClick={onBack}>Back</Button>
      </div>
    </ReviewFrame>
  );
}
