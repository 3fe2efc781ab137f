/** What reports are made from, out of what the routes work with. */
import { formatTime, micros } from "../base/units.ts";
import type { AccountFact, ReportSources } from "../report/report.ts";
import { describePolicy } from "../retention/policy.ts";
import type { ApiContext } from "./appliance.ts";

type Needed = "access" | "appliance" | "catalog" | "now" | "reporting" | "version" | "volumes";

/**
 * The same for a report that is sent away, or waits in the catalog for it: of encrypted vaults it holds what the catalog's file may hold, and no volume's
 * name. What is not known to be plain counts as encrypted.
 */
export async function sendableSourcesOf(context: Pick<ApiContext, Needed>): Promise<ReportSources> {
  const { catalog, appliance, volumes } = context;
  const plain = new Set(
    (await appliance.vaults.list()).filter(({ encrypted }) => encrypted === false).map(({ name }) => name),
  );
  const isWithheld = volumes.list().some(({ vault }) => !plain.has(vault));
  const leftOut = "Volumes of encrypted vaults are left out of what is sent; the console has them.";
  return {
    ...reportSourcesOf(context),
    ...(isWithheld ? { leftOut } : {}),
    volumes: () => volumes.list().filter(({ vault }) => plain.has(vault)),
    events: (range) => catalog.eventsBetween({ ...range, asKept: true }),
    jobs: (range) => catalog.jobsBetween({ ...range, asKept: true }),
  };
}

export function reportSourcesOf(context: Pick<ApiContext, Needed>): ReportSources {
  const { access, appliance, catalog, now, reporting, version, volumes } = context;
  return {
    ...reporting,
    version,
    zone: appliance.retention.zone,
    now: () => micros(now()),
    volumes: () => volumes.list(),
    retention: (name) => volumes.retention(name),
    policyText: describePolicy,
    holds: (name) => volumes.holds(name),
    vaults: () => appliance.vaults.list(),
    tiers: (vault) => appliance.tiers.list(vault),
    scrub: () => appliance.scrub.status(),
    events: (range) => catalog.eventsBetween(range),
    jobs: (range) => catalog.jobsBetween(range),
    growth: catalog.growth,
    accounts: () =>
      access.accounts.list().map((account): AccountFact => ({
        name: account.name,
        role: account.role,
        signsInBy: account.passwordHash === null ? "provider" : "password",
        secondFactor: account.totpSecret !== null,
        signedInAt: account.signedInAt === null ? undefined : formatTime(account.signedInAt),
      })),
  };
}
