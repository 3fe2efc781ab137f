/** Waiting until tiers hold what the vault holds: as long as it takes when somebody asks for it, and for a little while when the vault is left. */
import type { Clock } from "../base/clock.ts";
import { isSternwayError, SternwayError } from "../base/errors.ts";
import type { Vault } from "../vault/vault.ts";
import type { TierCopy } from "./tier-copy.ts";
import type { Link, TierLinks } from "./tier-links.ts";

const LOOK_MS = 250;
/** How long a stop waits for the journal's tail to reach tiers that are online. */
const LEAVE_MS = 5_000;
const LEAVE_LOOK_MS = 20;

/** The newest LSN that is durable here. The vault's last one may have been skipped after a crash: it is nothing's, and comes nowhere. */
export function newestLsn({ sealing, journal }: Vault): number {
  return Math.max(sealing.manifest.sealed.lsn, ...journal.tail().map(({ lastLsn }) => lastLsn));
}

/**
 * Brings tiers up to what the vault holds now, and waits for it. Yields before each look, and at the end.
 * @throws fenced: another installation writes there; unavailable: a tier is away, or the signal was aborted
 */
export async function* catchUp(
  vault: Vault,
  links: readonly Link[],
  clock: Clock,
  signal: AbortSignal,
): AsyncGenerator<void, void, undefined> {
  await vault.seal();
  const target = newestLsn(vault);
  for (const { copy } of links) copy?.ask();
  for (;;) {
    const open = links.filter(({ copy }) => copy !== undefined && copy.reached < target);
    for (const { copy, settings } of open) {
      const { state, reason = "" } = copy!.status();
      if (state === "foreign" || state === "overtaken")
        throw new SternwayError("fenced", reason, { tier: settings.name });
      if (state === "offline")
        throw new SternwayError("unavailable", `tier ${settings.name}: ${reason}`, { tier: settings.name });
    }
    yield;
    if (open.length === 0) return;
    signal.throwIfAborted();
    await clock.sleep(LOOK_MS);
  }
}

/** Tiers that are within reach get the rest of the journal's tail: a machine that was shut down may never be started again. */
export async function sendLast(vault: Vault, links: TierLinks, clock: Clock): Promise<void> {
  await vault.journal.durable(vault.lastLsn).catch((error: unknown) => {
    // The journal says so itself when it is stopped.
    if (!isSternwayError(error)) throw error;
  });
  const ready = (): TierCopy[] =>
    links.copies.filter(
      ({ state, settings, reached }) =>
        state === "online" && settings.mode !== "scheduled" && reached < newestLsn(vault),
    );
  const until = clock.monotonic() + LEAVE_MS * 1000;
  // A copy that is being brought up sends nothing new until it is done.
  while (ready().length > 0 && clock.monotonic() < until) {
    for (const copy of ready()) copy.send();
    await clock.sleep(LEAVE_LOOK_MS);
  }
}
