/** Events: what happened, newest first. */
import { EVENT_KINDS } from "../../../contract/event-kinds.ts";
import { useState } from "preact/hooks";
import { api } from "../api.ts";
import { SelectField, TextField } from "../parts/field.tsx";
import { Time } from "../parts/figures.tsx";
import { Badge, Loaded } from "../parts/notice.tsx";
import { Older } from "../parts/older.tsx";
import { Card, Empty, Page } from "../parts/page.tsx";
import { Table } from "../parts/table.tsx";
import { useResource } from "../resource.ts";
import { sentence } from "../words.ts";

type Event = Awaited<ReturnType<typeof api.events>>["events"][number];
type Least = Event["level"];
const RANK: Record<Least, number> = { info: 0, warning: 1, alert: 2 };
const TONES = { info: "plain", warning: "warn", alert: "bad" } as const;

export function Events() {
  const [limit, setLimit] = useState(100);
  const [least, setLeast] = useState<Least>("info");
  const [wanted, setWanted] = useState("");
  const events = useResource(() => api.events({ limit }), [limit], { everyMs: 5_000, keep: true });
  const isWanted = (event: Event): boolean =>
    RANK[event.level] >= RANK[least] &&
    `${event.subject} ${event.message} ${event.kind}`.toLowerCase().includes(wanted.trim().toLowerCase());
  return (
    <Page title="Events" intro="What happened, newest first. Notifications carry the same to where people see them.">
      <Card>
        <div class="fields">
          <SelectField
            label="Show"
            value={least}
            onInput={setLeast}
            choices={[
              { value: "info", label: "everything" },
              { value: "warning", label: "warnings and alerts" },
              { value: "alert", label: "alerts" },
            ]}
          />
          <TextField label="About" hint="A volume, vault or word" type="search" value={wanted} onInput={setWanted} />
        </div>
        <Loaded of={events}>
          {({ events: all, next }) => (
            <>
              <Table
                label="Events"
                rows={all.filter(isWanted)}
                rowKey={(event: Event) => event.id}
                empty={
                  <Empty>
                    {all.length === 0
                      ? "Nothing has happened yet."
                      : next === undefined
                        ? "Nothing fits."
                        : "Nothing among the newest fits; look further."}
                  </Empty>
                }
                columns={[
                  {
                    label: "What",
                    cell: (event) => (
                      <>
                        {sentence(event.message)}
                        {event.level !== "info" && todoOf(event.kind) !== "" && (
                          <>
                            <br />
                            <span class="quiet small">{todoOf(event.kind)}</span>
                          </>
                        )}
                      </>
                    ),
                  },
                  { label: "Level", cell: (event) => <Badge tone={TONES[event.level]}>{event.level}</Badge> },
                  { label: "About", cell: (event) => event.subject },
                  { label: "When", cell: (event) => <Time at={event.time} /> },
                ]}
              />
              <Older next={next} limit={limit} onLimit={setLimit} step={300} />
            </>
          )}
        </Loaded>
      </Card>
    </Page>
  );
}

function todoOf(kind: string): string {
  return Object.hasOwn(EVENT_KINDS, kind) ? (EVENT_KINDS[kind]?.todo ?? "").replaceAll("`", "") : "";
}
