/** What the appliance asks of a password, said while it is typed. The appliance has the last word. Pure. */

const LENGTH_MIN = 10;
const LENGTH_MAX = 256;
const DIFFERENT_MIN = 5;

/** What is wrong with a password; undefined: nothing. */
export function passwordTrouble(password: string): string | undefined {
  const characters = Array.from(password);
  if (characters.length < LENGTH_MIN) {
    return `${LENGTH_MIN - characters.length} more ${LENGTH_MIN - characters.length === 1 ? "character" : "characters"}, please.`;
  }
  if (characters.length > LENGTH_MAX) return `${LENGTH_MAX} characters are the most.`;
  if (new Set(characters).size < DIFFERENT_MIN) return "Too few different characters.";
  return undefined;
}
