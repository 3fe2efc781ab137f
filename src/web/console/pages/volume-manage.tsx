/** One volume's affairs: its size, bookmarks, holds, branches, how it is watched, and its end. Its history is on the timeline. */
import type { WireVolume } from "../../../contract/contract.ts";
import { useState } from "preact/hooks";
import { api } from "../api.ts";
import { AttachedBadge } from "../attached-badge.tsx";
import { Button } from "../parts/button.tsx";
import { Confirm, FormDialog } from "../parts/dialog.tsx";
import { CheckField, ChoiceField, type Choice } from "../parts/field.tsx";
import { Size, Time } from "../parts/figures.tsx";
import { ButtonLink, Link } from "../parts/link.tsx";
import { Loaded, Notice, Trouble } from "../parts/notice.tsx";
import { Card, Facts, Page } from "../parts/page.tsx";
import { Bookmarks, Holds } from "./volume-moments.tsx";
import { SizeField, useSizeText } from "../size-field.tsx";
import { navigate, pathWith } from "../route.ts";
import { useAction, useResource } from "../resource.ts";
import { useMay } from "../session.tsx";
import { formatSize } from "../words.ts";
import { Branches } from "./volume-branches.tsx";

export function VolumeManage({ name }: { name: string }) {
  const may = useMay();
  const path = `/volumes/${encodeURIComponent(name)}`;
  const volume = useResource(() => api.volume(name), [name], { everyMs: 5_000 });
  const [open, setOpen] = useState<"" | "resize" | "delete">("");
  return (
    <Page
      title={name}
      back={{ to: path, label: `Timeline of ${name}` }}
      actions={
        <>
          <ButtonLink to={`/protect/${encodeURIComponent(name)}`}>How to connect it</ButtonLink>
          {may("getImage") && (
            <ButtonLink to={pathWith("/restore", { volume: name })} kind="primary">
              Restore
            </ButtonLink>
          )}
        </>
      }
    >
      <Card
        title="The volume"
        actions={
          <>
            {may("resizeVolume") && (
              <Button size="small" onClick={() => setOpen("resize")} disabled={!volume.value}>
                Resize
              </Button>
            )}
            {may("deleteVolume") && (
              <Button size="small" kind="danger" onClick={() => setOpen("delete")} disabled={!volume.value}>
                Delete
              </Button>
            )}
          </>
        }
      >
        <Loaded of={volume}>{(value) => <VolumeFacts volume={value} />}</Loaded>
      </Card>
      <Bookmarks name={name} />
      <Holds name={name} />
      <Branches name={name} />
      <Watching name={name} />
      {open === "resize" && volume.value && (
        <Resize volume={volume.value} onClose={() => setOpen("")} onDone={volume.reload} />
      )}
      {open === "delete" && volume.value && <Delete volume={volume.value} onClose={() => setOpen("")} />}
    </Page>
  );
}

function VolumeFacts({ volume }: { volume: WireVolume }) {
  return (
    <Facts
      of={[
        ["Size", <Size key="size" bytes={volume.sizeBytes} />],
        ["Now", <AttachedBadge key="now" volume={volume} />],
        ["Last write", <Time key="write" at={volume.lastWriteAt} />],
        ["Vault", volume.vault],
        ["Protected since", <Time key="since" at={volume.createdAt} as="local" />],
        [
          "What is kept",
          <Link key="kept" to={`/retention/${encodeURIComponent(volume.name)}`}>
            Retention
          </Link>,
        ],
        [
          "Branch of",
          volume.origin && (
            <Link to={`/volumes/${encodeURIComponent(volume.origin.volume)}`}>{volume.origin.volume}</Link>
          ),
        ],
        ["Rolled back", volume.rolledBack && <Time at={volume.rolledBack.at} />],
      ]}
    />
  );
}

function Resize({ volume, onClose, onDone }: { volume: WireVolume; onClose: () => void; onDone: () => void }) {
  const size = useSizeText(formatSize(volume.sizeBytes));
  const [force, setForce] = useState(false);
  const shrinks = size.bytes !== undefined && size.bytes < volume.sizeBytes;
  return (
    <FormDialog
      title={`Resize ${volume.name}`}
      submit="Resize"
      disabled={size.bytes === undefined || size.bytes === volume.sizeBytes}
      onClose={onClose}
      onSubmit={async () => {
        if (size.bytes === undefined) return;
        await api.resizeVolume(volume.name, size.bytes, { force });
        onDone();
      }}
    >
      <SizeField label="New size" size={size} />
      {shrinks && (
        <Notice tone="warn" live title="Smaller than now">
          What lies beyond the new end is cut off from the present. It stays in the history and can be had back from
          there. Shrink the file system inside first.
        </Notice>
      )}
      {shrinks && volume.attached > 0 && (
        <CheckField label="Although a machine is connected to it" checked={force} onInput={setForce} />
      )}
    </FormDialog>
  );
}

function Delete({ volume, onClose }: { volume: WireVolume; onClose: () => void }) {
  const [force, setForce] = useState(false);
  return (
    <Confirm
      title={`Delete ${volume.name}?`}
      submit="Delete it with its history"
      name={volume.name}
      onClose={onClose}
      onSubmit={async () => {
        await api.deleteVolume(volume.name, { force });
        navigate("/volumes");
      }}
    >
      <p>
        The volume of {formatSize(volume.sizeBytes)} and its whole history are gone after this. Nothing brings them
        back. Branches of it stay.
      </p>
      {volume.attached > 0 && (
        <>
          <p>A machine is connected to it and loses its disk.</p>
          <CheckField label="Although it is connected" checked={force} onInput={setForce} />
        </>
      )}
    </Confirm>
  );
}

type Sensitivity = Awaited<ReturnType<typeof api.signals>>["sensitivity"];
const SENSITIVITIES: readonly Choice<Sensitivity>[] = [
  { value: "off", label: "Off", hint: "no alarms of this volume" },
  { value: "low", label: "Low", hint: "8 MiB that turn into what looks random" },
  { value: "normal", label: "Normal", hint: "2 MiB" },
  { value: "high", label: "High", hint: "1 MiB" },
];

/** How little is enough for an alarm. */
function Watching({ name }: { name: string }) {
  const may = useMay();
  const signals = useResource(() => api.signals(name, { buckets: 1 }), [name]);
  const set = useAction(async (sensitivity: Sensitivity) => {
    await api.setSignals(name, { sensitivity });
    signals.reload();
  });
  return (
    <Card title="Watching for ransomware">
      <p class="quiet">
        An alarm is raised when data that could be compressed is overwritten by what looks random.{" "}
        <Link to="/alarms">Alarms</Link>
      </p>
      <Trouble error={set.error} />
      <Loaded of={signals}>
        {(value) =>
          may("setSignals") ? (
            <ChoiceField
              label="What is enough for an alarm"
              value={value.sensitivity}
              onInput={(chosen) => void set.run(chosen)}
              choices={SENSITIVITIES}
            />
          ) : (
            <p>Sensitivity: {value.sensitivity}</p>
          )
        }
      </Loaded>
    </Card>
  );
}
