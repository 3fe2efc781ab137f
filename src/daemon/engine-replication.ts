/** A vault and its tiers as the daemon opens them: what people are told of them, and how a vault that is only read here keeps up with its tier. */
import { hostname } from "node:os";
import { isSternwayError } from "../base/errors.ts";
import { formatTime, micros } from "../base/units.ts";
import type { WireFollow } from "../contract/contract.ts";
import { refreshReader, type Arrived } from "../replication/arrival.ts";
import { clearViews, Follower } from "../replication/follower.ts";
import { readLedger, Replication } from "../replication/replication.ts";
import { openVault } from "../vault/open-vault.ts";
import type { Vault } from "../vault/vault.ts";
import { openVolumes } from "../volume/volume-set.ts";
import type { Volumes } from "../volume/volumes.ts";
import type { EngineOptions } from "./engine.ts";

/** Views are two or three, so each has half of what the vault may have. */
const VIEW_SHARE = 0.5;

/** @returns `arrived`: what the folder of a vault that is only read here was made of; undefined, too, when its tier is away */
export async function openReplication(
  options: EngineOptions,
): Promise<{ replication: Replication; arrived: Arrived | undefined }> {
  const { disk, clock, random, dir, name, openStore, zone, log, tell } = options;
  const arrived = await refreshFirst(options);
  await clearViews(disk, dir).catch((error: unknown) => {
    // They are nothing's and cost space alone; whatever is wrong with the disk shows elsewhere.
    if (!isSternwayError(error)) throw error;
    log.warn({ err: error }, "what was shown of the vault's tier before cannot be removed");
  });
  const replication = await Replication.open({
    disk,
    clock,
    random,
    dir,
    openStore,
    host: hostname(),
    zone,
    tell({ level, kind, tier, message }) {
      const text = `vault ${name}: ${message}`;
      log[level === "alert" ? "error" : level === "warning" ? "warn" : "info"]({ kind, tier }, message);
      // What is about a tier names it too, so that two tiers of a vault are two troubles.
      tell({ level, kind, subject: kind.startsWith("tier-") ? `${name}/${tier}` : name, message: text });
    },
  });
  return { replication, arrived };
}

/** A vault that is only read here opens as its tier has it now; when that is out of reach, as it was. */
async function refreshFirst(options: EngineOptions): Promise<Arrived | undefined> {
  const { disk, clock, random, dir, openStore, log } = options;
  const { role, tiers } = await readLedger(disk, dir);
  const [origin] = tiers;
  if (role !== "reader" || !origin) return undefined;
  try {
    const store = await openStore(origin.settings);
    try {
      return await refreshReader({ disk, clock, random, dir, host: hostname() }, store);
    } finally {
      await store.close();
    }
  } catch (error) {
    if (!isSternwayError(error)) throw error;
    log.warn({ err: error }, "the vault's tier is out of reach: it opens as it was when it was last read");
    return undefined;
  }
}

/** Has a vault that is only read here follow its tier. */
export function followTier(
  options: EngineOptions,
  first: { replication: Replication; arrived: Arrived | undefined; vault: Vault; volumes: Volumes },
): Follower {
  const { disk, clock, random, dir, name, storage, admit, onMoved } = options;
  const { replication, arrived, vault, volumes } = first;
  return Follower.start({
    disk,
    clock,
    random,
    dir,
    host: hostname(),
    replication,
    first: { vault, volumes },
    arrived,
    open: (viewDisk, folder, like) =>
      openVault({
        disk: viewDisk.disk,
        restoreFile: viewDisk.restoreFile,
        readOnly: true,
        readOnlyReason: replication.readOnlyReason,
        openedAs: like,
        clock,
        random,
        dir: folder,
        pageCacheBytes: storage.pageCacheBytes * VIEW_SHARE,
        frameCacheBytes: storage.frameCacheBytes * VIEW_SHARE,
      }),
    volumesOf: (view) => openVolumes(view, clock, name),
    admit,
    onMoved,
  });
}

/** Keeps a view open until what is said of it was said. */
export async function* pinned<Line>(
  view: Follower["current"],
  lines: (vault: Vault) => AsyncIterable<Line>,
): AsyncGenerator<Line, void, undefined> {
  view.pin();
  try {
    yield* lines(view.vault);
  } finally {
    view.release();
  }
}

export function wireFollow(follower: Follower): WireFollow {
  const { everySeconds, currentAt, reason, olderViews } = follower.status();
  const newest = Math.max(0, ...follower.volumes.list().map(({ lastWriteAt }) => lastWriteAt));
  return {
    everySeconds,
    olderViews,
    ...(currentAt !== undefined && { currentAt: formatTime(micros(currentAt)) }),
    ...(newest > 0 && { newestAt: formatTime(micros(newest)) }),
    ...(reason !== undefined && { reason }),
  };
}
