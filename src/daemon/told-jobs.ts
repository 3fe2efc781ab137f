/**
 * Tells how jobs end as events, so that notifications hear of them. Lies under the discreet catalog, whose jobs of encrypted vaults come here without
 * their names.
 */
import type { Micros } from "../base/units.ts";
import type { Catalog, Job } from "../catalog/catalog.ts";

/** As many as could have run at once, and more. */
const INTERRUPTED_MAX = 100;

export function tellingJobs(catalog: Catalog): Catalog {
  return {
    ...catalog,
    finishJob(id, error, state) {
      catalog.finishJob(id, error, state);
      const job = catalog.job(id);
      if (job) tellEnd(catalog, job);
    },
  };
}

/** Tells of the jobs that did not end because the appliance did. @param since - when the catalog was opened */
export function tellInterrupted(catalog: Catalog, since: Micros): void {
  for (const job of catalog.jobs({ limit: INTERRUPTED_MAX })) {
    if (job.state === "interrupted" && job.finishedAt !== null && job.finishedAt >= since) tellEnd(catalog, job);
  }
}

function tellEnd(catalog: Catalog, { kind, subject, state, error }: Job): void {
  const about = subject === "" ? kind : `${kind} of ${subject}`;
  // A rollback tells more of itself when it is done.
  if (state === "done" && kind !== "rollback")
    catalog.addEvent({ level: "info", kind: `${kind}-done`, subject, message: `${about} was completed` });
  if (state === "failed" || state === "interrupted") {
    const message = `${about} ${state === "failed" ? "failed" : "was interrupted"}: ${error ?? "its reason is not known"}`;
    catalog.addEvent({ level: "warning", kind: `${kind}-failed`, subject, message });
  }
}
