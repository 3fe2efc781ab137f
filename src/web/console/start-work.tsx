/** Starting a check, a scrub, or giving space back; leads to the job. */
import { useState } from "preact/hooks";
import { api } from "./api.ts";
import { optional } from "./gather.ts";
import { FormDialog } from "./parts/dialog.tsx";
import { CheckField, ChoiceField, SelectField } from "./parts/field.tsx";
import { useResource } from "./resource.ts";
import { navigate } from "./route.ts";

type Work = "check" | "scrub" | "gc";
const ALL = "all vaults";

export function StartWork({ onClose, vault: given }: { onClose: () => void; vault?: string }) {
  const [work, setWork] = useState<Work>("check");
  const [vault, setVault] = useState(given ?? ALL);
  const [quick, setQuick] = useState(false);
  const vaults = useResource(async () => (await optional(api.vaults())) ?? [], []);
  const open = (vaults.value ?? []).filter((each) => each.status !== undefined).map((each) => each.name);
  return (
    <FormDialog
      title="Start work"
      submit="Start it"
      onClose={onClose}
      onSubmit={async () => {
        const of = vault === ALL ? {} : { vault };
        const job = await api.startWork(work, { ...of, ...(work === "check" && quick ? { quick } : {}) });
        navigate(`/jobs/${job.id}`);
      }}
    >
      <ChoiceField
        label="What"
        value={work}
        onInput={setWork}
        choices={[
          { value: "check", label: "Check", hint: "reads everything that is stored and says what is damaged" },
          {
            value: "scrub",
            label: "Scrub",
            hint: "the same, and repairs what it can; goes by itself all the time, here at full speed",
          },
          { value: "gc", label: "Give space back", hint: "carries out every retention policy now" },
        ]}
      />
      <SelectField
        label="Where"
        value={vault}
        onInput={setVault}
        choices={[ALL, ...open].map((each) => ({ value: each, label: each }))}
      />
      {work === "check" && (
        <CheckField
          label="Quick"
          hint="Structure and checksums of the index alone; no block is read"
          checked={quick}
          onInput={setQuick}
        />
      )}
    </FormDialog>
  );
}
