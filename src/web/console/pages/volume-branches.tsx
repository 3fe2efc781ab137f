/** The volumes that began as this one did, and making another. */
import type { WireVolume } from "../../../contract/contract.ts";
import { useState } from "preact/hooks";
import { api } from "../api.ts";
import { Button } from "../parts/button.tsx";
import { FormDialog } from "../parts/dialog.tsx";
import { TextField } from "../parts/field.tsx";
import { Time } from "../parts/figures.tsx";
import { Link } from "../parts/link.tsx";
import { Loaded } from "../parts/notice.tsx";
import { Card } from "../parts/page.tsx";
import { Table } from "../parts/table.tsx";
import { useResource } from "../resource.ts";
import { useMay } from "../session.tsx";

export function Branches({ name }: { name: string }) {
  const may = useMay();
  const branches = useResource(() => api.branches(name), [name]);
  const [adding, setAdding] = useState(false);
  return (
    <Card
      title="Branches"
      actions={
        may("createBranch") && (
          <Button size="small" onClick={() => setAdding(true)}>
            Make a branch
          </Button>
        )
      }
    >
      <p class="quiet">
        Volumes that began as this one at some moment: for trying something out, or for taking files from the past.
        Nothing is copied, and this volume does not change.
      </p>
      <Loaded of={branches}>
        {(all) => (
          <Table
            label="Branches"
            rows={all}
            rowKey={(each: WireVolume) => each.name}
            empty={<p class="quiet">There are none.</p>}
            columns={[
              {
                label: "Branch",
                cell: (each) => <Link to={`/volumes/${encodeURIComponent(each.name)}`}>{each.name}</Link>,
              },
              { label: "Made", cell: (each) => <Time at={each.createdAt} /> },
              { label: "Last write", cell: (each) => <Time at={each.lastWriteAt} /> },
            ]}
          />
        )}
      </Loaded>
      {adding && <AddBranch name={name} onClose={() => setAdding(false)} onDone={branches.reload} />}
    </Card>
  );
}

function AddBranch({ name, onClose, onDone }: { name: string; onClose: () => void; onDone: () => void }) {
  const [newName, setNewName] = useState(`${name}-branch`);
  const [at, setAt] = useState("now");
  return (
    <FormDialog
      title={`Branch ${name}`}
      submit="Make the branch"
      disabled={newName.trim() === "" || at.trim() === ""}
      onClose={onClose}
      onSubmit={async () => {
        await api.branch(name, at.trim(), newName.trim());
        onDone();
      }}
    >
      <TextField label="Name of the new volume" value={newName} onInput={setNewName} required />
      <TextField
        label="As it was"
        hint="now, an age such as -15m, or a time such as 2026-11-20T21:31:05+01:00"
        value={at}
        onInput={setAt}
        mono
      />
    </FormDialog>
  );
}
