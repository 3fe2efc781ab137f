/** Schedules: what the appliance does by itself; and the scripts that may run around bookmarks. */
import type { WireSchedule } from "../../../contract/schedules.ts";
import { useState } from "preact/hooks";
import { api } from "../api.ts";
import { optional } from "../gather.ts";
import { Button } from "../parts/button.tsx";
import { Confirm } from "../parts/dialog.tsx";
import { Time } from "../parts/figures.tsx";
import { Link } from "../parts/link.tsx";
import { Badge, Loaded, Notice, Trouble, type Tone } from "../parts/notice.tsx";
import { Card, Empty, Facts, Page } from "../parts/page.tsx";
import { Table } from "../parts/table.tsx";
import { useAction, useResource } from "../resource.ts";
import { ScheduleForm } from "../schedule-form.tsx";
import { taskWords, timingWords } from "../schedule-words.ts";
import { useMay } from "../session.tsx";
import { sentence } from "../words.ts";

const OUTCOMES: Record<NonNullable<WireSchedule["last"]>["outcome"], Tone> = {
  running: "accent",
  done: "good",
  failed: "bad",
  missed: "warn",
  overlapped: "warn",
  interrupted: "warn",
};

export function Schedules() {
  const may = useMay();
  const schedules = useResource(() => api.schedules(), [], { everyMs: 5_000 });
  const [form, setForm] = useState<{ before?: WireSchedule } | undefined>(undefined);
  const [removing, setRemoving] = useState<WireSchedule | undefined>(undefined);
  const add = may("createSchedule") && (
    <Button kind="primary" onClick={() => setForm({})}>
      Add a schedule
    </Button>
  );
  return (
    <Page
      title="Schedules"
      intro="What the appliance does by itself. Every write is kept anyway; schedules add bookmarks, checks and copies at times."
      actions={add}
    >
      <Loaded of={schedules}>
        {(all) =>
          all.length === 0 ? (
            <Card>
              <Empty action={add}>Nothing is scheduled.</Empty>
            </Card>
          ) : (
            <>
              {all.map((schedule) => (
                <ScheduleCard
                  key={schedule.name}
                  schedule={schedule}
                  onChanged={schedules.reload}
                  onChange={() => setForm({ before: schedule })}
                  onRemove={() => setRemoving(schedule)}
                />
              ))}
            </>
          )
        }
      </Loaded>
      {may("listScripts") && <Scripts />}
      {form && <ScheduleForm before={form.before} onClose={() => setForm(undefined)} onDone={schedules.reload} />}
      {removing && (
        <Confirm
          title={`Remove schedule ${removing.name}?`}
          submit="Remove it"
          onClose={() => setRemoving(undefined)}
          onSubmit={async () => {
            await api.deleteSchedule(removing.name);
            schedules.reload();
          }}
        >
          <p>It does not run any more. Bookmarks that it made stay.</p>
        </Confirm>
      )}
    </Page>
  );
}

function ScheduleCard(props: {
  schedule: WireSchedule;
  /** It was run or paused. */
  onChanged: () => void;
  /** Opens the form that changes it. */
  onChange: () => void;
  onRemove: () => void;
}) {
  const { schedule, onChanged, onChange, onRemove } = props;
  const may = useMay();
  const run = useAction(async () => {
    await api.runSchedule(schedule.name);
    onChanged();
  });
  const pause = useAction(async () => {
    await api.changeSchedule(schedule.name, { paused: !schedule.paused });
    onChanged();
  });
  return (
    <Card
      title={schedule.name}
      actions={
        <>
          {may("runSchedule") && (
            <Button size="small" label={`Run now: ${schedule.name}`} busy={run.busy} onClick={() => void run.run()}>
              Run now
            </Button>
          )}
          {may("changeSchedule") && (
            <Button
              size="small"
              label={`${schedule.paused ? "Go on with" : "Pause"} ${schedule.name}`}
              busy={pause.busy}
              onClick={() => void pause.run()}
            >
              {schedule.paused ? "Go on" : "Pause"}
            </Button>
          )}
          {may("changeSchedule") && (
            <Button size="small" label={`Change ${schedule.name}`} onClick={onChange}>
              Change
            </Button>
          )}
          {may("deleteSchedule") && (
            <Button size="small" kind="danger" label={`Remove ${schedule.name}`} onClick={onRemove}>
              Remove
            </Button>
          )}
        </>
      }
    >
      {schedule.description !== "" && <p>{schedule.description}</p>}
      {schedule.trouble !== undefined && <Notice tone="warn">{sentence(schedule.trouble)}</Notice>}
      <Trouble error={run.error ?? pause.error} />
      <Facts
        of={[
          ["Does", taskWords(schedule.task)],
          ["When", timingWords(schedule.timing)],
          [
            "Next",
            schedule.paused ? <Badge key="paused">paused</Badge> : schedule.nextAt && <Time at={schedule.nextAt} />,
          ],
          [
            "Last",
            schedule.last ? (
              <span key="last" class="row">
                <Badge tone={OUTCOMES[schedule.last.outcome]}>{schedule.last.outcome}</Badge>
                <Time at={schedule.last.startedAt} />
                {schedule.last.job !== undefined && (
                  <Link to={`/jobs/${schedule.last.job}`}>job {schedule.last.job}</Link>
                )}
              </span>
            ) : (
              "never"
            ),
          ],
          ["Why", schedule.last?.error === undefined ? undefined : sentence(schedule.last.error)],
        ]}
      />
    </Card>
  );
}

function Scripts() {
  const scripts = useResource(async () => await optional(api.scripts()), []);
  if (!scripts.value) return null;
  const { folder, reason, scripts: all } = scripts.value;
  return (
    <Card title="Scripts around bookmarks">
      <p class="quiet">
        Executables that an administrator placed in <code>{folder}</code> on the appliance, such as one that freezes a
        database. They cannot be changed from here.
      </p>
      {reason !== undefined && <Notice tone="warn">{sentence(reason)}</Notice>}
      <Table
        label="Scripts"
        rows={all}
        rowKey={(each: (typeof all)[number]) => each.name}
        empty={<p class="quiet">There are none.</p>}
        columns={[
          { label: "Script", cell: (each) => each.name },
          {
            label: "State",
            cell: (each) => <Badge tone={each.fit ? "good" : "warn"}>{each.fit ? "fit" : "would not be run"}</Badge>,
          },
          { label: "Why", cell: (each) => (each.reason === undefined ? "" : sentence(each.reason)) },
        ]}
      />
    </Card>
  );
}
