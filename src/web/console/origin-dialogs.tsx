/**
 * Vaults that come from a tier: opening one, taking it over, reading it anew. A vault has one writer, so each dialog says first who writes afterwards, and what
 * happens to the appliance that wrote before.
 */
import type { WireVault } from "../../contract/contract.ts";
import { useState } from "preact/hooks";
import { api } from "./api.ts";
import { KeyFields, useKey } from "./key-fields.tsx";
import { FormDialog } from "./parts/dialog.tsx";
import { ChoiceField, TextField } from "./parts/field.tsx";
import { Notice } from "./parts/notice.tsx";
import { PlaceFields, usePlaceEntry } from "./place-fields.tsx";

/** What happens to whoever wrote to the vault before; the same wherever somebody is about to take over. */
function TakeOverWords() {
  return (
    <Notice tone="warn" title="Afterwards this appliance is the one that writes to it">
      <ul>
        <li>
          The appliance that wrote to it before may do so no longer: it refuses further writes as soon as it asks the
          tier. Disks that are connected there have to be connected here.
        </li>
        <li>What it took and had not yet copied to the tier stays behind there, and is in no history here.</li>
        <li>What the tier holds is kept. Do this when the other appliance is lost, or no longer to be used.</li>
      </ul>
    </Notice>
  );
}

export function OpenFromTier({ onClose, onDone }: { onClose: () => void; onDone: () => void }) {
  const [name, setName] = useState("recovered");
  const [how, setHow] = useState<"read" | "write">("read");
  const [typed, setTyped] = useState("");
  const place = usePlaceEntry();
  const key = useKey("none");
  const wanted = name.trim();
  const takesOver = how === "write";
  return (
    <FormDialog
      wide
      title="Open a vault from a tier"
      submit={takesOver ? "Open it and take it over" : "Open it for reading"}
      kind={takesOver ? "danger-filled" : "primary"}
      disabled={wanted === "" || !place.isComplete || !key.isComplete || (takesOver && typed !== wanted)}
      onClose={onClose}
      onSubmit={async () => {
        await api.openVaultFrom({
          name: wanted,
          tier: "origin",
          ...place.place,
          ...(key.key === undefined ? {} : { key: key.key }),
          ...(takesOver ? { takeOver: true } : {}),
        });
        onDone();
      }}
    >
      <p>
        For a vault that another appliance wrote, or that this one lost. Nothing is copied first: every moment that the
        tier holds can be read at once.
      </p>
      <TextField label="What it is to be called here" value={name} onInput={setName} />
      <PlaceFields of={place} />
      <KeyFields of={key} withNone="None: it is not encrypted" />
      <ChoiceField
        label="Who writes to it from now on?"
        value={how}
        onInput={setHow}
        choices={[
          {
            value: "read",
            label: "Whoever does now",
            hint: "here it is only read, for looking and restoring; nothing changes for the other appliance",
          },
          { value: "write", label: "This appliance", hint: "it is taken over, because the other one is lost" },
        ]}
      />
      {takesOver && (
        <>
          <TakeOverWords />
          <TextField label={`Type ${wanted} to confirm`} value={typed} onInput={setTyped} autocomplete="off" mono />
        </>
      )}
    </FormDialog>
  );
}

interface OfVault {
  vault: WireVault;
  onClose: () => void;
  onDone: () => void;
}

export function TakeOver({ vault, onClose, onDone }: OfVault) {
  const key = useKey(vault.encrypted === true ? "passphrase" : "none");
  const [typed, setTyped] = useState("");
  return (
    <FormDialog
      title={`Take vault ${vault.name} over?`}
      submit="Take it over"
      kind="danger-filled"
      disabled={typed !== vault.name || !key.isComplete}
      onClose={onClose}
      onSubmit={async () => {
        await api.takeOverVault(vault.name, key.key);
        onDone();
      }}
    >
      <TakeOverWords />
      <p>It is closed for a moment and opened again; whoever reads from it meanwhile is interrupted.</p>
      {vault.encrypted === true && <KeyFields of={key} withNone="The one that is configured" />}
      <TextField label={`Type ${vault.name} to confirm`} value={typed} onInput={setTyped} autocomplete="off" mono />
    </FormDialog>
  );
}

export function Refresh({ vault, onClose, onDone }: OfVault) {
  const key = useKey(vault.encrypted === true ? "passphrase" : "none");
  return (
    <FormDialog
      title={`Read vault ${vault.name} anew`}
      submit="Read it anew"
      disabled={!key.isComplete}
      onClose={onClose}
      onSubmit={async () => {
        await api.refreshVault(vault.name, key.key);
        onDone();
      }}
    >
      <p>
        Shows what its tier holds by now. The appliance that writes to it goes on writing and notices nothing; here it
        is closed for a moment, and whoever reads from it meanwhile is interrupted.
      </p>
      {vault.encrypted === true && <KeyFields of={key} withNone="The one that is configured" />}
    </FormDialog>
  );
}
