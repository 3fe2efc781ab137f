/** What can be done with the chosen moment: each role sees what it may. */
import { useState } from "preact/hooks";
import type { WireMoment } from "../../../contract/contract.ts";
import { api } from "../api.ts";
import { Button } from "../parts/button.tsx";
import { Dialog } from "../parts/dialog.tsx";
import { ButtonLink } from "../parts/link.tsx";
import { MountCommands } from "../restore/mount-commands.tsx";
import { imagePath, restorePath } from "../restore/places.ts";
import { useMay } from "../session.tsx";
import { NameMoment } from "./name-moment.tsx";

export interface MomentActionsProps {
  volume: string;
  moment: WireMoment;
  time: number;
  zone: string;
  /** Something was done; says what. */
  onDone: (text: string) => void;
}

export function MomentActions({ volume, moment, time, zone, onDone }: MomentActionsProps) {
  const may = useMay();
  const [open, setOpen] = useState<"bookmark" | "hold" | "mount" | undefined>(undefined);
  const at = `lsn:${moment.lsn}`;
  const close = (): void => setOpen(undefined);
  return (
    <>
      {may("getImage") && (
        <ButtonLink kind="primary" to={restorePath({ volume, at })}>
          Restore this moment
        </ButtonLink>
      )}
      {may("createBookmark") && <Button onClick={() => setOpen("bookmark")}>Bookmark</Button>}
      {may("createHold") && <Button onClick={() => setOpen("hold")}>Hold</Button>}
      {may("getImage") && <Button onClick={() => setOpen("mount")}>Mount by NBD</Button>}
      {may("getImage") && (
        <a class="button button-plain" href={imagePath(volume, at)} download={`${volume}-lsn${moment.lsn}.img`}>
          Download
        </a>
      )}
      {(open === "bookmark" || open === "hold") && (
        <NameMoment
          kind={open}
          {...{ time, zone }}
          save={(what) =>
            open === "hold" ? api.createHold(volume, { ...what, at }) : api.createBookmark(volume, { ...what, at })
          }
          onDone={() => onDone(open === "hold" ? "The moment is held." : "The moment is bookmarked.")}
          onClose={close}
        />
      )}
      {open === "mount" && (
        <Dialog title="Mount this moment" wide onClose={close}>
          <MountCommands volume={volume} at={at} />
          <div class="row-end">
            <Button onClick={close}>Close</Button>
          </div>
        </Dialog>
      )}
    </>
  );
}
