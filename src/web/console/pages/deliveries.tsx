/** What became of notifications. */
import type { WireDelivery } from "../../../contract/notify.ts";
import { useState } from "preact/hooks";
import { api } from "../api.ts";
import { Time } from "../parts/figures.tsx";
import { Badge, Loaded, type Tone } from "../parts/notice.tsx";
import { Older } from "../parts/older.tsx";
import { Card } from "../parts/page.tsx";
import { Table } from "../parts/table.tsx";
import { useResource } from "../resource.ts";
import { sentence } from "../words.ts";

const STATES: Record<WireDelivery["state"], Tone> = {
  gathering: "accent",
  waiting: "warn",
  sent: "good",
  "given-up": "bad",
};

/** What was sent, and what waits. */
export function Deliveries() {
  const [limit, setLimit] = useState(30);
  const deliveries = useResource(() => api.deliveries({ limit }), [limit], { everyMs: 10_000, keep: true });
  return (
    <Card title="What was sent">
      <Loaded of={deliveries}>
        {({ deliveries: all, next }) => (
          <>
            <Table
              label="Deliveries"
              rows={all}
              rowKey={(delivery: WireDelivery) => delivery.id}
              empty={<p class="quiet">Nothing yet.</p>}
              columns={[
                { label: "Message", cell: (delivery) => delivery.subject },
                { label: "To", cell: (delivery) => delivery.channel },
                {
                  label: "State",
                  cell: (delivery) => (
                    <>
                      <Badge tone={STATES[delivery.state]}>{delivery.state}</Badge>
                      {delivery.lastError !== undefined && (
                        <>
                          <br />
                          <span class="small">{sentence(delivery.lastError)}</span>
                        </>
                      )}
                    </>
                  ),
                },
                { label: "When", cell: (delivery) => <Time at={delivery.createdAt} /> },
              ]}
            />
            <Older next={next} limit={limit} onLimit={setLimit} />
          </>
        )}
      </Loaded>
    </Card>
  );
}
