/** What the strip shows, as a table: for screen readers, and for whoever would rather read. */
import { useState } from "preact/hooks";
import { Button } from "../parts/button.tsx";
import { Table } from "../parts/table.tsx";
import { retainedAt, type KeptFacts, type StripFacts } from "./facts.ts";
import { localText, precisionOf } from "./time.ts";
import { spanOf, type View } from "./view.ts";
import { factRows, retainedText, type Choice, type FactRow } from "./words.ts";

/** More is not read; whoever wants more detail zooms in. */
const ROWS_MAX = 60;

export interface FactsTableProps {
  facts: StripFacts | undefined;
  view: View;
  zone: string;
  kept: KeptFacts;
  now: number;
  onChoice: (choice: Choice) => void;
}

export function FactsTable(props: FactsTableProps) {
  const [open, setOpen] = useState(false);
  return (
    <details class="facts-list" open={open} onToggle={(event) => setOpen(event.currentTarget.open)}>
      <summary>The same as a list</summary>
      {open && <Rows {...props} />}
    </details>
  );
}

function Rows({ facts, view, zone, kept, now, onChoice }: FactsTableProps) {
  if (!facts) return <p class="quiet">Loading…</p>;
  const precision = precisionOf(spanOf(view) / 4);
  const when = (row: FactRow): string =>
    row.kind === "writes"
      ? `${localText(row.from, zone, precision)} – ${localText(row.to, zone, precision).split(", ").at(-1)!}`
      : localText(row.from, zone, precision);
  return (
    <Table
      label="What happened in the part of history that is shown"
      rows={factRows(facts, view, ROWS_MAX)}
      rowKey={(row) => row.key}
      empty={<p class="quiet">Nothing happened in the part that is shown.</p>}
      columns={[
        { label: "When", cell: when },
        { label: "What", cell: (row) => row.text },
        { label: "Kept", cell: (row) => retainedText(retainedAt(kept, Math.max(row.from, row.to - 1), now)) },
        {
          label: "",
          cell: (row) => (
            <Button
              size="small"
              label={`Choose the moment ${when(row)}`}
              onClick={() =>
                onChoice(row.lsn > 0 ? { time: Math.max(row.from, row.to - 1), lsn: row.lsn } : { time: row.to })
              }
            >
              Choose
            </Button>
          ),
        },
      ]}
    />
  );
}
