/** Paths of the console: taken apart by patterns, and put together. Pure. */

/**
 * The parts of a path that a pattern such as `/volumes/:name/manage` names, decoded; undefined when it does not fit.
 * What cannot be decoded fits nothing.
 */
export function matchPath(pattern: string, path: string): Record<string, string> | undefined {
  const wanted = pattern.split("/");
  const given = path.replace(/(.)\/+$/, "$1").split("/");
  if (wanted.length !== given.length) return undefined;
  const found: Record<string, string> = {};
  for (const [index, part] of wanted.entries()) {
    const word = given[index] ?? "";
    if (part.startsWith(":")) {
      const decoded = decode(word);
      if (decoded === undefined || decoded === "") return undefined;
      found[part.slice(1)] = decoded;
    } else if (part !== word) {
      return undefined;
    }
  }
  return found;
}

/** A path with a query, from which empty values are left out. */
export function pathWith(path: string, query: Record<string, string | number | undefined>): string {
  const words = new URLSearchParams();
  for (const [name, value] of Object.entries(query)) {
    if (value !== undefined && value !== "") words.set(name, String(value));
  }
  const text = words.toString();
  return text === "" ? path : `${path}?${text}`;
}

function decode(word: string): string | undefined {
  try {
    return decodeURIComponent(word);
  } catch {
    // A stray percent sign: no name of ours.
    return undefined;
  }
}
