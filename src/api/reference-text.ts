/** Text into HTML for the reference page. */
import { escapeHtml } from "../base/html.ts";

/** A description: what stands between backticks is code. */
export function markup(text: string): string {
  return escapeHtml(text).replaceAll(/`([^`]+)`/g, "<code>$1</code>");
}
