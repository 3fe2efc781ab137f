/** The audit: who did what to what, from where, with what result. */
import type { WireAuditEntry } from "../../../contract/audit.ts";
import { useState } from "preact/hooks";
import { actionWords } from "../action-words.ts";
import { api } from "../api.ts";
import { Copyable } from "../parts/copyable.tsx";
import { SelectField, TextField } from "../parts/field.tsx";
import { Time } from "../parts/figures.tsx";
import { Badge, Loaded, Notice, type Tone } from "../parts/notice.tsx";
import { Older } from "../parts/older.tsx";
import { Card, Empty, Page } from "../parts/page.tsx";
import { Table } from "../parts/table.tsx";
import { useResource } from "../resource.ts";
import { useStill } from "../use-still.ts";
import { sentence } from "../words.ts";

const TONES: Record<WireAuditEntry["result"], Tone> = { done: "good", refused: "warn", failed: "bad" };
type Result = WireAuditEntry["result"] | "any";

export function Audit() {
  const [who, setWho] = useState("");
  const [subject, setSubject] = useState("");
  const [result, setResult] = useState<Result>("any");
  const [day, setDay] = useState("");
  const [limit, setLimit] = useState(100);
  const wanted = useStill(JSON.stringify({ who, subject, result, day }));
  const entries = useResource(
    () =>
      api.audit({
        limit,
        ...(who.trim() === "" ? {} : { who: who.trim() }),
        ...(subject.trim() === "" ? {} : { subject: subject.trim() }),
        ...(result === "any" ? {} : { result }),
        ...dayRange(day),
      }),
    [wanted, limit],
    { keep: true },
  );
  const key = useResource(() => api.auditKey(), []);
  return (
    <Page
      title="Audit"
      intro="Who did what to what, from where, and what came of it; refused attempts too. Each entry proves the one before it."
      actions={
        <a class="button" href="/v1/audit/export" download="sternway-audit.jsonl">
          Export all
        </a>
      }
    >
      {key.value?.trouble !== undefined && (
        <Notice tone="bad" live title="Entries cannot be written now">
          {sentence(key.value.trouble)}
        </Notice>
      )}
      <Card>
        <div class="fields">
          <TextField label="Who" hint="The whole name" value={who} onInput={setWho} type="search" />
          <TextField label="What it was done to" value={subject} onInput={setSubject} type="search" />
          <TextField label="On the day" value={day} onInput={setDay} type="date" />
          <SelectField
            label="Result"
            value={result}
            onInput={setResult}
            choices={[
              { value: "any", label: "any" },
              { value: "done", label: "done" },
              { value: "refused", label: "refused" },
              { value: "failed", label: "failed" },
            ]}
          />
        </div>
        <Loaded of={entries}>
          {({ entries: all, next }) => (
            <>
              <Table
                label="Audit"
                rows={all}
                rowKey={(entry: WireAuditEntry) => entry.seq}
                empty={
                  <Empty>{next === undefined ? "Nothing fits." : "Nothing among the newest fits; look further."}</Empty>
                }
                columns={[
                  {
                    label: "Who",
                    cell: (entry) => (entry.who === "-" ? <span class="quiet">nobody</span> : entry.who),
                  },
                  { label: "Did", cell: (entry) => actionWords(entry.action) },
                  { label: "To", cell: (entry) => entry.about ?? entry.subject },
                  { label: "Result", cell: (entry) => <Badge tone={TONES[entry.result]}>{entry.result}</Badge> },
                  { label: "From", cell: (entry) => (entry.from === "" ? "this machine" : entry.from) },
                  { label: "When", cell: (entry) => <Time at={entry.time} as="local" /> },
                ]}
              />
              <Older next={next} limit={limit} onLimit={setLimit} step={300} />
            </>
          )}
        </Loaded>
      </Card>
      <Card title="Proof">
        <Loaded of={key}>
          {(value) => (
            <div class="stack-tight">
              <p class="quiet">
                Note the key’s fingerprint and the newest line down somewhere else. With them{" "}
                <code>sternway audit verify</code> shows later that nothing was changed or cut off.
              </p>
              <Copyable text={value.fingerprint} label="the fingerprint" />
              <Copyable text={`${value.head.seq}:${value.head.hash}`} label="the newest line" />
            </div>
          )}
        </Loaded>
      </Card>
    </Page>
  );
}

/** A day of the browser's own zone as a range. @param day - `2026-11-21`; empty: none */
function dayRange(day: string): { from?: string; to?: string } {
  const from = new Date(`${day}T00:00:00`);
  if (day === "" || Number.isNaN(from.getTime())) return {};
  const to = new Date(from);
  to.setDate(to.getDate() + 1);
  return { from: from.toISOString(), to: to.toISOString() };
}
