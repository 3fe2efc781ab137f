/** Bounded concurrency: a fixed number of hands that take items from one sequence. */

/**
 * Calls `work` for every item, at most `width` at a time, taking items in order and only as hands come free.
 * After the first failure nothing more is taken; it is thrown once all running calls have ended.
 */
export async function forEachInFlight<Item>(
  items: AsyncIterable<Item>,
  width: number,
  work: (item: Item) => Promise<void>,
): Promise<void> {
  const iterator = items[Symbol.asyncIterator]();
  let stopped = false;
  const failures: unknown[] = [];
  const hand = async (): Promise<void> => {
    while (!stopped) {
      try {
        const next = await iterator.next();
        if (next.done === true) return;
        await work(next.value);
      } catch (error) {
        stopped = true;
        failures.push(error);
        return;
      }
    }
  };
  await Promise.all(Array.from({ length: width }, hand));
  await iterator.return?.();
  if (failures.length > 0) throw failures[0];
}
