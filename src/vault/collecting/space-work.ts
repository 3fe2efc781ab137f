/**
 * The sealer's part of accounting: counts in slices, so that stretches are sealed between them. One count at a time.
 */
import { assert } from "../../base/assert.ts";
import type { LayerRecord, PackRecord } from "../manifest.ts";
import type { LayerSet } from "../open-set.ts";
import { countSpace, type SpaceReport, type VolumeNeeds } from "./space.ts";
import type { Needs } from "../layers/thin.ts";

/** Begins to count; a count that is under way is given up. */
export interface SpaceRequest {
  kind: "space";
  /** All deltas of the manifest, oldest first; their files must stay until the count ends. */
  deltas: LayerRecord[];
  packs: PackRecord[];
  volumes: VolumeNeeds[];
  instead: Needs | undefined;
}

/** Goes on for about so many entries; 0 gives the count up. */
export interface SpaceMoreRequest {
  kind: "space-more";
  entries: number;
}

export type SpaceWorkRequest = SpaceRequest | SpaceMoreRequest;
export type SpaceResult<Request extends SpaceWorkRequest> = Request extends SpaceMoreRequest
  ? SpaceReport | undefined
  : void;

/** Thrown inside a count that is given up. */
class GivenUp extends Error {}

interface Count {
  done: Promise<SpaceReport | undefined>;
  /** Entries that the slice at hand may still pass. */
  left: number;
  /** Lets the count go on, when it waits for the next slice. */
  resume: PromiseWithResolvers<void> | undefined;
  /** Settles when the slice at hand is used up. */
  paused: PromiseWithResolvers<void>;
  isGivenUp: boolean;
}

export class SpaceWork {
  private readonly newSet: () => LayerSet;
  private count: Count | undefined;

  /** @param newSet - opens layers past the sealer's other work */
  constructor(newSet: () => LayerSet) {
    this.newSet = newSet;
  }

  async run(request: SpaceWorkRequest): Promise<SpaceReport | undefined> {
    if (request.kind === "space-more") return await this.more(request.entries);
    await this.stop();
    const count: Count = {
      done: Promise.resolve(undefined),
      left: 0,
      resume: undefined,
      paused: Promise.withResolvers(),
      isGivenUp: false,
    };
    this.count = count;
    count.done = this.work(request, count);
    // Its error belongs to the slice that meets it.
    count.done.catch(() => undefined);
    return undefined;
  }

  /** Gives up what is under way. */
  async stop(): Promise<void> {
    if (this.count) await this.more(0);
  }

  /** @returns the report once all is counted */
  private async more(entries: number): Promise<SpaceReport | undefined> {
    const { count } = this;
    assert(count !== undefined, "a count is under way");
    count.isGivenUp = entries === 0;
    count.left = entries;
    count.paused = Promise.withResolvers();
    count.resume?.resolve();
    count.resume = undefined;
    const paused = count.paused.promise.then(() => "paused" as const);
    try {
      const report = await Promise.race([count.done, paused]);
      if (report === "paused") return undefined;
      this.count = undefined;
      return report;
    } catch (error) {
      this.count = undefined;
      if (error instanceof GivenUp) return undefined;
      throw error;
    }
  }

  private async work(request: SpaceRequest, count: Count): Promise<SpaceReport> {
    const { deltas, packs, volumes, instead } = request;
    const set = this.newSet();
    const breathe = (entries: number): Promise<void> | undefined => {
      count.left -= entries;
      if (count.left > 0) return undefined;
      return this.wait(count);
    };
    try {
      await this.wait(count);
      const readers = [];
      for (const delta of deltas) readers.push(await set.open(delta));
      return await countSpace({ deltas: readers, packs, volumes, breathe, ...(instead ? { instead } : {}) });
    } finally {
      await set.close();
    }
  }

  private async wait(count: Count): Promise<void> {
    count.resume = Promise.withResolvers();
    const next = count.resume.promise;
    count.paused.resolve();
    await next;
    if (count.isGivenUp) throw new GivenUp("the count was given up");
  }
}
