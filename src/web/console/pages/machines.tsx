/** Machines: volumes that belong together. Their history is on the timeline; here is what they consist of, and who may connect as one. */
import type { WireMachine } from "../../../contract/machines.ts";
import { useState } from "preact/hooks";
import { api } from "../api.ts";
import { AttachedBadge } from "../attached-badge.tsx";
import { MachineCertificates } from "../certificates.tsx";
import { optional } from "../gather.ts";
import { Button } from "../parts/button.tsx";
import { Confirm, Dialog, FormDialog } from "../parts/dialog.tsx";
import { CheckList, TextField } from "../parts/field.tsx";
import { Link } from "../parts/link.tsx";
import { Loaded, Notice } from "../parts/notice.tsx";
import { Card, Empty, Page } from "../parts/page.tsx";
import { useResource } from "../resource.ts";
import { draftOf, scriptsOf } from "../scripts-draft.ts";
import { ScriptsFields } from "../scripts-fields.tsx";
import { useMay } from "../session.tsx";
import { formatSize, listed, plural, sentence } from "../words.ts";

type Open = { what: "change" | "delete" | "certificates"; machine: WireMachine } | { what: "create" } | undefined;

export function Machines() {
  const may = useMay();
  const machines = useResource(() => api.machines(), [], { everyMs: 10_000 });
  const [open, setOpen] = useState<Open>(undefined);
  const close = (): void => setOpen(undefined);
  const add = may("createMachine") && (
    <Button kind="primary" onClick={() => setOpen({ what: "create" })}>
      Add a machine
    </Button>
  );
  return (
    <Page
      title="Machines"
      intro="Disks that belong together, and are restored to one and the same moment."
      actions={add}
    >
      <Loaded of={machines}>
        {(all) =>
          all.length === 0 ? (
            <Card>
              <Empty action={add}>No volumes are put together yet.</Empty>
            </Card>
          ) : (
            <>
              {all.map((machine) => (
                <MachineCard key={machine.name} machine={machine} onOpen={(what) => setOpen({ what, machine })} />
              ))}
            </>
          )
        }
      </Loaded>
      {open?.what === "create" && <Edit all={machines.value ?? []} onClose={close} onDone={machines.reload} />}
      {open?.what === "change" && (
        <Edit machine={open.machine} all={machines.value ?? []} onClose={close} onDone={machines.reload} />
      )}
      {open?.what === "certificates" && (
        <Dialog title={`Certificates of ${open.machine.name}`} onClose={close} wide>
          <MachineCertificates machine={open.machine.name} />
          <div class="row-end">
            <Button onClick={close}>Close</Button>
          </div>
        </Dialog>
      )}
      {open?.what === "delete" && (
        <Confirm
          title={`Forget machine ${open.machine.name}?`}
          submit="Forget it"
          onClose={close}
          onSubmit={async () => {
            await api.deleteMachine(open.machine.name);
            machines.reload();
          }}
        >
          <p>Its volumes and their history stay as they are. Only that they belong together is forgotten.</p>
        </Confirm>
      )}
    </Page>
  );
}

function MachineCard(props: { machine: WireMachine; onOpen: (what: "change" | "delete" | "certificates") => void }) {
  const { machine, onOpen } = props;
  const may = useMay();
  const bytes = machine.volumes.reduce((sum, volume) => sum + volume.sizeBytes, 0);
  return (
    <Card
      title={machine.name}
      actions={
        <>
          <Link class="button button-small button-plain" to={`/machines/${encodeURIComponent(machine.name)}`}>
            Timeline
          </Link>
          {may("listCredentials") && (
            <Button size="small" label={`Certificates of ${machine.name}`} onClick={() => onOpen("certificates")}>
              Certificates
            </Button>
          )}
          {may("changeMachine") && (
            <Button size="small" label={`Change ${machine.name}`} onClick={() => onOpen("change")}>
              Change
            </Button>
          )}
          {may("deleteMachine") && (
            <Button size="small" kind="danger" label={`Forget ${machine.name}`} onClick={() => onOpen("delete")}>
              Forget
            </Button>
          )}
        </>
      }
    >
      {machine.description !== "" && <p>{machine.description}</p>}
      <ul class="plain-list">
        {machine.volumes.map((volume) => (
          <li key={volume.name} class="row">
            <Link to={`/volumes/${encodeURIComponent(volume.name)}`}>{volume.name}</Link>
            <span class="quiet">{formatSize(volume.sizeBytes)}</span>
            <AttachedBadge volume={volume} />
          </li>
        ))}
      </ul>
      <p class="quiet small">
        {plural(machine.volumes.length, "disk")}, {formatSize(bytes)}
        {machine.scripts &&
          `; scripts around bookmarks: ${listed([machine.scripts.pre, machine.scripts.post].filter((each) => each !== undefined))}`}
      </p>
      {machine.missing.map((each) => (
        <Notice key={`${each.vault}/${each.createdLsn}`} tone="warn" title="A disk of it cannot be had now">
          {sentence(each.reason)}
        </Notice>
      ))}
    </Card>
  );
}

function Edit(props: { machine?: WireMachine; all: readonly WireMachine[]; onClose: () => void; onDone: () => void }) {
  const { machine, all, onClose, onDone } = props;
  const may = useMay();
  const [name, setName] = useState(machine?.name ?? "");
  const [description, setDescription] = useState(machine?.description ?? "");
  const [chosen, setChosen] = useState(machine?.volumes.map((volume) => volume.name) ?? []);
  const [draft, setDraft] = useState(draftOf(machine?.scripts));
  const volumes = useResource(() => api.volumes(), []);
  const scripts = useResource(async () => (may("listScripts") ? await optional(api.scripts()) : undefined), []);
  const taken = new Set(
    all.filter((each) => each.name !== machine?.name).flatMap((each) => each.volumes.map((volume) => volume.name)),
  );
  const free = (volumes.value ?? []).map((volume) => volume.name).filter((each) => !taken.has(each));
  const scriptNames = (scripts.value?.scripts ?? []).filter((each) => each.fit).map((each) => each.name);
  const around = scriptsOf(draft);
  return (
    <FormDialog
      title={machine ? `Change ${machine.name}` : "Add a machine"}
      submit={machine ? "Change it" : "Add it"}
      disabled={name.trim() === "" || chosen.length === 0 || around === undefined}
      onClose={onClose}
      onSubmit={async () => {
        if (machine) {
          await api.changeMachine(machine.name, {
            description,
            volumes: chosen,
            scripts: around ?? null,
          });
        } else {
          await api.createMachine({
            name: name.trim(),
            volumes: chosen,
            ...(description === "" ? {} : { description }),
            ...(around && { scripts: around }),
          });
        }
        onDone();
      }}
    >
      {!machine && <TextField label="Name" value={name} onInput={setName} required />}
      <TextField label="Description" value={description} onInput={setDescription} maxLength={1000} />
      {free.length === 0 && volumes.value ? (
        <Notice>Every volume belongs to a machine already.</Notice>
      ) : (
        <CheckList label="Its disks" choices={free} chosen={chosen} onInput={setChosen} />
      )}
      {scripts.value && <ScriptsFields names={scriptNames} draft={draft} onInput={setDraft} />}
    </FormDialog>
  );
}
