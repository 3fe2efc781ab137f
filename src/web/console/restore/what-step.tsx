/** What to restore: a disk, or a machine with all of its disks. */
import { api } from "../api.ts";
import { Card, Empty } from "../parts/page.tsx";
import { Size, Time } from "../parts/figures.tsx";
import { Link } from "../parts/link.tsx";
import { Loaded, Trouble } from "../parts/notice.tsx";
import { useResource } from "../resource.ts";
import { useMay } from "../session.tsx";
import { several } from "../timeline/time.ts";
import { restorePath } from "./places.ts";

export function WhatStep() {
  const volumes = useResource(() => api.volumes(), []);
  const may = useMay();
  const machines = useResource(async () => (may("listMachines") ? await api.machines() : []), []);
  const whole = machines.value ?? [];
  return (
    <Card title="What do you want back?">
      <Trouble error={machines.error} title="Machines cannot be shown now" />
      {whole.length > 0 && (
        <>
          <h3>A machine</h3>
          <ul class="targets">
            {whole.map((machine) => (
              <li key={machine.name}>
                <Link class="target" to={restorePath({ machine: machine.name })}>
                  <span class="target-title">{machine.name}</span>
                  <span class="quiet">
                    {several(machine.volumes.length, "disk")} at one moment
                    {machine.description === "" ? "" : `, ${machine.description}`}
                  </span>
                </Link>
              </li>
            ))}
          </ul>
          <h3>One disk</h3>
        </>
      )}
      <Loaded of={volumes}>
        {(found) =>
          found.length === 0 ? (
            <Empty>There is no disk that you may restore.</Empty>
          ) : (
            <ul class="targets">
              {found.map((volume) => (
                <li key={volume.name}>
                  <Link class="target" to={restorePath({ volume: volume.name })}>
                    <span class="target-title">{volume.name}</span>
                    <span class="quiet">
                      disk of <Size bytes={volume.sizeBytes} />, last written <Time at={volume.lastWriteAt} />
                    </span>
                  </Link>
                </li>
              ))}
            </ul>
          )
        }
      </Loaded>
    </Card>
  );
}
