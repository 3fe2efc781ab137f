/** About the appliance: its health, its version, the machine's disks, where it is reached, and how it is used by programs. */
import type { DiskList } from "../../../contract/contract.ts";
import { api } from "../api.ts";
import { Copyable } from "../parts/copyable.tsx";
import { Size, Time } from "../parts/figures.tsx";
import { Badge, Loaded, Notice } from "../parts/notice.tsx";
import { Card, Facts, Page } from "../parts/page.tsx";
import { Table } from "../parts/table.tsx";
import { useResource } from "../resource.ts";
import { useMay } from "../session.tsx";
import { sentence } from "../words.ts";

export function Settings() {
  const may = useMay();
  const health = useResource(() => api.health(), [], { everyMs: 10_000 });
  return (
    <Page
      title="Settings"
      intro="How the appliance stands. What is set in its configuration file is shown here and changed there: DATA/config.json."
    >
      <Card title="Health">
        <Loaded of={health}>
          {(value) => (
            <>
              <div class="row">
                <Badge tone={value.status === "ok" ? "good" : "warn"}>{value.status}</Badge>
              </div>
              {value.reasons.map((reason) => (
                <Notice key={reason} tone="warn">
                  {sentence(reason)}
                </Notice>
              ))}
              <Facts
                of={[
                  ["Version", value.version],
                  ["Running since", <Time key="since" at={value.startedAt} as="local" />],
                ]}
              />
            </>
          )}
        </Loaded>
      </Card>
      <Card title="For programs">
        <ul>
          <li>
            <a href="/docs">Reference of the API</a>, and its description as <a href="/openapi.json">OpenAPI</a>
          </li>
          <li>
            <a href="/metrics">Metrics</a> for Prometheus
          </li>
          <li>
            On the appliance the command <code>sternway</code> does all that this console does:{" "}
            <code>sternway --help</code>
          </li>
        </ul>
      </Card>
      <Doors />
      {may("listDisks") && <Disks />}
    </Page>
  );
}

function Doors() {
  const doors = useResource(() => api.doors(), []);
  return (
    <Card title="Where disks are reached">
      <Loaded of={doors}>
        {(value) => (
          <>
            <p class="quiet">Machines read and write their disks over NBD, the network block protocol.</p>
            <Copyable text={value.socketPath} label="the socket's path" />
            {value.localSocketPath !== undefined && (
              <>
                <p class="quiet">Root uses that socket. Other users of the appliance who have a credential use this:</p>
                <Copyable text={value.localSocketPath} label="the path of the socket for users" />
              </>
            )}
            {value.nbd.length === 0 ? (
              <p>Other machines cannot reach the disks: the appliance listens on no network address.</p>
            ) : (
              <ul>
                {value.nbd.map((door) => (
                  <li key={`${door.host}:${door.port}`}>
                    <code>
                      {door.host}:{door.port}
                    </code>
                    {door.tls ? ", with TLS" : ", without TLS"}
                    {door.credentials ? ", and a certificate for each machine" : ""}
                  </li>
                ))}
              </ul>
            )}
          </>
        )}
      </Loaded>
    </Card>
  );
}

type Disk = DiskList["disks"][number];

function Disks() {
  const disks = useResource(() => api.disks(), []);
  return (
    <Card title="Disks of the appliance">
      <Loaded of={disks}>
        {(value) => (
          <>
            {value.warnings.map((warning) => (
              <Notice key={warning} tone="warn">
                {sentence(warning)}
              </Notice>
            ))}
            <Facts
              of={[
                ["Data folder", <code key="dir">{value.store.dataDir}</code>],
                ["Its file system", `${value.store.fsType} on ${value.store.path}`],
                ["Kept free", <Size key="reserve" bytes={value.store.reserveBytes} />],
              ]}
            />
            <Table
              label="Disks"
              rows={value.disks}
              rowKey={(disk: Disk) => disk.path}
              empty={<p class="quiet">None can be seen from here.</p>}
              columns={[
                { label: "Disk", cell: (disk) => <code>{disk.path}</code> },
                { label: "Size", figure: true, cell: (disk) => <Size bytes={disk.sizeBytes} /> },
                { label: "Model", cell: (disk) => disk.model ?? "" },
                {
                  label: "Mounted",
                  cell: (disk) =>
                    [...disk.mounts, ...disk.partitions.flatMap((part) => part.mounts)]
                      .map((mount) => mount.path)
                      .join(", "),
                },
              ]}
            />
          </>
        )}
      </Loaded>
    </Card>
  );
}
