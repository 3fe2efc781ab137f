/**
 * The cookies that we set. Over TLS their names begin with `__Host-`: browsers take those only from this very host, over TLS, and for all of it, so
 * that nobody beside us can plant one. Plain HTTP is for loopback alone and has names without.
 */

const SESSION = "sternway";
const OIDC = "sternway-oidc";

export type CookieKind = "session" | "oidc";

const nameOf = (kind: CookieKind, secure: boolean): string =>
  `${secure ? "__Host-" : ""}${kind === "session" ? SESSION : OIDC}`;

/** @returns undefined: there is none, or there are several, of which one is not ours */
export function readCookie(headers: Headers, kind: CookieKind, secure: boolean): string | undefined {
  const name = nameOf(kind, secure);
  const found: string[] = [];
  for (const part of (headers.get("cookie") ?? "").split(";")) {
    const at = part.indexOf("=");
    if (at > 0 && part.slice(0, at).trim() === name) found.push(part.slice(at + 1).trim());
  }
  return found.length === 1 ? found[0] : undefined;
}

/**
 * The header `set-cookie`. Scripts never see the cookie. The session's is not sent with anything that another site began; the one of OpenID
 * Connect has to be, since the provider sends the browser back.
 *
 * @param maxAgeSeconds - 0 takes it away; absent: as long as the browser runs
 */
export function setCookie(kind: CookieKind, secure: boolean, value: string, maxAgeSeconds?: number): string {
  const parts = [`${nameOf(kind, secure)}=${value}`, "Path=/", "HttpOnly"];
  parts.push(kind === "session" ? "SameSite=Strict" : "SameSite=Lax");
  if (secure) parts.push("Secure");
  if (maxAgeSeconds !== undefined) parts.push(`Max-Age=${maxAgeSeconds}`);
  return parts.join("; ");
}
