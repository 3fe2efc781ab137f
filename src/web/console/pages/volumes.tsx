/** All volumes. */
import type { WireVolume } from "../../../contract/contract.ts";
import { useState } from "preact/hooks";
import { api } from "../api.ts";
import { AttachedBadge } from "../attached-badge.tsx";
import { TextField } from "../parts/field.tsx";
import { Size, Time } from "../parts/figures.tsx";
import { ButtonLink, Link } from "../parts/link.tsx";
import { Loaded } from "../parts/notice.tsx";
import { Card, Empty, Page } from "../parts/page.tsx";
import { Table } from "../parts/table.tsx";
import { useResource } from "../resource.ts";
import { useMay } from "../session.tsx";

/** From here on a list is worth searching. */
const SEARCH_FROM = 12;

export function Volumes() {
  const may = useMay();
  const volumes = useResource(() => api.volumes(), [], { everyMs: 10_000 });
  const [wanted, setWanted] = useState("");
  const protect = may("createVolume") ? (
    <ButtonLink to="/protect" kind="primary">
      Protect a disk
    </ButtonLink>
  ) : undefined;
  return (
    <Page
      title="Volumes"
      intro="Each volume is one protected disk. Every write to it is kept, so that it can be had back as of any past moment."
      actions={volumes.value?.length === 0 ? undefined : protect}
    >
      <Card>
        <Loaded of={volumes}>
          {(all) => (
            <>
              {all.length >= SEARCH_FROM && (
                <TextField label="Find a volume" type="search" value={wanted} onInput={setWanted} />
              )}
              <Table
                label="Volumes"
                rows={all.filter((volume) => volume.name.toLowerCase().includes(wanted.trim().toLowerCase()))}
                rowKey={(volume: WireVolume) => volume.name}
                empty={
                  all.length === 0 ? (
                    <Empty action={protect}>No disk is protected yet.</Empty>
                  ) : (
                    <Empty>No volume has that in its name.</Empty>
                  )
                }
                columns={[
                  {
                    label: "Volume",
                    cell: (volume) => (
                      <>
                        <Link to={`/volumes/${encodeURIComponent(volume.name)}`}>{volume.name}</Link>
                        {volume.origin && <span class="quiet small"> a branch of {volume.origin.volume}</span>}
                      </>
                    ),
                  },
                  { label: "Size", figure: true, cell: (volume) => <Size bytes={volume.sizeBytes} /> },
                  {
                    label: "Now",
                    cell: (volume) => <AttachedBadge volume={volume} />,
                  },
                  { label: "Last write", cell: (volume) => <Time at={volume.lastWriteAt} /> },
                  { label: "Vault", cell: (volume) => volume.vault },
                  {
                    label: "",
                    cell: (volume) => (
                      <div class="row">
                        <Link
                          to={`/volumes/${encodeURIComponent(volume.name)}`}
                          aria-label={`Timeline of ${volume.name}`}
                        >
                          Timeline
                        </Link>
                        <Link
                          to={`/volumes/${encodeURIComponent(volume.name)}/manage`}
                          aria-label={`Manage ${volume.name}`}
                        >
                          Manage
                        </Link>
                      </div>
                    ),
                  },
                ]}
              />
            </>
          )}
        </Loaded>
      </Card>
    </Page>
  );
}
