/** Making and changing a schedule: what, when, and the next times as a check of both. */
import type { WireSchedule, WireShownTask } from "../../contract/schedules.ts";
import { REPORT_KINDS, REPORT_SPANS, type ReportKind, type ReportSpan } from "../../contract/reports.ts";
import { useState } from "preact/hooks";
import { api } from "./api.ts";
import { each, optional } from "./gather.ts";
import { FormDialog } from "./parts/dialog.tsx";
import { SelectField, TextField } from "./parts/field.tsx";
import { Trouble } from "./parts/notice.tsx";
import { useResource } from "./resource.ts";
import {
  keepTrouble,
  LOST,
  ownWords,
  same,
  subjectChoices,
  subjectOf,
  taskOf,
  type Subjects,
} from "./schedule-task.ts";
import { changedTask, TASK_CHOICES, timingFieldsOf, timingOf, type TimingFields } from "./schedule-words.ts";
import { localZone } from "./timeline/time.ts";
import { useStill } from "./use-still.ts";
import { localTime } from "./words.ts";

type TaskKind = WireShownTask["kind"];
const DAYS = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"];

async function loadSubjects(): Promise<Subjects> {
  const [machines, volumes, vaults, channels] = await Promise.all([
    optional(api.machines()),
    optional(api.volumes()),
    optional(api.vaults()),
    optional(api.channels()),
  ]);
  const open = (vaults ?? []).filter((vault) => vault.status !== undefined).map((vault) => vault.name);
  const tiers = await each(open, (vault) => api.tiers(vault));
  return {
    machines: (machines ?? []).map((machine) => machine.name),
    volumes: (volumes ?? []).map((volume) => volume.name),
    vaults: open,
    channels: (channels ?? []).map((channel) => channel.name),
    tiers: tiers.flatMap((list) => (list ?? []).map((tier) => `${tier.vault}/${tier.name}`)),
  };
}

const DEFAULT_TIMING: Omit<TimingFields, "timeZone"> = {
  rhythm: "daily",
  minutes: "60",
  at: "01:30",
  weekday: "1",
  cron: "",
};

export function ScheduleForm(props: {
  /** The schedule that is changed; absent: one is made. */
  before?: WireSchedule | undefined;
  onClose: () => void;
  onDone: () => void;
}) {
  const { before, onClose, onDone } = props;
  const subjects = useResource(loadSubjects, []);
  const [name, setName] = useState(before?.name ?? "");
  const [description, setDescription] = useState(before?.description ?? "");
  const [kind, setKind] = useState<TaskKind>(before?.task.kind ?? "bookmark");
  const [subject, setSubject] = useState(before === undefined ? "" : subjectOf(before.task));
  const [keep, setKeep] = useState(before === undefined ? "30" : String(before.task.keep ?? ""));
  const [report, setReport] = useState<ReportKind>(before?.task.report ?? "protection");
  const [span, setSpan] = useState<ReportSpan>(before?.task.span ?? "week");
  const [when, setWhen] = useState<TimingFields>(() =>
    before === undefined ? { ...DEFAULT_TIMING, timeZone: localZone() } : timingFieldsOf(before.timing),
  );
  const { rhythm, minutes, at, weekday, cron, timeZone } = when;
  const set = (change: Partial<TimingFields>): void => setWhen((old) => ({ ...old, ...change }));
  const choices = subjectChoices(kind, subjects.value);
  // What it is about stays to be chosen though it is in no list: all tiers, or what is gone. Otherwise a change of the time would change that, too.
  const own = before?.task.kind === kind ? subjectOf(before.task) : "";
  if (own !== "" && !choices.some((choice) => choice.value === own))
    choices.unshift({ value: own, label: ownWords(own) });
  const chosen = choices.some((choice) => choice.value === subject) ? subject : (choices[0]?.value ?? "");
  const task = chosen === "" ? undefined : taskOf(kind, chosen, { keep, report, span });
  const isLost = chosen === own && own === LOST;
  const timing = timingOf(when);
  const still = useStill(JSON.stringify(timing));
  const preview = useResource(
    async () => (timing === undefined ? [] : (await api.previewSchedule(timing)).next),
    [still],
  );
  return (
    <FormDialog
      wide
      title={before === undefined ? "Add a schedule" : `Change schedule ${before.name}`}
      submit={before === undefined ? "Add it" : "Change it"}
      disabled={name.trim() === "" || !(task || isLost) || !timing}
      onClose={onClose}
      onSubmit={async () => {
        if (!timing) return;
        if (before === undefined) {
          if (!task) return;
          await api.createSchedule({ name: name.trim(), description: description.trim(), task, timing });
        } else {
          const change = task && changedTask(before.task, task);
          await api.changeSchedule(before.name, {
            description: description.trim(),
            timing,
            ...(change === undefined ? {} : { task: change }),
          });
        }
        onDone();
      }}
    >
      <div class="fields">
        {before === undefined && (
          <TextField label="Name" hint="Such as nightly" value={name} onInput={setName} required />
        )}
        <TextField
          label="Description"
          hint="If the name does not say enough"
          value={description}
          onInput={setDescription}
        />
        <SelectField label="What" value={kind} onInput={setKind} choices={TASK_CHOICES} />
        {choices.length > 0 ? (
          <SelectField
            label={kind === "report" ? "Through channel" : "Of"}
            value={chosen}
            onInput={setSubject}
            choices={choices}
          />
        ) : (
          <p class="quiet">
            {kind === "report"
              ? "There is no notification channel yet through which it could go."
              : "There is nothing yet that this could be done to."}
          </p>
        )}
        {kind === "report" && (
          <>
            <SelectField label="Report" value={report} onInput={setReport} choices={same(REPORT_KINDS)} />
            <SelectField
              label="Of"
              value={span}
              onInput={setSpan}
              choices={REPORT_SPANS.map((value) => ({ value, label: `the last ${value}` }))}
            />
          </>
        )}
        {kind === "bookmark" && (
          <TextField
            label="How many stay"
            hint="Older bookmarks of this schedule go. Empty: all stay."
            inputMode="numeric"
            value={keep}
            onInput={setKeep}
            error={keepTrouble(keep)}
          />
        )}
      </div>
      <div class="fields">
        <SelectField
          label="When"
          value={rhythm}
          onInput={(rhythm) => set({ rhythm })}
          choices={[
            { value: "daily", label: "each day" },
            { value: "weekly", label: "each week" },
            { value: "hourly", label: "each hour" },
            { value: "minutes", label: "every so many minutes" },
            { value: "cron", label: "by a cron expression" },
          ]}
        />
        {rhythm === "minutes" && (
          <TextField
            label="Minutes"
            inputMode="numeric"
            value={minutes}
            onInput={(minutes) => set({ minutes })}
            error={timing ? undefined : "From 1 to 527,040, which is a year."}
          />
        )}
        {rhythm === "weekly" && (
          <SelectField
            label="Day"
            value={weekday}
            onInput={(weekday) => set({ weekday })}
            choices={DAYS.map((label, index) => ({ value: String((index + 1) % 7), label }))}
          />
        )}
        {(rhythm === "daily" || rhythm === "weekly") && (
          <TextField label="At" type="time" value={at} onInput={(at) => set({ at })} />
        )}
        {rhythm === "cron" && (
          <TextField
            label="Expression"
            hint="Minute, hour, day, month, weekday"
            value={cron}
            onInput={(cron) => set({ cron })}
            mono
          />
        )}
        {rhythm !== "minutes" && (
          <TextField label="Time zone" value={timeZone} onInput={(timeZone) => set({ timeZone })} />
        )}
      </div>
      <div aria-live="polite" class="stack-tight">
        {timing && preview.value && preview.value.length > 0 && (
          <p class="quiet">
            Next:{" "}
            {preview.value
              .slice(0, 3)
              .map((time) => localTime(time))
              .join("; ")}
          </p>
        )}
        <Trouble error={preview.error} />
      </div>
    </FormDialog>
  );
}
