/** The fields of what runs around a machine's bookmarks. */
import { SCRIPT_SECONDS_MAX } from "../../contract/scripts.ts";
import { SelectField, TextField } from "./parts/field.tsx";
import { scriptsOf, type ScriptsDraft } from "./scripts-draft.ts";

/** @param props.names - of the scripts that may run */
export function ScriptsFields(props: {
  names: readonly string[];
  draft: ScriptsDraft;
  onInput: (draft: ScriptsDraft) => void;
}) {
  const { names, draft, onInput } = props;
  const set = (change: Partial<ScriptsDraft>): void => onInput({ ...draft, ...change });
  const scripts = scriptsOf(draft);
  if (names.length === 0 && scripts === null) {
    return (
      <p class="quiet small">
        Scripts around its bookmarks, such as one that freezes a database, can be chosen here once whoever is at the
        appliance has placed them in the folder “scripts” beside its data.
      </p>
    );
  }
  return (
    <div class="fields">
      <ScriptChoice label="Script before a bookmark" names={names} value={draft.pre} onInput={(pre) => set({ pre })} />
      <ScriptChoice label="Script after it" names={names} value={draft.post} onInput={(post) => set({ post })} />
      {scripts !== null && (
        <TextField
          label="Seconds for each"
          hint="Then it is ended, with all that it started."
          inputMode="numeric"
          value={draft.seconds}
          onInput={(seconds) => set({ seconds })}
          error={scripts ? undefined : `From 1 to ${SCRIPT_SECONDS_MAX}.`}
        />
      )}
      {draft.pre !== "" && (
        <SelectField
          label="If the one before fails"
          value={draft.ifPreFails}
          onInput={(ifPreFails) => set({ ifPreFails })}
          choices={[
            { value: "no-bookmark", label: "there is no bookmark" },
            { value: "crash-consistent", label: "there is one that says so" },
          ]}
        />
      )}
    </div>
  );
}

/** One that is chosen stays among the choices, though it may not run any more. */
function ScriptChoice(props: {
  label: string;
  names: readonly string[];
  value: string;
  onInput: (name: string) => void;
}) {
  const { label, names, value, onInput } = props;
  const all = value === "" || names.includes(value) ? names : [...names, value];
  return (
    <SelectField
      label={label}
      value={value}
      onInput={onInput}
      choices={[
        { value: "", label: "none" },
        ...all.map((each) => ({ value: each, label: names.includes(each) ? each : `${each} (cannot run now)` })),
      ]}
    />
  );
}
