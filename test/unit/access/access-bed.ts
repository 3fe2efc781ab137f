/** Access on a catalog in memory of its own folder, with a clock that a test turns and hashing that costs nothing. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openAccess, type Access, type AccessOptions } from "../../../src/access/access.ts";
import { systemClock, type Clock } from "../../../src/base/clock.ts";
import { realDisk } from "../../../src/base/real-disk.ts";
import { systemRandom } from "../../../src/base/random.ts";
import { micros } from "../../../src/base/units.ts";
import { openCatalog, type Catalog, type CatalogEvent } from "../../../src/catalog/catalog.ts";
import { createLog } from "../../../src/observe/log.ts";

export const PASSWORD = "correct horse battery";
export const FROM = "192.0.2.7";

export interface AccessBed {
  access: Access;
  catalog: Catalog;
  dir: string;
  events: Omit<CatalogEvent, "id" | "time">[];
  logged: string[];
  /** Lets time pass. */
  pass(seconds: number): void;
  nowMs(): number;
  /** The same catalog in a new process: nothing in memory is left. */
  restart(): Promise<Access>;
  [Symbol.dispose](): void;
}

export async function openAccessBed(options: Partial<AccessOptions> = {}): Promise<AccessBed> {
  const dir = mkdtempSync(join(tmpdir(), "sternway-access-"));
  let passed = 0;
  const startsAt = systemClock.wall();
  const clock: Clock = {
    ...systemClock,
    wall: () => micros(startsAt + passed),
    monotonic: () => 1_000_000 + passed,
  };
  const events: AccessBed["events"] = [];
  const logged: string[] = [];
  const catalog = await openCatalog({ disk: realDisk, dir, clock });
  const open = (): Promise<Access> =>
    openAccess({
      catalog,
      disk: realDisk,
      clock,
      random: systemRandom,
      log: createLog({ level: "debug", format: "json", write: (line) => void logged.push(line) }),
      tell: (event) => void events.push(event),
      hashCost: { memoryKib: 8, passes: 1 },
      ...options,
    });
  return {
    access: await open(),
    catalog,
    dir,
    events,
    logged,
    pass: (seconds) => void (passed += seconds * 1e6),
    nowMs: () => Math.floor(clock.wall() / 1000),
    restart: open,
    [Symbol.dispose]() {
      catalog.close();
      rmSync(dir, { recursive: true, force: true });
    },
  };
}

/** What a browser with this cookie sends. @param cookie - the header `set-cookie` that it got */
export function browser(cookie: string | undefined, more: Record<string, string> = {}): Headers {
  return new Headers({ ...(cookie === undefined ? {} : { cookie: cookie.split(";")[0]! }), ...more });
}

/** Signs in from a browser that has no cookie yet. */
export function signingIn(name: string, password = PASSWORD, code?: string, from = FROM) {
  return { name, password, ...(code === undefined ? {} : { code }), from, headers: new Headers(), secure: false };
}

/** The error that work ends in, as a test looks at it. */
export async function failure(work: Promise<unknown> | (() => unknown)): Promise<unknown> {
  try {
    await (typeof work === "function" ? work() : work);
  } catch (error) {
    return error;
  }
  return undefined;
}
