/** Small requests to a place that is far away, some at a time: one after another they would take a round trip each. */
const AT_ONCE = 8;

/** Does `work` for each item. @throws the first error, when those under way have come to their ends; further ones are not begun */
export async function eachOf<Item>(items: readonly Item[], work: (item: Item) => Promise<void>): Promise<void> {
  let next = 0;
  let isFailed = false;
  const worker = async (): Promise<void> => {
    while (next < items.length && !isFailed) {
      try {
        await work(items[next++]!);
      } catch (error) {
        isFailed = true;
        throw error;
      }
    }
  };
  const results = await Promise.allSettled(Array.from({ length: Math.min(AT_ONCE, items.length) }, worker));
  for (const result of results) if (result.status === "rejected") throw result.reason;
}
