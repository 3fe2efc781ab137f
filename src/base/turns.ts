/** Much small work on the thread that answers clients, such as rows for a database: done in turns, so that nobody waits for all of it. */
import type { Clock } from "./clock.ts";

/** What a turn may take: less than a client notices, and many times what one row does. */
const TURN_MICROS = 4_000;

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
  let began = clock.monotonic();
  for (const item of items) {
    work(item);
    if (clock.monotonic() - began < TURN_MICROS) continue;
    await clock.sleep(0);
    began = clock.monotonic();
  }
}
