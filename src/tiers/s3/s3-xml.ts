/**
 * Reads and writes the little XML that S3 speaks. No general parser: its answers are elements without attributes that matter, nested two deep, and what does not look like that
 * yields nothing. Text is unescaped; nothing is ever fetched or expanded.
 */

const ENTITIES: Record<string, string> = { amp: "&", lt: "<", gt: ">", quot: '"', apos: "'" };

/** The text of the first element of that name; undefined: there is none. */
export function xmlText(xml: string, name: string): string | undefined {
  const [inner] = xmlInner(xml, name);
  return inner === undefined ? undefined : unescapeXml(inner);
}

/** What is inside each element of that name, still escaped. Elements of one name are not nested in each other. */
export function* xmlInner(xml: string, name: string): Generator<string, void, undefined> {
  const close = `</${name}>`;
  for (let at = 0; ;) {
    const open = xml.indexOf(`<${name}`, at);
    if (open < 0) return;
    const begin = xml.indexOf(">", open);
    if (begin < 0) return;
    at = begin + 1;
    // Another element whose name only begins so, or an empty one.
    if (!/[\s>/]/.test(xml.charAt(open + name.length + 1))) continue;
    if (xml.charAt(begin - 1) === "/") {
      yield "";
      continue;
    }
    const end = xml.indexOf(close, at);
    if (end < 0) return;
    yield xml.slice(at, end);
    at = end + close.length;
  }
}

export function escapeXml(text: string): string {
  return text.replace(/[&<>"']/g, (each) => `&#${each.charCodeAt(0)};`);
}

function unescapeXml(text: string): string {
  return text.replace(/&(?:#(\d{1,7})|#x([0-9a-fA-F]{1,6})|(\w{2,4}));/g, (whole, decimal, hex, name) => {
    if (typeof name === "string") return ENTITIES[name] ?? whole;
    const code = typeof decimal === "string" ? Number(decimal) : Number.parseInt(String(hex), 16);
    return code <= 0x10ffff ? String.fromCodePoint(code) : whole;
  });
}
