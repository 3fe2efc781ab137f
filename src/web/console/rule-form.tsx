/** Making and changing a rule of notifications. What the form does not show stays as it is. */
import { EVENT_TOPICS, type EventLevel, type EventTopic } from "../../contract/event-kinds.ts";
import type { RuleSettingsInput, WireRule } from "../../contract/notify.ts";
import { useState } from "preact/hooks";
import { api } from "./api.ts";
import { FormDialog } from "./parts/dialog.tsx";
import { CheckField, CheckList, SelectField, TextField } from "./parts/field.tsx";
import { localZone } from "./timeline/time.ts";

export function RuleForm(props: {
  /** The rule that is changed; absent: one is made. */
  before?: WireRule | undefined;
  channels: readonly string[];
  onClose: () => void;
  onDone: () => void;
}) {
  const { before } = props;
  const quiet = before?.quiet;
  const [name, setName] = useState(before?.name ?? "");
  const [level, setLevel] = useState<EventLevel>(before?.level ?? "warning");
  const [topics, setTopics] = useState<string[]>(before?.topics ?? []);
  const [channels, setChannels] = useState<string[]>(
    before?.channels ?? (props.channels.length === 1 ? [...props.channels] : []),
  );
  const [about, setAbout] = useState((before?.about ?? []).join(", "));
  const [isQuiet, setIsQuiet] = useState(quiet !== undefined);
  const [from, setFrom] = useState(quiet?.from ?? "22:00");
  const [to, setTo] = useState(quiet?.to ?? "07:00");
  const [enabled, setEnabled] = useState(before?.enabled ?? true);
  const subjects = about.split(/[\s,;]+/).filter((each) => each !== "");
  // A rule without a zone of its own goes by the appliance's, and stays so.
  const zone = quiet === undefined ? localZone() : quiet.zone;
  const settings: RuleSettingsInput = {
    channels,
    level,
    enabled,
    ...(before === undefined ? {} : { remindHours: before.remindHours }),
    ...(before?.kinds === undefined ? {} : { kinds: before.kinds }),
    ...(topics.length === 0 ? {} : { topics: topics.filter(isTopic) }),
    ...(subjects.length === 0 ? {} : { about: subjects }),
    ...(isQuiet
      ? {
          quiet: {
            from,
            to,
            ...(zone === undefined ? {} : { zone }),
            ...(quiet === undefined ? {} : { alsoAlerts: quiet.alsoAlerts }),
          },
        }
      : {}),
  };
  const isNarrow = topics.length > 0 || subjects.length > 0 || isQuiet;
  return (
    <FormDialog
      wide
      title={before === undefined ? "Add a rule" : `Change rule ${before.name}`}
      submit={before === undefined ? "Add it" : "Change it"}
      disabled={name.trim() === "" || channels.length === 0}
      onClose={props.onClose}
      onSubmit={async () => {
        if (before === undefined) await api.createRule(name.trim(), settings);
        else await api.setRule(before.name, settings);
        props.onDone();
      }}
    >
      {before === undefined ? (
        <TextField label="Name" hint="Such as troubles-to-on-call" value={name} onInput={setName} />
      ) : (
        <CheckField
          label="Switched on"
          hint="While it is off it tells nobody anything"
          checked={enabled}
          onInput={setEnabled}
        />
      )}
      <SelectField
        label="Tell"
        value={level}
        onInput={setLevel}
        choices={[
          { value: "info", label: "everything" },
          { value: "warning", label: "warnings and alerts" },
          { value: "alert", label: "alerts only" },
        ]}
      />
      <CheckList label="To" choices={props.channels} chosen={channels} onInput={setChannels} />
      <details open={before !== undefined && isNarrow}>
        <summary>Only some topics, subjects or hours</summary>
        <div class="stack">
          <CheckList
            label="Topics"
            hint="None chosen: all"
            choices={EVENT_TOPICS}
            chosen={topics}
            onInput={setTopics}
          />
          <TextField
            label="About"
            hint="Names of volumes, machines, vaults or tiers; empty: whatever it is about"
            value={about}
            onInput={setAbout}
          />
          <CheckField
            label="Quiet hours"
            hint="What comes then is gathered and sent at their end; alerts come at once"
            checked={isQuiet}
            onInput={setIsQuiet}
          />
          {isQuiet && (
            <div class="fields">
              <TextField label="From" type="time" value={from} onInput={setFrom} />
              <TextField
                label="To"
                type="time"
                hint={zone ?? "by the appliance’s time zone"}
                value={to}
                onInput={setTo}
              />
            </div>
          )}
        </div>
      </details>
    </FormDialog>
  );
}

const isTopic = (text: string): text is EventTopic => EVENT_TOPICS.some((topic) => topic === text);
