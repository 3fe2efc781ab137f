/**
 * Where the console is: the address bar's path and query, changed by the History API without loading the page anew. The server gives the same page for
 * every such path, so that a copied address leads to the same place.
 */
import { useEffect, useState } from "preact/hooks";

export { matchPath, pathWith } from "./paths.ts";

export interface Place {
  path: string;
  query: URLSearchParams;
}

const CHANGED = "sternway:place";

/** Set when somebody went to a place within the console, until the page there has taken the focus. */
const followed = { value: false };

/** Whether somebody came here by going on within the console; asked once, by the page that is there then. */
export function takeFollowed(): boolean {
  const { value } = followed;
  followed.value = false;
  return value;
}

const here = (): Place => ({ path: location.pathname, query: new URLSearchParams(location.search) });

/** Goes to a path of the console, with its query. @param options.replace - without a step back to where it was */
export function navigate(to: string, options: { replace?: boolean } = {}): void {
  if (options.replace === true) history.replaceState(null, "", to);
  else history.pushState(null, "", to);
  followed.value = true;
  dispatchEvent(new Event(CHANGED));
}

/** Where the console is now; the component is drawn again when that changes. */
export function usePlace(): Place {
  const [place, setPlace] = useState(here);
  useEffect(() => {
    const follow = (): void => setPlace(here());
    addEventListener("popstate", follow);
    addEventListener(CHANGED, follow);
    return () => {
      removeEventListener("popstate", follow);
      removeEventListener(CHANGED, follow);
    };
  }, []);
  return place;
}

/** Whether a click on a link is one that the console should answer itself: the plain one, in this window. */
export function isPlainClick(event: MouseEvent): boolean {
  return event.button === 0 && !event.metaKey && !event.ctrlKey && !event.shiftKey && !event.altKey;
}
