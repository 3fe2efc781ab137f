/** What can be done with the chosen moment of a machine, for all of its disks at once. */
import { useState } from "preact/hooks";
import type { WireMachineMoment } from "../../../contract/machines.ts";
import { api } from "../api.ts";
import { Button } from "../parts/button.tsx";
import { ButtonLink } from "../parts/link.tsx";
import { restorePath } from "../restore/places.ts";
import { useMay } from "../session.tsx";
import { holdAll } from "./hold-machine.ts";
import { NameMoment } from "./name-moment.tsx";

export interface MachineActionsProps {
  machine: string;
  moment: WireMachineMoment;
  /** The moment as the API takes it. */
  at: string;
  time: number;
  zone: string;
  /** Something was done; says what. */
  onDone: (text: string) => void;
}

export function MachineActions({ machine, moment, at, time, zone, onDone }: MachineActionsProps) {
  const may = useMay();
  const [open, setOpen] = useState<"bookmark" | "hold" | undefined>(undefined);
  const disks = moment.volumes.length === 1 ? "its disk" : `all ${moment.volumes.length} disks`;
  return (
    <div class="row">
      {may("getImage") && (
        <ButtonLink kind="primary" to={restorePath({ machine, at })}>
          Restore this moment
        </ButtonLink>
      )}
      {may("createMachineBookmark") && <Button onClick={() => setOpen("bookmark")}>Bookmark {disks}</Button>}
      {may("createHold") && <Button onClick={() => setOpen("hold")}>Hold {disks}</Button>}
      {open && (
        <NameMoment
          kind={open}
          of={disks}
          {...{ time, zone }}
          save={async (what) => {
            if (open === "hold") await holdAll(api, moment.volumes, what);
            else await api.createMachineBookmark(machine, { ...what, at, approximate: !moment.isOne });
          }}
          onDone={() => onDone(`The moment is ${open === "hold" ? "held" : "bookmarked"} on ${disks}.`)}
          onClose={() => setOpen(undefined)}
        />
      )}
    </div>
  );
}
