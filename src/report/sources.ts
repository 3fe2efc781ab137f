/** What reports are made from; the API gives it. Of what cannot be had (a vault that is closed) a method throws, and the report says so. */
import type { Micros } from "../base/units.ts";
import type { CatalogEvent, GrowthTable, Job } from "../catalog/catalog.ts";
import type { ScrubStatus, WireTier, WireVault } from "../contract/contract.ts";
import type { Hold, RetentionPolicy, RetentionState, VolumeInfo } from "../volume/volumes.ts";

/** An account, as far as it matters who can get in. */
export interface AccountFact {
  name: string;
  role: string;
  signsInBy: string;
  secondFactor: boolean;
  signedInAt: string | undefined;
}

export interface ReportSources {
  /** By what people know the appliance. */
  appliance: string;
  version: string;
  /** IANA name; whose days count. */
  zone: string;
  now(): Micros;
  volumes(): VolumeInfo[];
  retention(volume: string): Promise<RetentionState>;
  /** `every write for 48h, hourly points for 2w` */
  policyText(policy: RetentionPolicy): string;
  holds(volume: string): Hold[];
  vaults(): Promise<WireVault[]>;
  tiers(vault: string): WireTier[];
  scrub(): ScrubStatus;
  /** Oldest first. @param range.kinds - only these */
  events(range: { from: Micros; to: Micros; kinds?: readonly string[]; limit: number }): CatalogEvent[];
  /** Of those that started then; oldest first. */
  jobs(range: { from: Micros; to: Micros; limit: number }): Job[];
  growth: GrowthTable;
  /** Below so much free space writes are refused. */
  reserveBytes: number;
  /** What is left out of this report, in words. */
  leftOut?: string;
  /** Absent where accounts are not kept here. */
  accounts?: () => AccountFact[];
}

export interface Range {
  from: Micros;
  to: Micros;
}
