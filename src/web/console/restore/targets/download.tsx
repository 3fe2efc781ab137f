/** Downloads the disk as one file. The browser does it, shows its progress and can pause it, for the appliance answers ranges of an exact moment. */
import { useState } from "preact/hooks";
import { Button } from "../../parts/button.tsx";
import { ButtonLink } from "../../parts/link.tsx";
import { Notice } from "../../parts/notice.tsx";
import { downloadConsequences } from "../consequences.ts";
import { imagePath, timelinePath } from "../places.ts";
import { useDisk } from "../disk-field.tsx";
import { ReviewFrame } from "../review-frame.tsx";
import type { RestoreTarget, ReviewProps } from "../target.ts";

export const downloadTarget: RestoreTarget = {
  id: "download",
  title: "Download the disk as a file",
  summary: "A raw image for a VM, another host, or to write to a disk.",
  isDangerous: false,
  needs: () => ["getImage"],
  takes: () => true,
  Review,
};

function Review({ plan, onBack }: ReviewProps) {
  const { subject, at, moment } = plan;
  const { volume, field } = useDisk(subject);
  const [started, setStarted] = useState(false);
  return (
    <ReviewFrame title={`Download ${volume.name}`} consequences={downloadConsequences(volume, moment)}>
      {field}
      {started && (
        <Notice tone="good" live title="Your browser is downloading it">
          <p>
            It shows how far it is. If it breaks off, resume it there: the moment stays as it is. To copy files out,
            mount it on Linux, as root: <code>mount -o ro,noload,loop {fileName(volume.name, at)} /mnt</code> (with
            partitions, after <code>losetup --find --show --partscan --read-only</code>). Or boot it:{" "}
            <code>qemu-system-x86_64 -drive file={fileName(volume.name, at)},format=raw,snapshot=on</code>.
          </p>
          <ButtonLink to={timelinePath(volume.name, at)}>Back to the timeline</ButtonLink>
        </Notice>
      )}
      <div class="row-end">
        <Button onClick={onBack}>Back</Button>
        <a
          class="button button-primary"
          href={imagePath(volume.name, at)}
          download={fileName(volume.name, at)}
          onClick={() => setStarted(true)}
        >
          {started ? "Download again" : "Download"}
        </a>
      </div>
    </ReviewFrame>
  );
}

function fileName(volume: string, at: string): string {
  return `${volume}-${at.replaceAll(/[^A-Za-z0-9]+/g, "-")}.img`;
}
