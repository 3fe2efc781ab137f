/** Growth: what vaults store, what of it is needed, what is free, and when that ends. */
import { useMemo, useState } from "preact/hooks";
import { api } from "../api.ts";
import { forecastSentence } from "../attention.ts";
import { changeSentence, endsSentence, seriesOf, type VaultGrowth } from "../growth-facts.ts";
import { SelectField } from "../parts/field.tsx";
import { Size, Time } from "../parts/figures.tsx";
import { Loaded } from "../parts/notice.tsx";
import { Card, Empty, Page } from "../parts/page.tsx";
import { Table } from "../parts/table.tsx";
import { useResource } from "../resource.ts";
import { BytesChart } from "../timeline/bytes-chart.tsx";
import { localZone } from "../timeline/time.ts";

const RANGES = [
  { value: "-1d", label: "the last day" },
  { value: "-7d", label: "the last week" },
  { value: "-28d", label: "the last 28 days" },
  { value: "-365d", label: "the last year" },
] as const;
type Range = (typeof RANGES)[number]["value"];
/** Samples are taken each hour. */
const EVERY_MS = 60_000;
/** As many figures as somebody reads; the report of growth has all of them. */
const ROWS_MAX = 30;

export function Growth() {
  const [range, setRange] = useState<Range>("-28d");
  const growth = useResource(() => api.growth({ from: range }), [range], { everyMs: EVERY_MS, keep: true });
  return (
    <Page
      title="Growth"
      intro="How the stored history grows, what of it is needed, and how long the space lasts if it goes on like that. Counted each hour."
    >
      <Card>
        <SelectField label="Time" value={range} onInput={setRange} choices={RANGES} />
      </Card>
      <Loaded of={growth}>
        {({ vaults, from, to }) =>
          vaults.length === 0 ? (
            <Card>
              <Empty>There are no figures of this time yet: they are taken each hour.</Empty>
            </Card>
          ) : (
            <>
              {vaults.map((vault) => (
                <VaultGrowthCard
                  key={vault.vault}
                  growth={vault}
                  from={Date.parse(from) * 1000}
                  to={Date.parse(to) * 1000}
                />
              ))}
            </>
          )
        }
      </Loaded>
    </Page>
  );
}

function VaultGrowthCard({ growth, from, to }: { growth: VaultGrowth; from: number; to: number }) {
  const zone = localZone();
  const series = useMemo(() => seriesOf(growth), [growth]);
  const change = changeSentence(growth);
  const lasts = forecastSentence(growth.forecast);
  const ends = endsSentence(growth.forecast);
  const common = { times: series.times, from, to, zone };
  return (
    <Card title={`Vault ${growth.vault}`}>
      <div class="stack-tight">
        {change !== undefined && <p>{change}</p>}
        {lasts !== undefined && <p>{lasts}</p>}
        {ends !== undefined && <p>{ends}</p>}
      </div>
      {growth.points.length === 0 ? (
        <p class="quiet">There are no figures of this time yet: they are taken each hour.</p>
      ) : (
        <>
          <h3>Stored</h3>
          <BytesChart
            {...common}
            label={`Stored bytes of vault ${growth.vault} over time; the figures are in the table below`}
            lines={[
              { name: "stored", tone: "accent", values: series.stored },
              { name: "of it needed", tone: "good", values: series.live },
            ]}
          />
          <h3>Free on its disk</h3>
          <BytesChart
            {...common}
            label={`Free bytes on the disk of vault ${growth.vault} over time; the figures are in the table below`}
            lines={[{ name: "free", tone: "quiet", values: series.free }]}
          />
          <Figures growth={growth} />
        </>
      )}
    </Card>
  );
}

function Figures({ growth }: { growth: VaultGrowth }) {
  const rows = growth.points.slice(-ROWS_MAX).reverse();
  const cell = (bytes: number | undefined) =>
    bytes === undefined ? <span class="quiet">–</span> : <Size bytes={bytes} />;
  return (
    <details>
      <summary>The newest figures</summary>
      <Table
        label={`Growth of vault ${growth.vault}`}
        rows={rows}
        rowKey={(point: (typeof rows)[number]) => point.time}
        columns={[
          { label: "Time", cell: (point) => <Time at={point.time} as="local" /> },
          { label: "Stored", figure: true, cell: (point) => cell(point.storedBytes) },
          { label: "Of it needed", figure: true, cell: (point) => cell(point.liveBytes) },
          { label: "Free", figure: true, cell: (point) => cell(point.freeBytes) },
        ]}
      />
    </details>
  );
}
