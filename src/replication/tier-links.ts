/**
 * The tiers of a vault as this process reaches them, in the order in which they are read from: of each its settings, the tier itself, and, where the vault is
 * written to here, the copy that is kept there.
 */
import type { Clock } from "../base/clock.ts";
import { SternwayError } from "../base/errors.ts";
import type { Random } from "../base/random.ts";
import { Bandwidth } from "../tiers/bandwidth.ts";
import type { ObjectStore } from "../tiers/store.ts";
import { Tier } from "../tiers/tier.ts";
import { TIERS_MAX, type Ledger, type TierSettings } from "./ledger.ts";
import { ReopenedStore } from "./reopened-store.ts";
import type { CopyStatus } from "./copy-status.ts";
import type { TierCopy } from "./tier-copy.ts";
import type { ReadableTier } from "./tier-reads.ts";

/** Makes a store of what settings say: reads secrets, opens nothing. @throws invalid, denied, not_found */
export type OpenStore = (settings: TierSettings) => Promise<ObjectStore>;

export interface TierLinksOptions {
  clock: Clock;
  random: Random;
  openStore: OpenStore;
  /** IANA name; whose hours bandwidths mean. */
  zone: string;
  /** Test hook: shorter pauses of tiers. */
  tierPauses?:
    | {
        attemptsMax?: number;
        pauseMsMin?: number;
        pauseMsMax?: number;
        probeMsMin?: number;
        probeMsMax?: number;
      }
    | undefined;
}

/** A tier that may be read from, and a copy of the vault when this installation is its writer. */
export interface Link {
  settings: TierSettings;
  tier: Tier;
  copy: TierCopy | undefined;
  isLagging: boolean;
  /** Why it was told to be offline since it was online last. */
  toldReasons: Set<string>;
}

export class TierLinks {
  private readonly options: TierLinksOptions;
  private readonly links: Link[] = [];

  constructor(options: TierLinksOptions) {
    this.options = options;
  }

  /** In order. */
  get all(): readonly Link[] {
    return this.links;
  }

  /** The copies that are kept up to date here. */
  get copies(): TierCopy[] {
    return this.links.flatMap(({ copy }) => (copy ? [copy] : []));
  }

  /** @throws not_found */
  named(name: string): Link {
    const link = this.links.find(({ settings }) => settings.name === name);
    if (link) return link;
    const known = this.links.map(({ settings }) => settings.name).join(", ") || "none";
    throw new SternwayError("not_found", `the vault has no tier ${name}; it has: ${known}`, { tier: name });
  }

  /** @param identity - the vault's @throws invalid: the settings make no sense */
  add(settings: TierSettings, identity: string): Link {
    const { clock, random, zone, openStore, tierPauses } = this.options;
    const store = new ReopenedStore(() => openStore(settings), settings.url);
    const link: Link = {
      settings,
      tier: new Tier({
        store,
        identity,
        clock,
        random,
        bandwidth: settings.bandwidth === undefined ? undefined : new Bandwidth(settings.bandwidth, clock, zone),
        onState: () => link.copy?.wake(),
        ...tierPauses,
      }),
      copy: undefined,
      isLagging: false,
      toldReasons: new Set(),
    };
    this.links.push(link);
    return link;
  }

  remove(link: Link): void {
    this.links.splice(this.links.indexOf(link), 1);
  }

  /** Those that are online and equal come first. @param isStopping - nobody is to be asked any more */
  readable(isStopping: () => boolean): ReadableTier[] {
    return this.links.map(({ settings, tier, copy }, i) => ({
      name: settings.name,
      store: tier,
      rank: () => {
        if (tier.state === "offline" || isStopping()) return undefined;
        const isSecondChoice = copy !== undefined && copy.state !== "online";
        return isSecondChoice ? i + TIERS_MAX : i;
      },
    }));
  }

  /** Ends the copying after the object at hand, and lets go of the tiers. */
  async stop(): Promise<void> {
    await Promise.all(this.links.map((link) => stopLink(link)));
  }
}

export async function stopLink({ copy, tier }: Link): Promise<void> {
  const stopped = copy?.stop();
  await tier.close();
  await stopped;
}

/** How a tier stands that is only read from. */
export function readerStatus(tier: Tier, { name }: TierSettings, ledger: Ledger, lastLsn: number): CopyStatus {
  const { overtaken } = ledger.state;
  const isOvertaken = overtaken?.tier === name;
  return {
    state: isOvertaken ? "overtaken" : tier.state,
    since: isOvertaken ? overtaken.at : 0,
    reason: isOvertaken ? `${overtaken.by} took the vault over` : tier.offlineReason?.message,
    revision: ledger.tier(name)?.old,
    reachedLsn: lastLsn,
    lagSeconds: 0,
    lagBytes: 0,
    progress: undefined,
    objectsPut: 0,
    bytesPut: 0,
  };
}
