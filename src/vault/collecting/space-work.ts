/**
 * The sealer's part of accounting: counts in slices, so that stretches are sealed between them. One count at a time.
 */
import { assert } from "../../base/assert.ts";
import type { LayerRecord, PackRecord } from "../manifest.ts";
import type { LayerSet } from "../open-set.ts";
import { countSpace, type SpaceReport, type VolumeNeeds } from "./space.ts";
import type { Breathe } from "../layers/breathe.ts";
import { Slices } from "../layers/slices.ts";
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

export class SpaceWork {
  private readonly newSet: () => LayerSet;
  private count: Slices<SpaceReport> | undefined;

  /** @param newSet - opens layers past the sealer's other work */
  constructor(newSet: () => LayerSet) {
    this.newSet = newSet;
  }

  async run(request: SpaceWorkRequest): Promise<SpaceReport | undefined> {
    if (request.kind === "space-more") return await this.more(request.entries);
    await this.stop();
    this.count = new Slices((breathe) => this.work(request, breathe));
    return undefined;
  }

  /** Gives up what is under way. */
  async stop(): Promise<void> {
    const { count } = this;
    this.count = undefined;
    await count?.giveUp();
  }

  /** @returns the report once all is counted */
  private async more(entries: number): Promise<SpaceReport | undefined> {
    assert(this.count !== undefined, "a count is under way");
    if (entries === 0) {
      await this.stop();
      return undefined;
    }
    try {
      const done = await this.count.more(entries);
      if (done) this.count = undefined;
      return done?.result;
    } catch (error) {
      this.count = undefined;
      throw error;
    }
  }

  private async work(request: SpaceRequest, breathe: Breathe): Promise<SpaceReport> {
    const { deltas, packs, volumes, instead } = request;
    const set = this.newSet();
    try {
      const readers = [];
      for (const delta of deltas) readers.push(await set.open(delta));
      return await countSpace({ deltas: readers, packs, volumes, breathe, ...(instead ? { instead } : {}) });
    } finally {
      await set.close();
    }
  }
}
