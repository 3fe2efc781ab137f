/**
 * The real engine: one vault with its volumes, as the daemon and the check of a stopped vault need it. The one place that
 * knows which of the vault's options the configuration sets.
 */
import { systemClock } from "../base/clock.ts";
import { realDisk } from "../base/real-disk.ts";
import { systemRandom } from "../base/random.ts";
import { errorText, SternwayError } from "../base/errors.ts";
import { BLOCK_SIZE } from "../base/units.ts";
import type { CheckLine, CheckRequest } from "../contract/contract.ts";
import type { Secret } from "../security/secret.ts";
import { checkVault, type CheckOptions } from "../vault/checking/check.ts";
import { createVault, openVault } from "../vault/open-vault.ts";
import { workerSealer } from "../vault/sealing/sealer-worker.ts";
import type { Vault } from "../vault/vault.ts";
import type { SealedWrites, VaultWatch } from "../signals/signals.ts";
import { openVolumes } from "../volume/volume-set.ts";
import { EngineTiers } from "./engine-tiers.ts";
import type { Engine, EngineOptions } from "./engine.ts";
import { followTier, openReplication, pinned, wireFollow } from "./engine-replication.ts";
import { ScrubTask } from "./scrub-task.ts";
import { withSecret } from "./vault-secret.ts";

type Line = Exclude<CheckLine, { line: "failed" }>;

/** Opens the vault in a folder, or makes one there. @throws denied, corrupt, fenced, unavailable */
export async function openEngine(options: EngineOptions): Promise<Engine> {
  const { clock, random, disk, name, dir, storage, log, metrics, tell } = options;
  const labels = { vault: name };
  const { journalFileBytes } = storage;
  if (options.make) {
    // Apart from opening, so that a key given for a vault that is there can never be taken for that of a new one.
    await withSecret(disk, log, options.key, async (secret) => {
      await createVault(disk, dir, random, { journalFileBytes, encrypt: secret });
    });
  }
  const { replication, arrived } = await openReplication(options);
  const { readOnlyReason } = replication;
  let inTrouble = false;
  /** Stretches of before the last stop are sealed while the vault opens. */
  const unwatched: SealedWrites[] = [];
  let watch: VaultWatch | undefined;
  const open = (unlock: Secret | undefined): ReturnType<typeof openVault> =>
    openVault({
      disk: replication.disk,
      restoreFile: replication.restoreFile,
      takesOver: replication.isArriving,
      ...(readOnlyReason !== undefined && { readOnly: true, readOnlyReason }),
      clock,
      random,
      dir,
      unlock,
      mustBeEncrypted: options.mustBeEncrypted ?? false,
      sealer: workerSealer,
      journalFilesMax: storage.journalFilesMax,
      groupPages: Math.floor(storage.groupBytesMax / BLOCK_SIZE),
      groupLingerMs: storage.groupLingerMs,
      pageCacheBytes: storage.pageCacheBytes,
      frameCacheBytes: storage.frameCacheBytes,
      indexBudgetBytes: storage.fingerprintBytesPerTiB,
      reserveBytes: storage.freeSpaceReserveBytes,
      mergeBytesPerSecond: storage.mergeBytesPerSecond,
      collectBytesPerSecond: storage.collectBytesPerSecond,
      collectDroppedShare: storage.collectDroppedShare,
      onTrouble(error) {
        // Sealing tries again and again; the first failure and the end of the trouble are what people need to know.
        if (error && !inTrouble) {
          log.error({ err: error }, "sealing is in trouble; the journal fills meanwhile");
          const message = `vault ${name}: sealing is in trouble (${errorText(error)}); writes are refused when the journal is full`;
          tell({ level: "alert", kind: "seal-trouble", subject: name, message });
        }
        if (!error && inTrouble) {
          log.info({}, "sealing works again");
          tell({ level: "info", kind: "seal-recovered", subject: name, message: `vault ${name}: sealing works again` });
        }
        inTrouble = error !== undefined;
      },
      onSealed({ writes, strange, ...progress }) {
        metrics.sealedBytes.inc(labels, progress.blocks * BLOCK_SIZE);
        metrics.duplicateBytes.inc(labels, progress.duplicateBlocks * BLOCK_SIZE);
        metrics.packBytes.inc(labels, progress.storedBytes);
        log.debug(progress, "a stretch was sealed");
        if (watch) watch.sealed({ writes, strange });
        else if (unwatched.length < storage.journalFilesMax) unwatched.push({ writes, strange });
      },
    });
  const vault = await withSecret(disk, log, options.key, open).catch(async (error: unknown) => {
    await replication.stop();
    throw error;
  });
  if (vault.readOnlyReason !== undefined && vault.readOnlyReason !== readOnlyReason) {
    log.error({ reason: vault.readOnlyReason }, "the vault is read-only");
    tell({
      level: "alert",
      kind: "read-only",
      subject: name,
      message: `vault ${name} is read-only: ${vault.readOnlyReason}`,
    });
  }
  let checking = false;
  replication.start(vault);
  const undo = async (error: unknown): Promise<never> => {
    await replication.stop();
    await vault.stop();
    throw error;
  };
  const own = await openVolumes(vault, clock, name).catch(undo);
  const follower = replication.origin && followTier(options, { replication, arrived, vault, volumes: own });
  const volumes = follower?.volumes ?? own;
  /** The vault as it is shown. */
  const shown = (): Vault => follower?.current.vault ?? vault;
  if (vault.readOnlyReason === undefined) {
    watch = options.signals?.watch(vault, name, volumes);
    for (const writes of unwatched.splice(0)) watch?.sealed(writes);
  }
  const { cycleDays } = options.scrub;
  const scrub =
    // What is not here yet is not damaged.
    vault.readOnlyReason === undefined && !replication.isArriving
      ? await ScrubTask.start({ vault, name, cycleDays, clock, log: log.child({ room: "scrub" }), metrics, tell })
      : undefined;
  // A vault keeps the size of its journal files from when it was made, whatever is configured since.
  const journalSizeBytes = storage.journalFilesMax * vault.journalFileBytes;
  const journalUsedBytes = (): number => Math.round(vault.journal.fill * journalSizeBytes);
  return {
    volumes,
    encrypted: vault.isEncrypted,
    status: async () => {
      const { sealing, lastLsn, journal } = shown();
      const { manifest } = sealing;
      return {
        id: manifest.vault,
        ...(vault.readOnlyReason === undefined
          ? { state: "writable" as const }
          : { state: "read-only" as const, reason: vault.readOnlyReason }),
        epoch: manifest.epoch,
        lastLsn,
        durableLsn: journal.durableLsn,
        sealedLsn: manifest.sealed.lsn,
        volumeCount: volumes.list().length,
        journalUsedBytes: journalUsedBytes(),
        journalSizeBytes,
        storedBytes: storedBytes(shown()),
        packCount: manifest.packs.length,
        layerCount: manifest.layers.length,
        ...(follower && { follow: wireFollow(follower) }),
      };
    },
    sample: () => ({
      journalUsedBytes: journalUsedBytes(),
      journalSizeBytes,
      sealBacklog: vault.sealing.backlog,
      storedBytes: storedBytes(shown()),
      packCount: shown().sealing.manifest.packs.length,
      layerCount: shown().sealing.manifest.layers.length,
      quarantinedBlocks: scrub?.quarantined ?? 0,
      writable: vault.readOnlyReason === undefined,
    }),
    async space() {
      const { volumes: owners, ...sums } = await vault.space();
      const named = owners.flatMap(({ volume, ...bytes }) => {
        const name = vault.registry.byId(volume)?.name;
        return name === undefined ? [] : [{ volume: name, ...whole(bytes) }];
      });
      const { storedBytes, liveBytes, deadBytes } = whole(sums);
      return { storedBytes, liveBytes, deadBytes, volumes: named };
    },
    trouble() {
      if (vault.readOnlyReason !== undefined) return `the vault is read-only: ${vault.readOnlyReason}`;
      const { lastTrouble } = vault.sealing;
      if (lastTrouble) return `sealing is in trouble: ${errorText(lastTrouble)}`;
      const away = replication.status().filter(({ state }) => state === "offline" || state === "foreign");
      if (away.length === 0) return undefined;
      return away.map(({ settings, state, reason }) => `tier ${settings.name} is ${state}: ${reason}`).join("; ");
    },
    async *check(request, signal) {
      if (checking) throw new SternwayError("conflict", "a check is running already; GET /v1/jobs shows it");
      checking = true;
      try {
        const check = (checked: Vault): ReturnType<typeof checkVault> =>
          checkVault(checked, checkOptions(request, signal));
        yield* follower ? pinned(follower.current, check) : check(vault);
      } finally {
        checking = false;
      }
    },
    scrub,
    refresh: follower && (() => follower.refresh()),
    collect: vault.readOnlyReason === undefined ? () => vault.collect() : undefined,
    tiers: new EngineTiers(vault, name, replication),
    async stop() {
      await watch?.stop();
      await scrub?.stop();
      await follower?.stop();
      await replication.stop();
      await vault.stop();
    },
  };
}

/**
 * Checks a vault that no daemon serves; opens it for reading only. The caller holds the data folder's lock.
 * @param open - the caller wipes the secret when this has come to its end
 * @throws not_found: a volume is asked for and is not there; denied: the vault is encrypted, and the secret is missing or wrong
 */
export async function* checkVaultAt(
  dir: string,
  request: CheckRequest,
  signal: AbortSignal,
  open: { unlock?: Secret | undefined; mustBeEncrypted?: boolean } = {},
): AsyncGenerator<Line, void, undefined> {
  const options = { disk: realDisk, clock: systemClock, random: systemRandom, dir, readOnly: true };
  const vault = await openVault({ ...options, ...open });
  try {
    yield* checkVault(vault, checkOptions(request, signal));
  } finally {
    await vault.stop();
  }
}

function checkOptions(request: CheckRequest, signal: AbortSignal): CheckOptions {
  const { quick = false, volume } = request;
  return { quick, deep: !quick, signal, ...(volume === undefined ? {} : { volume }) };
}

/** Shares of files come in fractions of bytes. */
const whole = <Sums extends Record<string, number>>(sums: Sums): Sums =>
  Object.fromEntries(Object.entries(sums).map(([key, bytes]) => [key, Math.round(bytes)])) as Sums;

function storedBytes(vault: Vault): number {
  const { packs, layers, chronicles } = vault.sealing.manifest;
  let bytes = 0;
  for (const files of [packs, layers, chronicles]) for (const file of files) bytes += file.sizeBytes;
  return bytes;
}
