/**
 * Following a job by server-sent events: the browser's own EventSource, which goes on by itself after a broken connection. Each subscriber gets the job's
 * progress and lines as they come, and its end once.
 */
import { useEffect, useState } from "preact/hooks";
import { jobSchema, type WireJob } from "../../contract/jobs.ts";
import { progressOf, type JobLine } from "./job-words.ts";

/** Lines that are kept for showing; a long job tells more than anybody reads. */
const LINES_MAX = 500;

export interface Followed {
  /** 0 to 1; undefined before the first word of it. */
  progress: number | undefined;
  /** What it is doing, as it says. */
  what: string | undefined;
  /** Findings and the like, oldest first; the newest of many. */
  lines: readonly JobLine[];
  /** The job as it ended. */
  ended: WireJob | undefined;
  /** The connection is broken and tried again. */
  isBroken: boolean;
}

const NOTHING: Followed = { progress: undefined, what: undefined, lines: [], ended: undefined, isBroken: false };

/** @param id - undefined: none is followed */
export function useJob(id: number | undefined): Followed {
  const [followed, setFollowed] = useState<Followed>(NOTHING);
  useEffect(() => {
    setFollowed(NOTHING);
    if (id === undefined) return;
    const source = new EventSource(`/v1/jobs/${id}/events`);
    source.addEventListener("open", () => setFollowed((old) => ({ ...old, isBroken: false })));
    source.addEventListener("error", () => setFollowed((old) => ({ ...old, isBroken: true })));
    source.addEventListener("progress", (event) => {
      const line = readLine(event.data);
      if (line) setFollowed((old) => ({ ...old, ...progressOf(line), isBroken: false }));
    });
    source.addEventListener("line", (event) => {
      const line = readLine(event.data);
      if (line) setFollowed((old) => ({ ...old, lines: [...old.lines, line].slice(-LINES_MAX), isBroken: false }));
    });
    source.addEventListener("end", (event) => {
      source.close();
      const job = jobSchema.safeParse(readLine(event.data));
      if (job.success) setFollowed((old) => ({ ...old, ended: job.data, isBroken: false }));
    });
    return () => source.close();
  }, [id]);
  return followed;
}

function readLine(data: unknown): JobLine | undefined {
  try {
    const value: unknown = JSON.parse(String(data));
    return typeof value === "object" && value !== null ? (value as JobLine) : undefined;
  } catch {
    // Not ours; the job's end is asked for all the same.
    return undefined;
  }
}
