/**
 * Steps that other parts of the room ask the sealer for, first come first served. They wait for what is to be sealed, but not for ever: after
 * a few stretches one of them has its turn, or writes that never let up would keep collecting from giving back the space that they need.
 */
import { SternwayError } from "../../base/errors.ts";
import type { Manifest } from "../manifest.ts";

/** What a step changes in the manifest, and what is to be done once that is durable. */
interface StepOutcome {
  changes: Partial<Manifest>;
  published?: () => void;
}

export interface Order {
  work: () => Promise<StepOutcome | undefined>;
  resolve: () => void;
  reject: (error: unknown) => void;
}

/** So many stretches, or slices of overdue merges, may go before a step that was asked for. */
export const SEALS_BEFORE_ORDER_MAX = 4;

export class Orders {
  private readonly waiting: Order[] = [];
  /** The one that is being carried out, until its manifest is durable. */
  private current: Order | undefined;
  /** Steps that went before the first one. */
  private others = 0;

  get isEmpty(): boolean {
    return this.waiting.length === 0;
  }

  /** The first one has waited for as long as it may. */
  get isOverdue(): boolean {
    return !this.isEmpty && this.others >= SEALS_BEFORE_ORDER_MAX;
  }

  /** @returns resolves when the step's changes are durable and taken over */
  add(work: Order["work"]): Promise<void> {
    return new Promise((resolve, reject) => this.waiting.push({ work, resolve, reject }));
  }

  /** A stretch goes first, or a merge that is overdue. */
  noteOther(): void {
    if (!this.isEmpty) this.others++;
  }

  /**
   * Carries out the next one. What it fails with is its caller's trouble alone, but publishing what it changes is tried again, as for any
   * step: the caller waits meanwhile.
   * @returns false: none waits @throws unavailable: its changes could not be published yet
   */
  async carryOutNext(complete: (changes: Partial<Manifest>, published: () => void) => Promise<void>): Promise<boolean> {
    const order = this.waiting.shift();
    if (!order) return false;
    this.current = order;
    this.others = 0;
    let outcome: StepOutcome | undefined;
    try {
      outcome = await order.work();
      if (!outcome) order.resolve();
    } catch (error) {
      order.reject(error);
    }
    if (!outcome) {
      this.current = undefined;
      return true;
    }
    const { changes, published } = outcome;
    await complete(changes, () => {
      published?.();
      this.current = undefined;
      order.resolve();
    });
    return true;
  }

  /** None of them is carried out any more. */
  refuseAll(): void {
    for (const { reject } of this.waiting.splice(0)) reject(noStep());
    this.current?.reject(noStep());
  }
}

export const noStep = (): SternwayError =>
  new SternwayError("unavailable", "the vault takes no further steps: it is read-only or stops");
