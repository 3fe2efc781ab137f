/**
 * HTML made of text that others wrote: names, messages, errors. What goes into a template is escaped unless it is HTML already, so that forgetting is
 * not possible. For mails and reports, which no framework renders.
 */

const ESCAPES: Record<string, string> = { "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&#39;" };

/** Text that is HTML. {@link html} makes it; anything else may only wrap a constant of its own. */
export class Html {
  readonly text: string;

  constructor(text: string) {
    this.text = text;
  }
}

type Part = Html | string | number | readonly Html[];

/** Text as it must stand in HTML, between tags and in quoted attributes. */
export function escapeHtml(text: string): string {
  return text.replaceAll(/[&<>"']/g, (character) => ESCAPES[character] ?? "");
}

/** A template of HTML; everything put in is escaped, but for what {@link html} made. */
export function html(strings: TemplateStringsArray, ...parts: readonly Part[]): Html {
  let text = strings[0] ?? "";
  parts.forEach((part, i) => {
    text += rendered(part) + (strings[i + 1] ?? "");
  });
  return new Html(text);
}

function rendered(part: Part): string {
  if (part instanceof Html) return part.text;
  if (typeof part === "string" || typeof part === "number") return escapeHtml(String(part));
  return part.map((each) => each.text).join("");
}

/**
 * Text as one line of at most so many characters: what would end the line, or steer a terminal or the direction of writing, becomes a blank. For
 * headers of mails, where a line's end would begin another header.
 */
export function oneLine(text: string, lengthMax: number): string {
  const plain = text.replaceAll(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]+/gu, " ").trim();
  const characters = Array.from(plain);
  return characters.length <= lengthMax ? plain : `${characters.slice(0, lengthMax - 1).join("")}…`;
}
