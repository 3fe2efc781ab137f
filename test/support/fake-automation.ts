/** Machines, schedules and scripts over volumes in memory; schedules' tasks do nothing, and their jobs are those of the catalog. */
import { join } from "node:path";
import { Automation, type StartJob, type Tasks } from "../../src/automation/automation.ts";
import { systemClock } from "../../src/base/clock.ts";
import { errorText } from "../../src/base/errors.ts";
import { systemRandom } from "../../src/base/random.ts";
import type { Catalog } from "../../src/catalog/catalog.ts";
import type { Log } from "../../src/observe/log.ts";
import type { Volumes } from "../../src/volume/volumes.ts";

export const fakeTasks: Tasks = {
  check: async () => "checked",
  scrub: async () => "scrubbed",
  gc: async () => "collected",
  syncTier: async () => "synced",
  verifyTier: async () => "verified",
  report: async () => "sent",
};

/** Jobs of the catalog, and nothing more. */
export function catalogJobs(catalog: Pick<Catalog, "startJob" | "finishJob">): StartJob {
  return (kind, subject, work) => {
    const id = catalog.startJob(kind === "sync-tier" ? "sync-tiers" : kind, subject);
    const ended = work({ signal: new AbortController().signal, progress: () => undefined }).then(
      (text) => {
        catalog.finishJob(id);
        return text;
      },
      (error: unknown) => {
        catalog.finishJob(id, errorText(error));
        throw error;
      },
    );
    return { id: Promise.resolve(id), ended };
  };
}

export function fakeAutomation(on: {
  volumes: Volumes;
  catalog: Catalog;
  log: Log;
  dir: string;
  hasChannel: (name: string) => boolean;
}): Automation {
  const { volumes, catalog, log, dir, hasChannel } = on;
  return new Automation({
    volumes,
    catalog,
    log,
    scriptsDir: join(dir, "scripts"),
    clock: systemClock,
    random: systemRandom,
    zone: "UTC",
    startJob: catalogJobs(catalog),
    tasks: fakeTasks,
    hasChannel,
    tell: (event) => catalog.addEvent(event),
  });
}
