/** Much small work on the thread that answers clients, such as rows for a database: done in turns, so that nobody waits for all of it. */
import type { Clock } from "./clock.ts";

/** What a turn may take: less than a client notices, and many times what one row does. */
const TURN_MICROS = 4_000;

/** For work that is asked for many times a second, as with each step of zooming: a few synced writes take as long. Each pause is over a millisecond. */
export const SHORT_TURN_MICROS = 250;

/** One turn of work that may be long. Awaiting what is in memory already gives nobody else a turn; this does. */
export class Turn {
  private readonly clock: Pick<Clock, "monotonic" | "sleep">;
  private readonly lengthMicros: number;
  private began: number;

  /** @param lengthMicros - what it may take, {@link SHORT_TURN_MICROS} or 4 ms */
  constructor(clock: Pick<Clock, "monotonic" | "sleep">, lengthMicros = TURN_MICROS) {
    this.clock = clock;
    this.lengthMicros = lengthMicros;
    this.began = clock.monotonic();
  }

  /** It has taken as long as it may. */
  get isOver(): boolean {
    return this.clock.monotonic() - this.began >= this.lengthMicros;
  }

  /** Lets whatever waits have its turn, and begins the next one. */
  async next(): Promise<void> {
    await this.clock.sleep(0);
    this.began = this.clock.monotonic();
  }
}

/**
 * Does something to one item after another and lets others have their turn every 4 ms. The first turn is taken before this returns.
 * @param items - asked for as they are needed; more may be added meanwhile
 * @param work - must not throw
 */
export async function inTurns<Item>(
  items: Iterable<Item>,
  work: (item: Item) => void,
  clock: Pick<Clock, "monotonic" | "sleep">,
): Promise<void> {
  const turn = new Turn(clock);
  for (const item of items) {
    work(item);
    if (turn.isOver) await turn.next();
  }
}
