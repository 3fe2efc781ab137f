/** Names for moments and volumes, proposed and checked by the contract's own rule. */
import { nameSchema } from "../../../contract/fields.ts";
import { wallOf } from "./time.ts";

const two = (value: number): string => String(value).padStart(2, "0");

/** `bookmark-2026-11-20-2131`: the local time to the minute, which is how people will look for it. */
export function nameOfMoment(prefix: string, time: number, zone: string): string {
  const { year, month, day, hour, minute } = wallOf(time, zone);
  const text = `${year}-${two(month)}-${two(day)}-${two(hour)}${two(minute)}`;
  return `${prefix.slice(0, 64 - text.length - 1)}-${text}`;
}

/** What is wrong with a name; undefined: nothing. */
export function nameTrouble(name: string): string | undefined {
  const parsed = nameSchema.safeParse(name);
  return parsed.success ? undefined : `A name ${parsed.error.issues[0]?.message ?? "like this cannot be used"}.`;
}
