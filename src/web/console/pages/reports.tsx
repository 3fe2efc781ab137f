/** Reports: of a day, a week or any range, shown here, as a page to print, or as a table for a spreadsheet. */
import type { ReportCell, ReportKind, ReportSection, WireReport } from "../../../contract/reports.ts";
import type { ComponentChildren } from "preact";
import { useState } from "preact/hooks";
import { api } from "../api.ts";
import { Button } from "../parts/button.tsx";
import { FormDialog } from "../parts/dialog.tsx";
import { SelectField } from "../parts/field.tsx";
import { Size, Time } from "../parts/figures.tsx";
import { Link } from "../parts/link.tsx";
import { Loaded, Notice, Trouble, type Tone } from "../parts/notice.tsx";
import { Card, Page } from "../parts/page.tsx";
import { Table } from "../parts/table.tsx";
import { useResource } from "../resource.ts";
import { pathWith } from "../route.ts";
import { useMay } from "../session.tsx";
import { localTime, plural, sentence, spell } from "../words.ts";

const RANGES = [
  { value: "-1d", label: "the last day" },
  { value: "-7d", label: "the last week" },
  { value: "-30d", label: "the last 30 days" },
  { value: "-365d", label: "the last year" },
] as const;
type Range = (typeof RANGES)[number]["value"];
const LEVELS: Record<WireReport["findings"][number]["level"], Tone> = { good: "good", warning: "warn", bad: "bad" };

export function Reports() {
  const may = useMay();
  const reports = useResource(() => api.reports(), []);
  const [isSending, setSending] = useState(false);
  const [sentTo, setSentTo] = useState<string | undefined>(undefined);
  const [kind, setKind] = useState<ReportKind>("protection");
  const [range, setRange] = useState<Range>("-7d");
  const report = useResource(() => api.report(kind, { from: range }), [kind, range]);
  const path = (format: string): string => pathWith(`/v1/reports/${kind}`, { from: range, format });
  return (
    <Page
      title="Reports"
      intro="What there is to show of a time: to yourself, to a customer, or to an auditor."
      actions={
        <>
          <a class="button" href={path("html")} target="_blank" rel="noopener">
            Page to print
          </a>
          <a class="button" href={path("csv")} download={`sternway-${kind}.csv`}>
            Spreadsheet (CSV)
          </a>
          {may("sendReport") && <Button onClick={() => setSending(true)}>Send it</Button>}
        </>
      }
    >
      <Card>
        <Loaded of={reports}>
          {(all) => (
            <div class="fields">
              <SelectField
                label="Report"
                value={kind}
                onInput={setKind}
                hint={all.find((each) => each.kind === kind)?.about}
                choices={all.map((each) => ({ value: each.kind, label: each.title }))}
              />
              <SelectField label="Of" value={range} onInput={setRange} choices={RANGES} />
            </div>
          )}
        </Loaded>
      </Card>
      {sentTo !== undefined && (
        <Notice tone="good" live title={`It is on its way through ${sentTo}`}>
          What becomes of it is among <Link to="/notifications">what was sent</Link>.
        </Notice>
      )}
      <Loaded of={report}>{(value) => <Shown report={value} />}</Loaded>
      {isSending && <Send kind={kind} range={range} onClose={() => setSending(false)} onSent={setSentTo} />}
    </Page>
  );
}

function Send(props: { kind: ReportKind; range: Range; onClose: () => void; onSent: (channel: string) => void }) {
  const channels = useResource(() => api.channels(), []);
  const [picked, setPicked] = useState("");
  const all = channels.value ?? [];
  const channel = picked === "" ? (all[0]?.name ?? "") : picked;
  return (
    <FormDialog
      title="Send this report"
      submit="Send it"
      disabled={channel === ""}
      onClose={props.onClose}
      onSubmit={async () => {
        await api.sendReport(props.kind, channel, { from: props.range });
        props.onSent(channel);
      }}
    >
      <p>By mail it goes as a page, with the figures as a spreadsheet beside it.</p>
      <Trouble error={channels.error} />
      {channels.value !== undefined && all.length === 0 ? (
        <p>
          There is no channel yet. Add one under <Link to="/notifications">Notifications</Link> first.
        </p>
      ) : (
        <SelectField
          label="Through"
          value={channel}
          onInput={setPicked}
          choices={all.map(({ name, kind }) => ({
            value: name,
            label: `${name} (${kind === "email" ? "e-mail" : "webhook"})`,
          }))}
        />
      )}
    </FormDialog>
  );
}

function Shown({ report }: { report: WireReport }) {
  return (
    <>
      <Card title={report.title}>
        <p class="quiet">
          {localTime(report.from)} to {localTime(report.to)}
        </p>
        {report.findings.map((finding) => (
          <Notice key={finding.text} tone={LEVELS[finding.level]}>
            {sentence(finding.text)}
          </Notice>
        ))}
      </Card>
      {report.sections.map((section) => (
        <Section key={section.title} section={section} />
      ))}
    </>
  );
}

function Section({ section }: { section: ReportSection }) {
  const rows = section.rows.map((row, index) => ({ row, index }));
  type Row = (typeof rows)[number];
  return (
    <Card title={section.title}>
      {section.about !== undefined && <p class="quiet">{section.about}</p>}
      <Table
        label={section.title}
        rows={rows}
        rowKey={({ index }: Row) => index}
        empty={<p class="quiet">Nothing in this time.</p>}
        columns={section.columns.map((column) => ({
          label: column.title,
          figure: column.type === "bytes" || column.type === "count" || column.type === "percent",
          cell: ({ row }: Row) => cellOf(row[column.key] ?? null, column.type),
        }))}
      />
      {section.left !== undefined && section.left > 0 && (
        <p class="quiet">{plural(section.left, "more row")} in the spreadsheet.</p>
      )}
    </Card>
  );
}

function cellOf(value: ReportCell, type: ReportSection["columns"][number]["type"]): ComponentChildren {
  if (value === null) return <span class="quiet">–</span>;
  switch (type) {
    case "bytes":
      return <Size bytes={Number(value)} />;
    case "count":
      return Number(value).toLocaleString("en-US");
    case "percent":
      return `${Number(value)} %`;
    case "seconds":
      return spell(Number(value));
    case "time":
      return <Time at={String(value)} as="local" />;
    case "yes-no":
      return value === true ? "yes" : "no";
    case "text":
      return String(value);
  }
}
