/** Making a schedule: what, when, and the next times as a check of both. */
import type { WireShownTask, WireTask } from "../../contract/schedules.ts";
import { REPORT_KINDS, REPORT_SPANS, type ReportKind, type ReportSpan } from "../../contract/reports.ts";
import { useState } from "preact/hooks";
import { api } from "./api.ts";
import { each, optional } from "./gather.ts";
import { FormDialog } from "./parts/dialog.tsx";
import { SelectField, TextField } from "./parts/field.tsx";
import { Trouble } from "./parts/notice.tsx";
import { useResource } from "./resource.ts";
import { TASK_CHOICES, timingOf } from "./schedule-words.ts";
import { useStill } from "./use-still.ts";
import { localTime } from "./words.ts";

type TaskKind = WireShownTask["kind"];
type Rhythm = "minutes" | "hourly" | "daily" | "weekly" | "cron";
const ALL = "all vaults";
const DAYS = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"];

/** What there is to choose from. */
interface Subjects {
  machines: string[];
  volumes: string[];
  vaults: string[];
  /** As `vault/tier`. */
  tiers: string[];
  channels: string[];
}

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

export function ScheduleForm({ onClose, onDone }: { onClose: () => void; onDone: () => void }) {
  const subjects = useResource(loadSubjects, []);
  const [name, setName] = useState("");
  const [kind, setKind] = useState<TaskKind>("bookmark");
  const [subject, setSubject] = useState("");
  const [keep, setKeep] = useState("30");
  const [report, setReport] = useState<ReportKind>("protection");
  const [span, setSpan] = useState<ReportSpan>("week");
  const [rhythm, setRhythm] = useState<Rhythm>("daily");
  const [minutes, setMinutes] = useState("60");
  const [at, setAt] = useState("01:30");
  const [weekday, setWeekday] = useState("1");
  const [cron, setCron] = useState("");
  const [timeZone, setTimeZone] = useState(Intl.DateTimeFormat().resolvedOptions().timeZone);
  const choices = subjectChoices(kind, subjects.value);
  const chosen = choices.some((choice) => choice.value === subject) ? subject : (choices[0]?.value ?? "");
  const task = chosen === "" ? undefined : taskOf(kind, chosen, { keep, report, span });
  const timing = timingOf({ rhythm, minutes, at, weekday, cron, timeZone });
  const still = useStill(JSON.stringify(timing));
  const preview = useResource(
    async () => (timing === undefined ? [] : (await api.previewSchedule(timing)).next),
    [still],
  );
  return (
    <FormDialog
      wide
      title="Add a schedule"
      submit="Add it"
      disabled={name.trim() === "" || !task || !timing}
      onClose={onClose}
      onSubmit={async () => {
        if (!task || !timing) return;
        await api.createSchedule({ name: name.trim(), task, timing });
        onDone();
      }}
    >
      <div class="fields">
        <TextField label="Name" hint="Such as nightly" value={name} onInput={setName} required />
        <SelectField label="What" value={kind} onInput={setKind} choices={TASK_CHOICES} />
        {choices.length > 0 ? (
          <SelectField label={kind === "report" ? "Through channel" : "Of"} value={chosen} onInput={setSubject} choices={choices} />
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
          />
        )}
      </div>
      <div class="fields">
        <SelectField
          label="When"
          value={rhythm}
          onInput={setRhythm}
          choices={[
            { value: "daily", label: "each day" },
            { value: "weekly", label: "each week" },
            { value: "hourly", label: "each hour" },
            { value: "minutes", label: "every so many minutes" },
            { value: "cron", label: "by a cron expression" },
          ]}
        />
        {rhythm === "minutes" && <TextField label="Minutes" inputMode="numeric" value={minutes} onInput={setMinutes} />}
        {rhythm === "weekly" && (
          <SelectField
            label="Day"
            value={weekday}
            onInput={setWeekday}
            choices={DAYS.map((label, index) => ({ value: String((index + 1) % 7), label }))}
          />
        )}
        {(rhythm === "daily" || rhythm === "weekly") && <TextField label="At" type="time" value={at} onInput={setAt} />}
        {rhythm === "cron" && (
          <TextField label="Expression" hint="Minute, hour, day, month, weekday" value={cron} onInput={setCron} mono />
        )}
        {rhythm !== "minutes" && <TextField label="Time zone" value={timeZone} onInput={setTimeZone} />}
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

const same = <Value extends string>(values: readonly Value[]): { value: Value; label: string }[] =>
  values.map((value) => ({ value, label: value }));

function subjectChoices(kind: TaskKind, subjects: Subjects | undefined): { value: string; label: string }[] {
  if (!subjects) return [];
  switch (kind) {
    case "bookmark":
      return [
        ...subjects.machines.map((each) => ({ value: `machine/${each}`, label: `machine ${each}` })),
        ...subjects.volumes.map((each) => ({ value: `volume/${each}`, label: `volume ${each}` })),
      ];
    case "check":
    case "scrub":
    case "gc":
      return same([ALL, ...subjects.vaults]);
    case "sync-tier":
    case "verify-tier":
      return subjects.tiers.map((each) => ({ value: each, label: each.replace("/", ": ") }));
    case "report":
      return same(subjects.channels);
  }
}

/** What only some tasks have. */
interface TaskDetails {
  keep: string;
  report: ReportKind;
  span: ReportSpan;
}

function taskOf(kind: TaskKind, chosen: string, { keep, report, span }: TaskDetails): WireTask | undefined {
  const [first = "", second = ""] = chosen.split("/");
  const of = chosen === ALL ? {} : { vault: chosen };
  switch (kind) {
    case "bookmark": {
      const count = Number(keep);
      if (keep.trim() !== "" && !(Number.isInteger(count) && count >= 1 && count <= 1000)) return undefined;
      return {
        kind,
        ...(first === "machine" ? { machine: second } : { volume: second }),
        ...(keep.trim() === "" ? {} : { keep: count }),
      };
    }
    case "check":
    case "scrub":
    case "gc":
      return { kind, ...of };
    case "sync-tier":
    case "verify-tier":
      return { kind, vault: first, tier: second };
    case "report":
      return { kind, report, span, channel: chosen };
  }
}
