/** Places that this appliance keeps for others: whoever has a place's token may make it a tier of a vault. A token is shown once. */
import type { WireReceived, WireReceivedToken } from "../../contract/received.ts";
import { useState } from "preact/hooks";
import { api } from "./api.ts";
import { Button } from "./parts/button.tsx";
import { Confirm, FormDialog } from "./parts/dialog.tsx";
import { TextField } from "./parts/field.tsx";
import { Size } from "./parts/figures.tsx";
import { Badge, Loaded, Notice } from "./parts/notice.tsx";
import { Card, Empty } from "./parts/page.tsx";
import { SecretDialog } from "./parts/secret-dialog.tsx";
import { Table } from "./parts/table.tsx";
import { useResource } from "./resource.ts";
import { SizeField, useSizeText } from "./size-field.tsx";
import { formatSize, sentence } from "./words.ts";

type Open = { what: "renew" | "remove"; place: WireReceived } | { what: "add" } | undefined;

export function ReceivedPlaces() {
  const found = useResource(() => api.received(), [], { everyMs: 15_000 });
  const [open, setOpen] = useState<Open>(undefined);
  const [made, setMade] = useState<WireReceivedToken | undefined>(undefined);
  const close = (): void => setOpen(undefined);
  const show = (token: WireReceivedToken): void => {
    setMade(token);
    found.reload();
  };
  return (
    <Card
      title="Places kept for other appliances"
      actions={
        <Button size="small" onClick={() => setOpen({ what: "add" })}>
          Make a place
        </Button>
      }
    >
      <p class="quiet">Another Sternway appliance can keep a copy of its vault here, as one of its tiers.</p>
      <Loaded of={found}>
        {({ listen, places }) => (
          <>
            {listen === undefined && places.length > 0 && (
              <Notice tone="warn" title="Nobody can reach them yet">
                Set <code>peers.listen</code> in the appliance’s configuration to an address of it, and restart it.
              </Notice>
            )}
            {listen !== undefined && (
              <p class="quiet">
                Peers reach them at <code>{listen}</code>.
              </p>
            )}
            <Places all={places} onOpen={(what, place) => setOpen({ what, place })} />
          </>
        )}
      </Loaded>
      {open?.what === "add" && <Add onClose={close} onMade={show} />}
      {open?.what === "renew" && (
        <FormDialog
          title={`Another token for ${open.place.name}`}
          submit="Make another token"
          onClose={close}
          onSubmit={async () => show(await api.renewReceived(open.place.name))}
        >
          <p>
            The old token is refused from then on: the other appliance copies nothing until it has the new one. What is
            kept here stays.
          </p>
        </FormDialog>
      )}
      {open?.what === "remove" && (
        <Confirm
          title={`Remove place ${open.place.name}?`}
          submit="Delete it with all that it keeps"
          name={open.place.name}
          onClose={close}
          onSubmit={async () => {
            await api.removeReceived(open.place.name);
            found.reload();
          }}
        >
          <p>
            {open.place.usedBytes > 0
              ? `${formatSize(open.place.usedBytes)} of another appliance’s vault are deleted here for good.`
              : "It keeps nothing yet."}{" "}
            That appliance loses this tier. If it is lost itself, this may be the last copy.
          </p>
        </Confirm>
      )}
      {made && (
        <SecretDialog
          title={`The token of ${made.name}`}
          secret={made.token}
          label="the token"
          advice="Put it into a file on the other appliance, and name that file when you add the tier there."
          onClose={() => setMade(undefined)}
        >
          {made.listen !== undefined && (
            <p class="quiet">
              Address of the tier:{" "}
              <code>
                https://{made.listen}/{made.name}
              </code>
            </p>
          )}
        </SecretDialog>
      )}
    </Card>
  );
}

function Places(props: {
  all: readonly WireReceived[];
  onOpen: (what: "renew" | "remove", place: WireReceived) => void;
}) {
  return (
    <Table
      label="Places kept for other appliances"
      rows={props.all}
      rowKey={(place: WireReceived) => place.name}
      empty={<Empty>None is kept.</Empty>}
      columns={[
        { label: "Place", cell: (place) => place.name },
        {
          label: "Used",
          cell: (place) => (
            <>
              <Size bytes={place.usedBytes} />
              {place.quotaBytes !== undefined && <span class="quiet"> of {formatSize(place.quotaBytes)}</span>}
            </>
          ),
        },
        {
          label: "State",
          cell: (place) =>
            place.reason === undefined ? (
              <Badge tone={place.identity === undefined ? "plain" : "good"}>
                {place.identity === undefined ? "no vault yet" : "in use"}
              </Badge>
            ) : (
              <>
                <Badge tone="bad">cannot be used</Badge> <span class="small">{sentence(place.reason)}</span>
              </>
            ),
        },
        {
          label: "",
          cell: (place) => (
            <div class="row">
              <Button size="small" label={`New token for ${place.name}`} onClick={() => props.onOpen("renew", place)}>
                New token
              </Button>
              <Button
                size="small"
                kind="danger"
                label={`Remove place ${place.name}`}
                onClick={() => props.onOpen("remove", place)}
              >
                Remove
              </Button>
            </div>
          ),
        },
      ]}
    />
  );
}

function Add({ onClose, onMade }: { onClose: () => void; onMade: (made: WireReceivedToken) => void }) {
  const [name, setName] = useState("");
  const quota = useSizeText();
  return (
    <FormDialog
      title="Make a place"
      submit="Make it"
      disabled={name.trim() === "" || (quota.text.trim() !== "" && quota.bytes === undefined)}
      onClose={onClose}
      onSubmit={async () => onMade(await api.addReceived(name.trim(), quota.bytes))}
    >
      <p>The other appliance needs the token that is shown next, and this appliance’s address.</p>
      <TextField label="Name" hint="Such as the other appliance’s name" value={name} onInput={setName} />
      <SizeField label="It may hold at most" size={quota} hint="Such as 2 TiB. Empty: as much as the disk has free" />
    </FormDialog>
  );
}
