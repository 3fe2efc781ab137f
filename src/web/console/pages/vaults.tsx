/** Vaults: where history is stored. */
import type { WireFollow, WireVault } from "../../../contract/contract.ts";
import type { ComponentChildren } from "preact";
import { useState } from "preact/hooks";
import { api } from "../api.ts";
import { DiskFull } from "../disk-full.tsx";
import { each } from "../gather.ts";
import { KeyFields, useKey } from "../key-fields.tsx";
import { OpenFromTier, Refresh, TakeOver } from "../origin-dialogs.tsx";
import { Button } from "../parts/button.tsx";
import { Confirm, FormDialog } from "../parts/dialog.tsx";
import { CheckField, TextField } from "../parts/field.tsx";
import { Size, Time } from "../parts/figures.tsx";
import { Badge, Loaded, Notice, Trouble, type Tone } from "../parts/notice.tsx";
import { Card, Facts, Page } from "../parts/page.tsx";
import { Table } from "../parts/table.tsx";
import { useAction, useResource } from "../resource.ts";
import { useMay } from "../session.tsx";
import { StartWork } from "../start-work.tsx";
import { formatSize, listed, percent, plural, sentence } from "../words.ts";

const TONES: Record<WireVault["state"], Tone> = {
  writable: "good",
  "read-only": "warn",
  locked: "bad",
  closed: "warn",
  damaged: "bad",
  missing: "bad",
  unavailable: "bad",
};

type VaultAction = "unlock" | "lock" | "delete" | "forget" | "check" | "take-over" | "refresh";
type Open = { what: VaultAction; vault: WireVault } | { what: "create" | "open-from" } | undefined;

export function Vaults() {
  const may = useMay();
  const vaults = useResource(loadVaults, [], { everyMs: 5_000 });
  const scrub = useResource(() => api.scrubStatus(), [], { everyMs: 15_000 });
  const [open, setOpen] = useState<Open>(undefined);
  const close = (): void => setOpen(undefined);
  const done = vaults.reload;
  return (
    <Page
      title="Vaults"
      intro="A vault is one store: what is equal in it is kept once, and it has at most one key. Most appliances need one."
      actions={
        <>
          {may("openVaultFrom") && <Button onClick={() => setOpen({ what: "open-from" })}>Open one from a tier</Button>}
          {may("createVault") && <Button onClick={() => setOpen({ what: "create" })}>Make a vault</Button>}
        </>
      }
    >
      <Loaded of={vaults}>
        {({ all, fromTiers }) => (
          <>
            {all.map((vault) => (
              <VaultCard
                key={vault.name}
                vault={vault}
                isFromTier={fromTiers.has(vault.name)}
                scrub={scrub.value?.vaults.find((of) => of.vault === vault.name)}
                onOpen={(what) => setOpen({ what, vault })}
              />
            ))}
          </>
        )}
      </Loaded>
      {open?.what === "create" && <CreateVault onClose={close} onDone={done} />}
      {open?.what === "open-from" && <OpenFromTier onClose={close} onDone={done} />}
      {open?.what === "take-over" && <TakeOver vault={open.vault} onClose={close} onDone={done} />}
      {open?.what === "refresh" && <Refresh vault={open.vault} onClose={close} onDone={done} />}
      {open?.what === "unlock" && <Unlock vault={open.vault} onClose={close} onDone={done} />}
      {open?.what === "lock" && <Lock vault={open.vault} onClose={close} onDone={done} />}
      {open?.what === "check" && <StartWork vault={open.vault.name} onClose={close} />}
      {open?.what === "delete" && (
        <Confirm
          title={`Delete vault ${open.vault.name}?`}
          submit="Delete it with all that it stores"
          name={open.vault.name}
          onClose={close}
          onSubmit={async () => {
            await api.deleteVault(open.vault.name, { confirm: open.vault.name });
            done();
          }}
        >
          <p>
            {plural(open.vault.volumeCount, "volume")} with their whole history are gone here after this. What its tiers
            hold stays there.
          </p>
        </Confirm>
      )}
      {open?.what === "forget" && (
        <Confirm
          title={`Strike vault ${open.vault.name} off the list?`}
          submit="Strike it off"
          onClose={close}
          onSubmit={async () => {
            await api.forgetVault(open.vault.name);
            done();
          }}
        >
          <p>Nothing is deleted. The names of its volumes become free for others.</p>
        </Confirm>
      )}
    </Page>
  );
}

/** All vaults, and those among them that may be another appliance's: what is only read here and has a tier was opened from it, or taken over by somebody else. */
async function loadVaults(): Promise<{ all: WireVault[]; fromTiers: ReadonlySet<string> }> {
  const all = await api.vaults();
  const readOnly = all.filter((vault) => vault.state === "read-only").map((vault) => vault.name);
  const tiers = await each(readOnly, (name) => api.tiers(name));
  return { all, fromTiers: new Set(readOnly.filter((_, index) => (tiers[index]?.length ?? 0) > 0)) };
}

type ScrubOf = Awaited<ReturnType<typeof api.scrubStatus>>["vaults"][number];

function VaultCard(props: {
  vault: WireVault;
  isFromTier: boolean;
  scrub: ScrubOf | undefined;
  onOpen: (what: VaultAction) => void;
}) {
  const { vault, isFromTier, scrub, onOpen } = props;
  const may = useMay();
  const status = vault.status;
  const isOpen = status !== undefined;
  const buttons: ComponentChildren = (
    <>
      {isFromTier && may("refreshVault") && (
        <Button size="small" label={`Read vault ${vault.name} anew`} onClick={() => onOpen("refresh")}>
          Read anew
        </Button>
      )}
      {isFromTier && may("takeOverVault") && (
        <Button size="small" label={`Take vault ${vault.name} over`} onClick={() => onOpen("take-over")}>
          Take over
        </Button>
      )}
      {isOpen && may("startCheck") && (
        <Button size="small" label={`Check vault ${vault.name}`} onClick={() => onOpen("check")}>
          Check
        </Button>
      )}
      {!isOpen && vault.state !== "missing" && may("unlockVault") && (
        <Button
          size="small"
          kind="primary"
          label={`${vault.state === "locked" ? "Unlock" : "Open"} vault ${vault.name}`}
          onClick={() => onOpen("unlock")}
        >
          {vault.state === "locked" ? "Unlock" : "Open"}
        </Button>
      )}
      {isOpen && may("lockVault") && (
        <Button
          size="small"
          label={`${vault.encrypted === true ? "Lock" : "Close"} vault ${vault.name}`}
          onClick={() => onOpen("lock")}
        >
          {vault.encrypted === true ? "Lock" : "Close"}
        </Button>
      )}
      {isOpen && may("deleteVault") && (
        <Button size="small" kind="danger" label={`Delete vault ${vault.name}`} onClick={() => onOpen("delete")}>
          Delete
        </Button>
      )}
      {vault.state === "missing" && may("forgetVault") && (
        <Button size="small" kind="danger" label={`Strike off vault ${vault.name}`} onClick={() => onOpen("forget")}>
          Strike off
        </Button>
      )}
    </>
  );
  return (
    <Card title={vault.name} actions={buttons}>
      <div class="row">
        <Badge tone={TONES[vault.state]}>{vault.state}</Badge>
        {vault.encrypted === true && <Badge tone="accent">encrypted</Badge>}
      </div>
      {vault.reason !== undefined && <Notice tone="warn">{sentence(vault.reason)}</Notice>}
      {status && <DiskFull space={status} />}
      <Facts
        of={[
          ["Volumes", vault.volumes.length > 0 ? listed(vault.volumes, 12) : String(vault.volumeCount)],
          ["Stored", status && <Size bytes={status.storedBytes} />],
          [
            "Newest writes",
            status && `${formatSize(status.journalUsedBytes)} of ${formatSize(status.journalSizeBytes)} of the journal`,
          ],
          ["Read through", scrub && scrubWords(scrub)],
          ["Shows", status?.follow && <Followed of={status.follow} />],
          ["Newest write", status?.follow?.newestAt && <Time at={status.follow.newestAt} />],
        ]}
      />
      {isOpen && <SpaceOf vault={vault.name} />}
    </Card>
  );
}

/** How new the view of a vault is that is only read here. */
function Followed({ of: { everySeconds, currentAt, reason } }: { of: WireFollow }) {
  return (
    <>
      {currentAt === undefined ? "what its tier held before the start" : "its tier as of "}
      {currentAt !== undefined && <Time at={currentAt} />}
      {everySeconds > 0 ? `, looked at every ${everySeconds} s` : ", until it is read anew"}
      {reason !== undefined && <Notice tone="warn">{sentence(reason)}</Notice>}
    </>
  );
}

function scrubWords(scrub: ScrubOf): string {
  const done = percent(scrub.bytes, scrub.bytes + scrub.bytesLeft);
  const found =
    scrub.quarantined > 0
      ? `${plural(scrub.quarantined, "block")} damaged`
      : scrub.findings > 0
        ? `${plural(scrub.findings, "damaged place")} found and repaired`
        : "no damage";
  return `${Math.floor(done)} % of this round, ${found}`;
}

/** Who needs what is stored: counted when asked for, because it reads the whole map. */
function SpaceOf({ vault }: { vault: string }) {
  const [space, setSpace] = useState<Awaited<ReturnType<typeof api.vaultSpace>> | undefined>(undefined);
  const count = useAction(async () => setSpace(await api.vaultSpace(vault)));
  return (
    <details>
      <summary>Which volume takes how much</summary>
      <div class="stack">
        <Trouble error={count.error} />
        {space ? (
          <>
            <p class="quiet">
              {formatSize(space.liveBytes)} are needed; {formatSize(space.deadBytes)} are not and are given back by and
              by.
            </p>
            <Table
              label={`Space by volume of ${vault}`}
              rows={space.volumes}
              rowKey={(each: (typeof space.volumes)[number]) => each.volume}
              columns={[
                { label: "Volume", cell: (each) => each.volume },
                { label: "Its own", figure: true, cell: (each) => <Size bytes={each.uniqueBytes} /> },
                { label: "Shared with others", figure: true, cell: (each) => <Size bytes={each.sharedBytes} /> },
              ]}
            />
          </>
        ) : (
          <div>
            <Button busy={count.busy} onClick={() => void count.run()}>
              Count it
            </Button>
          </div>
        )}
      </div>
    </details>
  );
}

function CreateVault({ onClose, onDone }: { onClose: () => void; onDone: () => void }) {
  const [name, setName] = useState("");
  const key = useKey("none");
  return (
    <FormDialog
      title="Make a vault"
      submit="Make it"
      disabled={name.trim() === "" || !key.isComplete}
      onClose={onClose}
      onSubmit={async () => {
        await api.createVault(name.trim(), key.key);
        onDone();
      }}
    >
      <TextField label="Name" value={name} onInput={setName} />
      <KeyFields of={key} withNone="Not encrypted" />
      {key.kind !== "none" && (
        <Notice tone="warn" title="Keep the key elsewhere too">
          Without it nothing in the vault can ever be read again. Whether a vault is encrypted is decided here for good.
        </Notice>
      )}
    </FormDialog>
  );
}

function Unlock({ vault, onClose, onDone }: { vault: WireVault; onClose: () => void; onDone: () => void }) {
  const key = useKey(vault.state === "locked" || vault.encrypted === true ? "passphrase" : "none");
  return (
    <FormDialog
      title={`Open vault ${vault.name}`}
      submit="Open it"
      disabled={!key.isComplete}
      onClose={onClose}
      onSubmit={async () => {
        await api.unlockVault(vault.name, key.key);
        onDone();
      }}
    >
      {vault.encrypted === false ? (
        <p>It is not encrypted, and needs no key.</p>
      ) : (
        <KeyFields of={key} {...(vault.state === "locked" ? {} : { withNone: "None" })} />
      )}
    </FormDialog>
  );
}

function Lock({ vault, onClose, onDone }: { vault: WireVault; onClose: () => void; onDone: () => void }) {
  const [force, setForce] = useState(false);
  return (
    <Confirm
      title={`Close vault ${vault.name}?`}
      submit="Close it"
      onClose={onClose}
      onSubmit={async () => {
        await api.lockVault(vault.name, { force });
        onDone();
      }}
    >
      <p>
        Its volumes are not served, and so not protected, until it is opened again
        {vault.encrypted === true ? " with its key" : ""}.
      </p>
      <CheckField label="Although machines are connected to its volumes" checked={force} onInput={setForce} />
    </Confirm>
  );
}
