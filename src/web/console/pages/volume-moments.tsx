/** The moments of a volume that have a name (bookmarks), and those that nothing lets go of (holds). */
import type { ComponentChildren } from "preact";
import { useState } from "preact/hooks";
import type { WireBookmark, WireHold } from "../../../contract/contract.ts";
import { api } from "../api.ts";
import { Button } from "../parts/button.tsx";
import { Confirm, FormDialog } from "../parts/dialog.tsx";
import { TextField } from "../parts/field.tsx";
import { Time } from "../parts/figures.tsx";
import { Link } from "../parts/link.tsx";
import { Loaded } from "../parts/notice.tsx";
import { Card } from "../parts/page.tsx";
import { Table } from "../parts/table.tsx";
import { useResource, type Resource } from "../resource.ts";
import { pathWith } from "../route.ts";
import { useMay } from "../session.tsx";

export function Bookmarks({ name }: { name: string }) {
  const may = useMay();
  const bookmarks = useResource(() => api.bookmarks(name), [name]);
  const [adding, setAdding] = useState(false);
  const [removing, setRemoving] = useState<WireBookmark | undefined>(undefined);
  return (
    <Card
      title="Bookmarks"
      actions={
        may("createBookmark") && (
          <Button size="small" onClick={() => setAdding(true)}>
            Add a bookmark
          </Button>
        )
      }
    >
      <p class="quiet">Names for moments, such as “before-upgrade”. A bookmark keeps its moment readable.</p>
      <NamedMoments
        of={bookmarks}
        label="Bookmarks"
        empty="No moment has a name yet."
        volume={name}
        moment={(each) => `bookmark:${each.name}`}
        action={
          may("deleteBookmark") &&
          ((each) => (
            <Button size="small" kind="danger" label={`Forget bookmark ${each.name}`} onClick={() => setRemoving(each)}>
              Forget
            </Button>
          ))
        }
      />
      {adding && (
        <AddMoment
          title={`Bookmark a moment of ${name}`}
          submit="Add the bookmark"
          onClose={() => setAdding(false)}
          onSubmit={async (wish) => {
            await api.createBookmark(name, wish);
            bookmarks.reload();
          }}
        />
      )}
      {removing && (
        <Confirm
          title={`Forget bookmark ${removing.name}?`}
          submit="Forget it"
          onClose={() => setRemoving(undefined)}
          onSubmit={async () => {
            await api.deleteBookmark(name, removing.name);
            bookmarks.reload();
          }}
        >
          <p>The moment loses its name. It stays readable as long as the volume’s policy keeps it.</p>
        </Confirm>
      )}
    </Card>
  );
}

export function Holds({ name }: { name: string }) {
  const may = useMay();
  const holds = useResource(() => api.holds(name), [name]);
  const [adding, setAdding] = useState(false);
  const [releasing, setReleasing] = useState<WireHold | undefined>(undefined);
  return (
    <Card
      title="Holds"
      actions={
        may("createHold") && (
          <Button size="small" onClick={() => setAdding(true)}>
            Hold a moment
          </Button>
        )
      }
    >
      <p class="quiet">A held moment stays whatever the policy says, until somebody releases it.</p>
      <NamedMoments
        of={holds}
        label="Holds"
        empty="Nothing is held."
        volume={name}
        moment={(each) => `lsn:${each.lsn}`}
        action={
          may("releaseHold") &&
          ((each) => (
            <Button size="small" kind="danger" label={`Release hold ${each.name}`} onClick={() => setReleasing(each)}>
              Release
            </Button>
          ))
        }
      />
      {adding && (
        <AddMoment
          title={`Hold a moment of ${name}`}
          submit="Hold it"
          onClose={() => setAdding(false)}
          onSubmit={async (wish) => {
            await api.createHold(name, wish);
            holds.reload();
          }}
        />
      )}
      {releasing && (
        <Confirm
          title={`Release hold ${releasing.name}?`}
          submit="Release it"
          name={releasing.name}
          onClose={() => setReleasing(undefined)}
          onSubmit={async () => {
            await api.releaseHold(name, releasing.name);
            holds.reload();
          }}
        >
          <p>Its moment goes as soon as the volume’s policy lets it, and cannot be had back then.</p>
        </Confirm>
      )}
    </Card>
  );
}

function NamedMoments<Kept extends WireBookmark | WireHold>(props: {
  of: Resource<Kept[]>;
  label: string;
  empty: string;
  volume: string;
  moment: (each: Kept) => string;
  action: false | ((each: Kept) => ComponentChildren);
}) {
  const { of, label, empty, volume, moment, action } = props;
  const may = useMay();
  return (
    <Loaded of={of}>
      {(all) => (
        <Table
          label={label}
          rows={all.toReversed()}
          rowKey={(each: Kept) => each.name}
          empty={<p class="quiet">{empty}</p>}
          columns={[
            { label: "Name", cell: (each) => each.name },
            { label: "Moment", cell: (each) => <Time at={each.time} as="local" /> },
            { label: "Note", cell: (each) => each.note },
            {
              label: "",
              cell: (each) => (
                <div class="row">
                  {may("getImage") && (
                    <Link
                      to={pathWith("/restore", { volume, at: moment(each) })}
                      aria-label={`Restore ${volume} as of ${each.name}`}
                    >
                      Restore
                    </Link>
                  )}
                  {action !== false && action(each)}
                </div>
              ),
            },
          ]}
        />
      )}
    </Loaded>
  );
}

function AddMoment(props: {
  title: string;
  submit: string;
  onSubmit: (wish: { name: string; at?: string; note?: string }) => Promise<void>;
  onClose: () => void;
}) {
  const [name, setName] = useState("");
  const [at, setAt] = useState("now");
  const [note, setNote] = useState("");
  return (
    <FormDialog
      title={props.title}
      submit={props.submit}
      disabled={name.trim() === "" || at.trim() === ""}
      onClose={props.onClose}
      onSubmit={() =>
        props.onSubmit({
          name: name.trim(),
          at: at.trim(),
          ...(note.trim() === "" ? {} : { note: note.trim() }),
        })
      }
    >
      <TextField label="Name" hint="Letters, digits, dots and dashes" value={name} onInput={setName} required />
      <TextField
        label="Moment"
        hint="now, an age such as -15m or -2h, or a time such as 2026-11-20T21:31:05+01:00. On the timeline you can point at it."
        value={at}
        onInput={setAt}
        mono
      />
      <TextField label="Note" hint="Why, for whoever finds it later" value={note} onInput={setNote} maxLength={1000} />
    </FormDialog>
  );
}
