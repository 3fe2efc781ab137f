/**
 * Places that a vault's tier can be at, as the benchmark uses them: made empty, counted from outside, cut off and mended. All are on this machine:
 *
 *     directory          beside the vault's on the same disk, through the process that the daemon gives each directory
 *     S3                 the service of the tests, in another process's memory
 *     S3 20 ms away      the same, at the end of a line with that round trip
 *     peer               the receiving side of another appliance, over TLS, its folder on the same disk
 *     Ceph               a real S3 service (RADOS Gateway) that keeps its objects in memory; where it is installed
 *
 * They work beside the vault on the same processors, and what they use is not counted as the vault's.
 */
import { existsSync, mkdirSync, renameSync, rmSync } from "node:fs";
import { join, resolve } from "node:path";
import { systemClock } from "../../src/base/clock.ts";
import type { TierMode, TierSettings } from "../../src/replication/replication.ts";
import { PeerStore } from "../../src/tiers/peer/peer-store.ts";
import { S3Store } from "../../src/tiers/s3/s3-store.ts";
import { ShareStore } from "../../src/tiers/share/share-store.ts";
import type { ObjectStore } from "../../src/tiers/store.ts";
import { CEPH_TOOLS } from "../../test/support/ceph.ts";
import { startServer, stopServer } from "./process.ts";
import { CountedStore, type StoreCounts } from "./tiers-counted-store.ts";
import { CONTROL_SOCKET, PLACE, type FarFacts, type FarKind } from "./tiers-far-side.ts";

/** What went to a place and came back since it was made. */
export interface Traffic {
  /** HTTP requests; of a directory and a peer, operations of the store. */
  requests: number;
  bytesThere: number;
  bytesBack: number;
}

export interface Place {
  readonly name: PlaceName;
  openStore(): ObjectStore;
  traffic(): Promise<Traffic>;
  /** Nothing reaches it any more, until it is mended. */
  cut(): Promise<void>;
  mend(): Promise<void>;
  /** Ends it, with all that it holds. */
  close(): Promise<void>;
}

export type PlaceName = "directory" | "S3" | "S3 20 ms away" | "peer" | "Ceph";

/** A common distance of an object store in one's own region, with its own work. */
const FAR_MS = 20;
/** Ceph takes a quarter of a minute, and much longer on a busy machine. */
const START_MS_MAX = 180_000;
const FAR_SIDE = resolve(import.meta.dir, "tiers-far-side.ts");

export const isPlaceAvailable = (name: PlaceName): boolean =>
  name !== "Ceph" || CEPH_TOOLS.every((tool) => Bun.which(tool) !== null);

/** A place that is installed and does not come up here. */
export class PlaceMissing extends Error {}

/** Makes an empty place. @param folder - of this place alone; it is made @throws PlaceMissing */
export async function makePlace(name: PlaceName, folder: string): Promise<Place> {
  mkdirSync(folder, { recursive: true });
  switch (name) {
    case "directory":
      return directoryPlace(folder);
    case "S3":
      return await farPlace(name, "s3", folder, 0);
    case "S3 20 ms away":
      return await farPlace(name, "s3", folder, FAR_MS);
    case "peer":
      return await farPlace(name, "peer", folder, 0);
    case "Ceph":
      return await farPlace(name, "ceph", folder, 0);
  }
}

/** The settings of a tier there. Its address is for people alone here: {@link Place.openStore} reaches it. */
export const settingsOf = ({ name }: Place, mode: TierMode, rpoSeconds: number): TierSettings => ({
  name: "far",
  url: `file:///${name.replaceAll(" ", "-")}`,
  mode,
  rpoSeconds,
});

const noCounts = (): StoreCounts => ({ operations: 0, bytesThere: 0, bytesBack: 0 });

const trafficOf = ({ operations, bytesThere, bytesBack }: StoreCounts): Traffic => ({
  requests: operations,
  bytesThere,
  bytesBack,
});

function directoryPlace(folder: string): Place {
  const dir = join(folder, "place");
  const away = join(folder, "away");
  mkdirSync(dir);
  const counts = noCounts();
  return {
    name: "directory",
    openStore: () => new CountedStore(new ShareStore({ dir, clock: systemClock }), counts),
    traffic: () => Promise.resolve(trafficOf(counts)),
    cut: () => Promise.resolve(renameSync(dir, away)),
    mend: () => Promise.resolve(renameSync(away, dir)),
    close: () => Promise.resolve(rmSync(folder, { recursive: true, force: true })),
  };
}

async function farPlace(name: PlaceName, kind: FarKind, folder: string, roundTripMs: number): Promise<Place> {
  const unix = join(folder, CONTROL_SOCKET);
  const command = [process.execPath, FAR_SIDE, kind, String(roundTripMs), folder];
  const child = await startServer(command, () => existsSync(unix));
  const ask = async (what: "facts" | "cut" | "heal"): Promise<FarFacts> => {
    const deadline = performance.now() + START_MS_MAX;
    for (;;) {
      const response = await fetch(`http://far/${what}`, { unix, method: what === "facts" ? "GET" : "POST" });
      if (response.ok) return (await response.json()) as FarFacts;
      if (response.status !== 503 || child.exitCode !== null || performance.now() > deadline) {
        throw new Error(`${name} does not start: ${response.status}`);
      }
      await Bun.sleep(100);
    }
  };
  const counts = noCounts();
  const s3Stores: S3Store[] = [];
  const { port, s3, peer } = await ask("facts").catch(async (cause: unknown) => {
    await stopServer(child);
    throw new PlaceMissing(`${name} does not start here`, { cause });
  });
  const clock = systemClock;
  const openStore = (): ObjectStore => {
    if (peer)
      return new CountedStore(
        new PeerStore({ url: `https://127.0.0.1:${port}/${PLACE}`, token: peer.token, clock }),
        counts,
      );
    const { bucket, region, ...credentials } = s3!;
    const store = new S3Store({
      endpoint: `http://127.0.0.1:${port}`,
      region,
      bucket,
      prefix: PLACE,
      credentials,
      clock,
    });
    s3Stores.push(store);
    return store;
  };
  return {
    name,
    openStore,
    async traffic() {
      const { bytesThere, bytesBack } = await ask("facts");
      const sent = s3Stores.flatMap(({ requests }) => Object.values(requests));
      return { requests: sent.reduce((sum, count) => sum + count, counts.operations), bytesThere, bytesBack };
    },
    async cut() {
      await ask("cut");
    },
    async mend() {
      await ask("heal");
    },
    async close() {
      await stopServer(child);
      rmSync(folder, { recursive: true, force: true });
    },
  };
}
