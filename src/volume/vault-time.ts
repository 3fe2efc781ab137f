/**
 * The running side of a vault's ledger of time (`vault/time-ledger.ts`): what has elapsed since the vault was opened comes on top of what was
 * noted before.
 */
import type { Clock } from "../base/clock.ts";
import { micros, type Micros } from "../base/units.ts";
import { newestOfAge, TRUSTED_RATE, untilOfAge } from "../vault/time-ledger.ts";
import type { Vault } from "../vault/vault.ts";

export class VaultTime {
  private readonly vault: Vault;
  private readonly clock: Clock;
  private readonly openedAt: number;
  private readonly elapsedBefore: number;
  /** For a vault in which nothing was ever noted. */
  private readonly firstWall: Micros;

  constructor(vault: Vault, clock: Clock) {
    this.vault = vault;
    this.clock = clock;
    this.openedAt = clock.monotonic();
    this.elapsedBefore = vault.registry.ledger?.elapsedMicros ?? 0;
    this.firstWall = clock.wall();
  }

  /** Time during which the vault was open, microseconds. */
  get elapsed(): number {
    return this.elapsedBefore + Math.max(0, this.clock.monotonic() - this.openedAt);
  }

  /** The present, for policies: the wall clock, but never further than elapsed time bears out. */
  get now(): Micros {
    return micros(Math.min(this.clock.wall(), this.ceiling));
  }

  /** How far the wall clock is ahead of {@link now}. */
  get aheadMicros(): number {
    return Math.max(0, this.clock.wall() - this.ceiling);
  }

  private get ceiling(): number {
    const ledger = this.vault.registry.ledger;
    const since = this.elapsed - (ledger?.elapsedMicros ?? this.elapsedBefore);
    return Math.floor((ledger?.trustedMicros ?? this.firstWall) + since * TRUSTED_RATE);
  }

  /** The newest LSN known to be of at least this age; 0: nothing is. */
  newestOfAge(ageMicros: number): number {
    return newestOfAge(this.vault.registry.ledger, this.elapsed, ageMicros);
  }

  /** How long until an LSN is of this age, if the vault stays open; 0: it is. */
  untilOfAge(lsn: number, ageMicros: number): number {
    return untilOfAge(this.vault.registry.ledger, this.elapsed, lsn, ageMicros);
  }

  async note(): Promise<void> {
    await this.vault.mark(() => ({
      kind: "time-noted",
      volume: 0,
      elapsedMicros: Math.floor(this.elapsed),
      trustedMicros: this.now,
      time: this.clock.wall(),
    }));
  }
}
