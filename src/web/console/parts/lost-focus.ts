/** Focus that goes with what had it: a button of a row that was removed, a form that was answered. Left on nothing, the tab key begins at the top again. */

/** @param place - what takes a lost focus; null: the page's heading */
export function focusIfLost(place: HTMLElement | null): void {
  if (document.activeElement !== null && document.activeElement !== document.body) return;
  (place ?? document.querySelector<HTMLElement>("h1"))?.focus({ preventScroll: true });
}
