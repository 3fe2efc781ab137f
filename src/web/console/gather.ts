/** Asking for several things at once: bounded, and one that fails does not keep the others away. */

/** At most so many requests of one page at a time: browsers open six connections to a server. */
const AT_ONCE = 4;

/** One answer per item, in their order; undefined where it could not be had. */
export async function each<Item, Value>(
  items: readonly Item[],
  ask: (item: Item) => Promise<Value>,
): Promise<(Value | undefined)[]> {
  const answers: (Value | undefined)[] = items.map(() => undefined);
  let next = 0;
  const worker = async (): Promise<void> => {
    for (let index = next++; index < items.length; index = next++) {
      answers[index] = await optional(ask(items[index] as Item));
    }
  };
  await Promise.all(Array.from({ length: Math.min(AT_ONCE, items.length) }, worker));
  return answers;
}

/** What it gives, or undefined: for a part of a page that may be missing. */
export async function optional<Value>(asked: Promise<Value>): Promise<Value | undefined> {
  try {
    return await asked;
  } catch {
    // The page says so where the part would be.
    return undefined;
  }
}
