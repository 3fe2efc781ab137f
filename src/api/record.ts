/** Keeping jobs and events: what happened is told to the catalog, and a catalog that fails never stops the work. */
import { errorText } from "../base/errors.ts";
import type { CatalogEvent, JobKind } from "../catalog/catalog.ts";
import type { ApiContext } from "./appliance.ts";

type Recorder = Pick<ApiContext, "catalog" | "log">;

export function recordEvent(to: Recorder, event: Omit<CatalogEvent, "id" | "time">): void {
  guarded(to, () => to.catalog.addEvent(event));
}

/** Runs work that fits one request as a job. @param askedBy - the account @returns what the work returns; its error passes through */
export async function asJob<Result>(
  to: Recorder,
  kind: JobKind,
  subject: string,
  work: (progress: (fraction: number) => void) => Promise<Result>,
  askedBy?: string,
): Promise<Result> {
  const id = guarded(to, () => to.catalog.startJob(kind, subject, askedBy));
  const finish = (error?: string): void => {
    if (id !== undefined) guarded(to, () => to.catalog.finishJob(id, error));
  };
  try {
    const result = await work((fraction) => {
      if (id !== undefined) guarded(to, () => to.catalog.progressJob(id, fraction));
    });
    finish();
    return result;
  } catch (error) {
    finish(errorText(error));
    throw error;
  }
}

function guarded<Result>(to: Recorder, work: () => Result): Result | undefined {
  try {
    return work();
  } catch (error) {
    to.log.warn({ err: error }, "the catalog did not take an entry");
    return undefined;
  }
}
