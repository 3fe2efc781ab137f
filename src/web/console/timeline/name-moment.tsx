/** Giving the chosen moment a name: a bookmark to find it again, a hold that keeps it from ever expiring. */
import { useState } from "preact/hooks";
import { FormDialog } from "../parts/dialog.tsx";
import { TextField } from "../parts/field.tsx";
import { nameOfMoment, nameTrouble } from "./moment-names.ts";

export interface NameMomentProps {
  kind: "bookmark" | "hold";
  /** More than one disk, in words such as `all 3 disks`. */
  of?: string;
  save: (what: { name: string; note?: string }) => Promise<unknown>;
  /** Of the moment, for a proposal. */
  time: number;
  zone: string;
  onDone: () => void;
  onClose: () => void;
}

export function NameMoment({ kind, of, save, time, zone, onDone, onClose }: NameMomentProps) {
  const [name, setName] = useState(() => nameOfMoment(kind, time, zone));
  const [note, setNote] = useState("");
  const isHold = kind === "hold";
  const trouble = nameTrouble(name);
  return (
    <FormDialog
      title={`${isHold ? "Hold" : "Bookmark"} this moment${of === undefined ? "" : ` of ${of}`}`}
      submit={isHold ? "Hold" : "Bookmark"}
      disabled={trouble !== undefined}
      onClose={onClose}
      onSubmit={async () => {
        await save({ name, ...(note === "" ? {} : { note }) });
        onDone();
      }}
    >
      <p>
        {isHold
          ? "A hold keeps this moment whatever the retention policy says, until an administrator releases it. It keeps its space for as long."
          : "A bookmark is a name by which this moment can be found again. It is kept until it is removed."}
      </p>
      <TextField
        label="Name"
        value={name}
        onInput={setName}
        error={name === "" ? undefined : trouble}
        maxLength={64}
        required
      />
      <TextField
        label="Note"
        hint="Why it matters, for whoever finds it later."
        value={note}
        onInput={setNote}
        maxLength={of === undefined ? 1_000 : 500}
      />
    </FormDialog>
  );
}
