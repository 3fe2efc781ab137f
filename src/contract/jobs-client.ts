/** The client's part about long work: starting it, following it over broken connections, cancelling it. */
import { z } from "@hono/zod-openapi";
import { systemClock } from "../base/clock.ts";
import { isSternwayError, SternwayError } from "../base/errors.ts";
import { checkLineSchema, type CheckRequest } from "./appliance.ts";
import { serverEvents } from "./event-reader.ts";
import { EVENTS_TYPE, jobListSchema, jobSchema, LAST_EVENT_HEADER, type WireJob } from "./jobs.ts";
import { errorOfProblem, type Problem } from "./problem.ts";
import { gcLineSchema, type GcRequest } from "./retention.ts";
import { scrubLineSchema, type ScrubRequest } from "./scrub.ts";
import { syncLineSchema, verifyLineSchema } from "./tiers.ts";
import { parseJson, send, sendForJson, shaped, type Call, type ClientTarget } from "./transport.ts";

/** How long to wait before each try to go on; after the last, following is given up. */
const RETRY_MS = [100, 300, 1_000, 2_000, 5_000, 10_000];
/** What cancels must not wait for an appliance that hangs. */
const CANCEL_MS = 5_000;

type LineSchema = z.ZodType<{ line: string }>;
const jobPath = (id: number): string => `/v1/jobs/${id}`;

/** Methods about jobs. What starts work is a generator of its lines, which begins when the first is asked for. */
export function jobsClient(target: ClientTarget) {
  const follow = <Schema extends LineSchema>(id: number, schema: Schema, signal?: AbortSignal) =>
    followLines(target, id, schema, signal);

  /** Starts work and follows it. Leaving the loop leaves the work alone; aborting the signal cancels it. */
  async function* work<Schema extends LineSchema>(
    path: string,
    body: object,
    schema: Schema,
    signal: AbortSignal | undefined,
  ): AsyncGenerator<z.output<Schema>> {
    signal?.throwIfAborted();
    // Without the signal: an interrupted start would leave work behind of which nobody knows the id.
    const job = await sendForJson(target, { method: "POST", path, body }, jobSchema);
    try {
      yield* follow(job.id, schema, signal);
    } finally {
      if (signal?.aborted) await cancelled(target, job.id);
    }
  }

  return {
    jobs: (page: { before?: number; limit?: number } = {}) =>
      sendForJson(target, { method: "GET", path: "/v1/jobs", query: { ...page } }, jobListSchema),
    job: (id: number) => sendForJson(target, { method: "GET", path: jobPath(id) }, jobSchema),
    cancelJob: (id: number) => sendForJson(target, { method: "POST", path: `${jobPath(id)}/cancel` }, jobSchema),
    /**
     * A job's lines as they come, of the shape that the schema tells. Goes on by itself after a broken connection. Aborting the signal ends the following alone.
     * @throws what made the job fail; conflict: it was cancelled; unavailable: the appliance stopped, or does not answer any more
     */
    followJob: follow,

    /** Lines of progress and findings, then `end`. Leaving the loop leaves the check alone; aborting the signal cancels it. */
    check: (request: CheckRequest = {}, signal?: AbortSignal) => work("/v1/check", request, checkLineSchema, signal),
    /** Lines of progress, findings and repairs, then `end`. Aborting the signal cancels it: it stops after the object at hand. */
    scrub: (request: ScrubRequest = {}, signal?: AbortSignal) => work("/v1/scrub", request, scrubLineSchema, signal),
    /** What is done, in order, then `end`. Aborting the signal cancels it: it stops after the vault at hand. */
    gc: (request: GcRequest = {}, signal?: AbortSignal) => work("/v1/gc", request, gcLineSchema, signal),
    /** Lines of how far tiers are, then `end`. Aborting the signal stops the waiting, not the copying. */
    syncTiers: (vault: string, request: { tier?: string } = {}, signal?: AbortSignal) =>
      work(`/v1/vaults/${encodeURIComponent(vault)}/tiers/sync`, request, syncLineSchema, signal),
    verifyTier: (vault: string, tier: string, request: { repair?: boolean } = {}, signal?: AbortSignal) =>
      work(
        `/v1/vaults/${encodeURIComponent(vault)}/tiers/${encodeURIComponent(tier)}/verify`,
        request,
        verifyLineSchema,
        signal,
      ),
  };
}

/** A job that ended meanwhile needs no cancelling, and whoever interrupts has no use for another error. */
async function cancelled(target: ClientTarget, id: number): Promise<void> {
  const signal = AbortSignal.timeout(CANCEL_MS);
  await send(target, { method: "POST", path: `${jobPath(id)}/cancel`, signal }).catch(() => undefined);
}

async function* followLines<Schema extends LineSchema>(
  target: ClientTarget,
  id: number,
  schema: Schema,
  signal: AbortSignal | undefined,
): AsyncGenerator<z.output<Schema>> {
  let last = 0;
  let hasEnded = false;
  for (let failures = 0; ;) {
    const call = eventsOf(id, last, signal);
    let broken: unknown;
    try {
      const response = await send(target, call);
      for await (const event of serverEvents(response.body, call)) {
        failures = 0;
        last = event.id;
        if (event.name === "end") {
          checkEnd(shaped(jobSchema, parseJson(event.data), call), hasEnded);
          return;
        }
        const line = shaped(schema, parseJson(event.data), call) as { line: string; problem?: Problem };
        if (line.line === "failed" && line.problem) throw errorOfProblem(line.problem);
        if (line.line === "end") hasEnded = true;
        yield line as z.output<Schema>;
      }
    } catch (error) {
      if (signal?.aborted || !isBroken(error)) throw error;
      broken = error;
    }
    const delayMs = RETRY_MS[failures++];
    if (delayMs === undefined) throw lost(id, broken);
    await pause(delayMs, signal);
    signal?.throwIfAborted();
  }
}

function eventsOf(id: number, last: number, signal: AbortSignal | undefined): Call {
  const headers: Record<string, string> = { accept: EVENTS_TYPE };
  if (last > 0) headers[LAST_EVENT_HEADER] = String(last);
  return { method: "GET", path: `${jobPath(id)}/events`, headers, signal };
}

async function pause(delayMs: number, signal: AbortSignal | undefined): Promise<void> {
  const over = Promise.withResolvers<void>();
  const timer = systemClock.timer(delayMs, () => over.resolve());
  const stop = (): void => over.resolve();
  signal?.addEventListener("abort", stop);
  await over.promise;
  signal?.removeEventListener("abort", stop);
  timer.cancel();
}

/** The connection, and not what came over it: nobody answers, or the answer stopped. */
function isBroken(error: unknown): boolean {
  return (
    isSternwayError(error, "unavailable") && (error.facts["address"] !== undefined || error.facts["broken"] === true)
  );
}

function lost(id: number, cause: unknown): SternwayError {
  return new SternwayError(
    "unavailable",
    `the connection to the appliance broke, and it does not answer again; job ${id} may go on there: \`sternway jobs show ${id}\``,
    { job: id },
    { cause },
  );
}

/** @param isWhole - its line `end` has come: if it counts as failed, that line says why @throws what kept it from its end */
function checkEnd({ id, state, error = "" }: WireJob, isWhole: boolean): void {
  if (state === "done" || state === "running" || (state === "failed" && isWhole)) return;
  const why = error === "" ? "" : `: ${error}`;
  throw new SternwayError(
    state === "cancelled" ? "conflict" : "unavailable",
    state === "failed" ? `job ${id} failed${why}` : `job ${id} was ${state}${why}`,
    { job: id, state },
  );
}
