/** Operations of the API in words, for lists of who did what. Pure. */

/** `rollbackVolume` as `roll back volume`; `sign-in` as `sign in`. */
export function actionWords(action: string): string {
  const words = action
    .replaceAll(/([a-z0-9])([A-Z])/g, "$1 $2")
    .replaceAll("-", " ")
    .toLowerCase();
  return words.replace(/^rollback\b/, "roll back");
}
