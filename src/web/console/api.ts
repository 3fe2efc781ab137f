/**
 * The appliance, as the console asks it: the typed client bound to the page's own origin. The browser sends the session's cookie by itself; what proves that
 * a request comes from this page is the token that GET /v1/session gives, in a header.
 */
import { createClient, type ClientTarget } from "../../contract/client.ts";
import { consoleClient } from "../../contract/console-client.ts";

/** The header that carries the session's token on what changes anything. */
const CSRF_HEADER = "x-sternway-csrf";

const bound: { csrf: string | undefined; onSignInNeeded: () => void } = { csrf: undefined, onSignInNeeded: () => {} };

const target: ClientTarget = {
  baseUrl: location.origin,
  headers: () => (bound.csrf === undefined ? {} : { [CSRF_HEADER]: bound.csrf }),
  onSignInNeeded: () => bound.onSignInNeeded(),
};

/** Every method of the API, and those that the console alone has. */
export const api = { ...createClient(target), ...consoleClient(target) };

/** Sets the token of the session; undefined: nobody is signed in. */
export function bindCsrfToken(token: string | undefined): void {
  bound.csrf = token;
}

/** Sets what happens when the appliance asks to sign in. */
export function onSignInNeeded(act: () => void): void {
  bound.onSignInNeeded = act;
}
