/** Addresses of OpenID Connect, as text. Whoever listens to them could sign in as anybody, so they are HTTPS but on loopback. */
import { isLoopback } from "./listen.ts";

/** The path that the provider sends browsers back to. */
const CALLBACK = "/v1/oidc/callback";

/** @returns it as it was written: the provider's name is compared letter by letter */
export function parseIssuer(text: string): string | { error: string } {
  const url = securely(text);
  if (typeof url === "string") return { error: url };
  if (url.search !== "" || url.hash !== "") return { error: "must have neither a query nor a fragment" };
  return text;
}

export function parseRedirectUrl(text: string): string | { error: string } {
  const url = securely(text);
  if (typeof url === "string") return { error: url };
  return url.pathname === CALLBACK && url.search === "" && url.hash === ""
    ? url.href
    : { error: `must be this appliance's address with the path ${CALLBACK}` };
}

/** @returns why not, as text */
function securely(text: string): URL | string {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (!url || url.username !== "" || url.password !== "") return "must be an address such as https://login.example.org";
  const isSafe =
    url.protocol === "https:" || (url.protocol === "http:" && isLoopback(url.hostname.replace(/^\[|\]$/g, "")));
  return isSafe ? url : "must begin with https:// (http:// is for loopback alone)";
}
