/** How long history is kept, of all volumes. */
import type { WireRetention, WireVolume } from "../../../contract/contract.ts";
import { api } from "../api.ts";
import { each } from "../gather.ts";
import { Button } from "../parts/button.tsx";
import { Time } from "../parts/figures.tsx";
import { Link } from "../parts/link.tsx";
import { Badge, Loaded, Trouble } from "../parts/notice.tsx";
import { Card, Empty, Page } from "../parts/page.tsx";
import { Table } from "../parts/table.tsx";
import { policyWords } from "../policy-words.ts";
import { useAction, useResource } from "../resource.ts";
import { useMay } from "../session.tsx";
import { spell } from "../words.ts";
import { VolumeRetention } from "./volume-retention.tsx";

export function RetentionPage({ name }: { name?: string }) {
  return name === undefined ? <AllVolumes /> : <VolumeRetention name={name} />;
}

function AllVolumes() {
  const may = useMay();
  const all = useResource(async () => {
    const volumes = await api.volumes();
    const found = await each(volumes, (volume) => api.retention(volume.name));
    return volumes.map((volume, index) => ({ volume, retention: found[index] }));
  }, []);
  const collect = useAction(async () => {
    for await (const line of api.gc()) void line;
    all.reload();
  });
  type Row = { volume: WireVolume; retention: WireRetention | undefined };
  return (
    <Page
      title="Retention"
      intro="How long each volume’s history is kept. Without a policy everything is kept for ever. Bookmarks and holds stay whatever a policy says."
      actions={
        may("runGc") && (
          <Button busy={collect.busy} onClick={() => void collect.run()}>
            Give space back now
          </Button>
        )
      }
    >
      <Trouble error={collect.error} />
      <Card>
        <Loaded of={all}>
          {(rows) => (
            <Table
              label="Retention by volume"
              rows={rows}
              rowKey={(row: Row) => row.volume.name}
              empty={<Empty>No disk is protected yet.</Empty>}
              columns={[
                {
                  label: "Volume",
                  cell: ({ volume }) => <Link to={`/retention/${encodeURIComponent(volume.name)}`}>{volume.name}</Link>,
                },
                {
                  label: "Keeps",
                  cell: ({ retention }) => (retention ? policyWords(retention.policy) : "cannot be told now"),
                },
                {
                  label: "Every write since",
                  cell: ({ retention }) => retention && <Time at={retention.everyWriteFrom.time} as="local" />,
                },
                {
                  label: "Lock",
                  cell: ({ retention }) =>
                    retention && retention.lockSeconds > 0 ? (
                      <Badge tone="accent">{spell(retention.lockSeconds)}</Badge>
                    ) : (
                      <span class="quiet">none</span>
                    ),
                },
              ]}
            />
          )}
        </Loaded>
      </Card>
    </Page>
  );
}
