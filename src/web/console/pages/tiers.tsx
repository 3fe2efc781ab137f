/** Tiers: the other places that hold a vault. */
import type { AddTier, WireTier } from "../../../contract/contract.ts";
import { useState } from "preact/hooks";
import { api } from "../api.ts";
import { tierFreshness } from "../attention.ts";
import { each } from "../gather.ts";
import { Button } from "../parts/button.tsx";
import { Confirm, FormDialog } from "../parts/dialog.tsx";
import { CheckField, ChoiceField, SelectField, TextField } from "../parts/field.tsx";
import { Progress, Size, Time } from "../parts/figures.tsx";
import { Badge, Loaded, Notice } from "../parts/notice.tsx";
import { Card, Empty, Facts, Page } from "../parts/page.tsx";
import { PlaceFields, usePlaceEntry } from "../place-fields.tsx";
import { ReceivedPlaces } from "../received-places.tsx";
import { useResource } from "../resource.ts";
import { navigate } from "../route.ts";
import { useMay } from "../session.tsx";
import { formatSize, listed, percent, sentence, spell } from "../words.ts";

type Open = { what: "sync" | "verify" | "remove"; tier: WireTier } | { what: "add" } | undefined;

const MODES: Record<WireTier["mode"], string> = {
  sync: "before each flush is answered",
  continuous: "continuously",
  scheduled: "at times",
};

export function Tiers() {
  const may = useMay();
  const found = useResource(
    async () => {
      const vaults = (await api.vaults()).filter((vault) => vault.status !== undefined).map((vault) => vault.name);
      const tiers = await each(vaults, (vault) => api.tiers(vault));
      const silent = vaults.filter((_, index) => tiers[index] === undefined);
      return { vaults, silent, tiers: tiers.flatMap((list) => list ?? []) };
    },
    [],
    { everyMs: 3_000 },
  );
  const [open, setOpen] = useState<Open>(undefined);
  const close = (): void => setOpen(undefined);
  const add = may("addTier") ? (
    <Button kind="primary" onClick={() => setOpen({ what: "add" })}>
      Add a tier
    </Button>
  ) : undefined;
  return (
    <Page
      title="Tiers"
      intro="A tier is another place that holds a vault: a disk or share, an S3 service, or another appliance. When this machine is lost, the history is there."
      actions={found.value?.tiers.length === 0 ? undefined : add}
    >
      <Loaded of={found}>
        {({ tiers, silent }) => (
          <>
            {silent.length > 0 && (
              <Notice tone="warn" title={`Tiers of ${listed(silent)} cannot be told now`}>
                What is copied of them is not shown here. The page looks again by itself.
              </Notice>
            )}
            {tiers.map((tier) => (
              <TierCard key={`${tier.vault}/${tier.name}`} tier={tier} onOpen={(what) => setOpen({ what, tier })} />
            ))}
            {tiers.length === 0 && (
              <Card>
                <Empty action={add}>
                  {silent.length > 0
                    ? "No tier can be shown."
                    : "Everything is on this machine alone. A tier keeps it safe from the loss of it."}
                </Empty>
              </Card>
            )}
          </>
        )}
      </Loaded>
      {may("listReceived") && <ReceivedPlaces />}
      {open?.what === "add" && <Add vaults={found.value?.vaults ?? []} onClose={close} onDone={found.reload} />}
      {open?.what === "sync" && (
        <FormDialog
          title={`Bring ${open.tier.name} up`}
          submit="Start it"
          onClose={close}
          onSubmit={async () => navigate(`/jobs/${(await api.startSync(open.tier.vault, open.tier.name)).id}`)}
        >
          <p>Everything that was written so far is copied there now, whatever its schedule says.</p>
        </FormDialog>
      )}
      {open?.what === "verify" && <Verify tier={open.tier} onClose={close} />}
      {open?.what === "remove" && (
        <Confirm
          title={`Let go of tier ${open.tier.name}?`}
          submit="Let go of it"
          name={open.tier.name}
          onClose={close}
          onSubmit={async () => {
            await api.removeTier(open.tier.vault, open.tier.name);
            found.reload();
          }}
        >
          <p>Nothing more is copied there. What it holds stays there and can be opened from there.</p>
        </Confirm>
      )}
    </Page>
  );
}

function TierCard({ tier, onOpen }: { tier: WireTier; onOpen: (what: "sync" | "verify" | "remove") => void }) {
  const may = useMay();
  const { words, tone } = tierFreshness(tier);
  return (
    <Card
      title={`${tier.name}, of vault ${tier.vault}`}
      actions={
        <>
          {may("syncTiers") && (
            <Button size="small" label={`Bring up now: ${tier.name}`} onClick={() => onOpen("sync")}>
              Bring up now
            </Button>
          )}
          {may("verifyTier") && (
            <Button size="small" label={`Verify ${tier.name}`} onClick={() => onOpen("verify")}>
              Verify
            </Button>
          )}
          {may("removeTier") && (
            <Button size="small" kind="danger" label={`Remove ${tier.name}`} onClick={() => onOpen("remove")}>
              Remove
            </Button>
          )}
        </>
      }
    >
      <div class="row">
        <Badge tone={tier.state === "online" ? "good" : tone}>{tier.state}</Badge>
        <Badge tone={tone}>{words}</Badge>
      </div>
      {tier.reason !== undefined && tier.state !== "online" && (
        <Notice tone={tone === "bad" ? "bad" : "warn"}>{sentence(tier.reason)}</Notice>
      )}
      {tier.progress && (
        <Progress
          label="Being copied"
          detail={`${formatSize(tier.progress.doneBytes)} of ${formatSize(tier.progress.totalBytes)}`}
          value={percent(tier.progress.doneBytes, tier.progress.totalBytes) / 100}
        />
      )}
      <Facts
        of={[
          ["Place", <code key="url">{tier.url}</code>],
          ["Copied", tier.schedule === undefined ? MODES[tier.mode] : `${MODES[tier.mode]}: ${tier.schedule}`],
          ["May be behind by", tier.mode === "scheduled" ? undefined : spell(tier.rpoSeconds)],
          ["Waiting", tier.lagBytes > 0 ? <Size key="lag" bytes={tier.lagBytes} /> : "nothing"],
          ["Since", tier.since && <Time at={tier.since} />],
          ["Limits", tier.bandwidth],
          ["Copied so far", tier.bytesPut > 0 ? <Size key="put" bytes={tier.bytesPut} /> : undefined],
        ]}
      />
    </Card>
  );
}

function Verify({ tier, onClose }: { tier: WireTier; onClose: () => void }) {
  const [repair, setRepair] = useState(false);
  return (
    <FormDialog
      title={`Verify ${tier.name}`}
      submit="Start it"
      onClose={onClose}
      onSubmit={async () => navigate(`/jobs/${(await api.startVerify(tier.vault, tier.name, repair)).id}`)}
    >
      <p>Everything that the tier should hold is read back and compared. That may take long and cost traffic.</p>
      <CheckField label="Put anew what is damaged or missing there" checked={repair} onInput={setRepair} />
    </FormDialog>
  );
}

function Add({ vaults, onClose, onDone }: { vaults: readonly string[]; onClose: () => void; onDone: () => void }) {
  const [vault, setVault] = useState(vaults[0] ?? "default");
  const [name, setName] = useState("");
  const place = usePlaceEntry();
  const [mode, setMode] = useState<WireTier["mode"]>("continuous");
  const [schedule, setSchedule] = useState("daily");
  const [rpo, setRpo] = useState("5");
  const rpoSeconds = Number(rpo);
  const isValid = rpoSeconds >= 0.1 && rpoSeconds <= 86_400;
  return (
    <FormDialog
      wide
      title="Add a tier"
      submit="Add it"
      disabled={name.trim() === "" || !place.isComplete || !isValid}
      onClose={onClose}
      onSubmit={async () => {
        const wish: AddTier = {
          name: name.trim(),
          ...place.place,
          mode,
          rpoSeconds,
          ...(mode === "scheduled" ? { schedule: schedule.trim() } : {}),
        };
        await api.addTier(vault, wish);
        onDone();
      }}
    >
      <div class="fields">
        {vaults.length > 1 && (
          <SelectField
            label="Vault"
            value={vault}
            onInput={setVault}
            choices={vaults.map((each) => ({ value: each, label: each }))}
          />
        )}
        <TextField
          label="Name"
          hint="Small letters, digits and dashes, such as offsite"
          value={name}
          onInput={setName}
        />
      </div>
      <PlaceFields of={place} />
      <ChoiceField
        label="When is it copied?"
        value={mode}
        onInput={setMode}
        choices={[
          { value: "continuous", label: "Continuously", hint: "a few seconds behind" },
          { value: "scheduled", label: "At times", hint: "such as each night" },
          {
            value: "sync",
            label: "Before each flush is answered",
            hint: "nothing is ever lost, and writing waits for the place",
          },
        ]}
      />
      {mode === "scheduled" ? (
        <TextField
          label="At"
          hint="hourly, daily, weekly, monthly, or a cron expression such as 0 2 * * *"
          value={schedule}
          onInput={setSchedule}
          mono
        />
      ) : (
        <TextField
          label="It may be behind by, in seconds"
          inputMode="decimal"
          value={rpo}
          onInput={setRpo}
          error={isValid ? undefined : "From 0.1 to 86,400."}
        />
      )}
    </FormDialog>
  );
}
