/** The overview: what is protected, how far back, how fresh, where, and what needs somebody; in that order for a person in a hurry. */
import type { WireRetention, WireTier, WireVault, WireVolume } from "../../../contract/contract.ts";
import { api } from "../api.ts";
import { AttachedBadge } from "../attached-badge.tsx";
import {
  attentionOf,
  forecastSentence,
  isUntouched,
  protectionSentence,
  tierFreshness,
  type Attention,
  type Known,
} from "../attention.ts";
import { DiskFull } from "../disk-full.tsx";
import { each, optional } from "../gather.ts";
import { ButtonLink, Link } from "../parts/link.tsx";
import { Badge, Loaded } from "../parts/notice.tsx";
import { Card, Empty, Page } from "../parts/page.tsx";
import { Progress, Size, Time, useNow } from "../parts/figures.tsx";
import { Table } from "../parts/table.tsx";
import { useResource } from "../resource.ts";
import { useMay } from "../session.tsx";
import { formatSize, localTime, plural, spell, ageSeconds } from "../words.ts";

const EVERY_MS = 5_000;
/** Beyond so many volumes how far back each goes is told on its own page. */
const REACH_MAX = 60;

interface Seen extends Known {
  volumes: WireVolume[];
  retention: Map<string, WireRetention>;
  jobs: { id: number; kind: string; subject: string; progress: number }[];
}

export function Overview() {
  const may = useMay();
  const seen = useResource(
    async (): Promise<Seen> => {
      const volumes = await api.volumes();
      const [health, vaults, scrub, jobs, alarms, growth] = await Promise.all([
        optional(api.health()),
        may("listVaults") ? optional(api.vaults()) : undefined,
        may("getScrub") ? optional(api.scrubStatus()) : undefined,
        may("listJobs") ? optional(api.jobs({ limit: 50 })) : undefined,
        may("listAlarms") ? optional(api.alarms({ limit: 50 })) : undefined,
        may("getGrowth") ? optional(api.growth({ from: "-1d" })) : undefined,
      ]);
      const open = (vaults ?? []).filter((vault) => vault.status !== undefined);
      const tiers = may("listTiers") ? await each(open, (vault) => api.tiers(vault.name)) : [];
      const shown = volumes.slice(0, REACH_MAX);
      const reach = await each(shown, (volume) => api.retention(volume.name));
      return {
        volumes,
        health,
        vaults,
        scrub,
        tiers: tiers.flatMap((list) => list ?? []),
        alarms: alarms?.alarms,
        forecasts: growth?.vaults.map(({ vault, forecast }) => ({ vault, forecast })),
        jobs: (jobs?.jobs ?? []).filter((job) => job.state === "running"),
        retention: new Map(
          shown.flatMap((volume, index) => {
            const found = reach[index];
            return found ? [[volume.name, found] as const] : [];
          }),
        ),
      };
    },
    [],
    { everyMs: EVERY_MS },
  );

  return (
    <Page
      title="Overview"
      actions={
        may("createVolume") && seen.value?.volumes.length !== 0 && <ButtonLink to="/protect">Protect a disk</ButtonLink>
      }
    >
      <Loaded of={seen}>{(value) => <Seen value={value} />}</Loaded>
    </Page>
  );
}

function Seen({ value }: { value: Seen }) {
  const now = useNow(1_000);
  const needed = attentionOf(value, now);
  return (
    <>
      <Headline value={value} needed={needed} />
      {needed.length > 0 && <Needed list={needed} />}
      {value.volumes.length > 0 && <Protection value={value} now={now} />}
      {value.jobs.length > 0 && (
        <Card title="Running now">
          {value.jobs.map((job) => (
            <Link key={job.id} to={`/jobs/${job.id}`}>
              <Progress label={`${job.kind} of ${job.subject}`} value={job.progress} />
            </Link>
          ))}
        </Card>
      )}
      {value.vaults && <Space vaults={value.vaults} known={value} />}
    </>
  );
}

function Headline({ value, needed }: { value: Seen; needed: readonly Attention[] }) {
  const bad = needed.some((each) => each.tone === "bad");
  const tone = bad ? "bad" : needed.length > 0 ? "warn" : value.volumes.length === 0 ? "plain" : "good";
  const first =
    needed.length === 0
      ? value.volumes.length === 0
        ? "Ready for your first disk."
        : "All is well."
      : `${plural(needed.length, "thing")} ${needed.length === 1 ? "needs" : "need"} you.`;
  return (
    <section class={`headline headline-${tone}`} aria-label="How things stand" aria-live="polite">
      <p class="headline-first">{first}</p>
      <p>{protectionSentence(value.volumes)}</p>
      {value.volumes.length === 0 && (
        <p>
          <ButtonLink to="/protect" kind="primary">
            Protect your first disk
          </ButtonLink>
        </p>
      )}
    </section>
  );
}

function Needed({ list }: { list: readonly Attention[] }) {
  return (
    <Card title="What needs you">
      <ul class="needed">
        {list.map((item) => (
          <li key={item.title} class={`needed-${item.tone}`}>
            <div>
              <h3>{item.title}</h3>
              {item.detail !== "" && <p class="quiet">{item.detail}</p>}
            </div>
            <ButtonLink to={item.to}>{item.action}</ButtonLink>
          </li>
        ))}
      </ul>
    </Card>
  );
}

function Protection({ value, now }: { value: Seen; now: number }) {
  const tiersOf = (vault: string): WireTier[] => (value.tiers ?? []).filter((tier) => tier.vault === vault);
  return (
    <Card title="Protected disks">
      <Table
        label="Protected disks"
        rowKey={(volume: WireVolume) => volume.name}
        rows={value.volumes}
        columns={[
          {
            label: "Disk",
            cell: (volume) => (
              <>
                <Link to={`/volumes/${encodeURIComponent(volume.name)}`}>{volume.name}</Link>{" "}
                <span class="quiet small">{formatSize(volume.sizeBytes)}</span>
              </>
            ),
          },
          {
            label: "Now",
            cell: (volume) => <AttachedBadge volume={volume} />,
          },
          {
            label: "Last write",
            cell: (volume) =>
              isUntouched(volume) ? <span class="quiet">none yet</span> : <Time at={volume.lastWriteAt} />,
          },
          { label: "Goes back", cell: (volume) => <Reach of={value.retention.get(volume.name)} now={now} /> },
          {
            label: "Copies elsewhere",
            cell: (volume) => <Copies tiers={tiersOf(volume.vault)} />,
          },
        ]}
      />
    </Card>
  );
}

function Reach({ of, now }: { of: WireRetention | undefined; now: number }) {
  if (!of) return <span class="quiet">not known</span>;
  const dense = spell(ageSeconds(of.everyWriteFrom.time, now));
  const oldest = of.points[0];
  return (
    <span title={`every write since ${localTime(of.everyWriteFrom.time)}`}>
      {dense}, to any write
      {oldest && (
        <>
          <br />
          <span class="quiet small">
            {spell(ageSeconds(oldest.time, now))} in {plural(of.points.length, "point")}
          </span>
        </>
      )}
    </span>
  );
}

function Copies({ tiers }: { tiers: readonly WireTier[] }) {
  if (tiers.length === 0) return <span class="quiet">none: only here</span>;
  return (
    <ul class="plain-list">
      {tiers.map((tier) => {
        const { words, tone } = tierFreshness(tier);
        return (
          <li key={tier.name}>
            <Badge tone={tone}>
              {tier.name}: {words}
            </Badge>
          </li>
        );
      })}
    </ul>
  );
}

function Space({ vaults, known }: { vaults: readonly WireVault[]; known: Known }) {
  const tiers = known.tiers ?? [];
  const forecastOf = (vault: string): string | undefined => {
    const found = known.forecasts?.find((each) => each.vault === vault);
    return found && forecastSentence(found.forecast);
  };
  if (vaults.length === 0) return <Empty>There is no vault.</Empty>;
  return (
    <Card title="Space">
      <div class="grid">
        {vaults.map((vault) => (
          <div key={vault.name} class="stack-tight">
            <h3>
              <Link to="/vaults">Vault {vault.name}</Link>
            </h3>
            {vault.status ? (
              <>
                <DiskFull space={vault.status} />
                <span class="small">
                  <Size bytes={vault.status.storedBytes} /> of history is stored there
                </span>
                {forecastOf(vault.name) !== undefined && <span class="small">{forecastOf(vault.name)}</span>}
                <span class="quiet small">
                  {tiers.some((tier) => tier.vault === vault.name)
                    ? `copied to ${tiers
                        .filter((tier) => tier.vault === vault.name)
                        .map((tier) => tier.name)
                        .join(", ")}`
                    : "copied nowhere else"}
                </span>
              </>
            ) : (
              <div>
                <Badge tone="warn">{vault.state}</Badge>
              </div>
            )}
          </div>
        ))}
      </div>
    </Card>
  );
}
