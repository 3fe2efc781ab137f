/** Names of objects, checked at the edge: what a place lists or a peer asks for must never become another path. */
import { SternwayError } from "../base/errors.ts";

const NAME_LENGTH_MAX = 200;
const PARTS_MAX = 8;
const PART = /^[A-Za-z0-9_-][A-Za-z0-9._-]*$/;

export function isObjectName(name: string): boolean {
  if (name.length === 0 || name.length > NAME_LENGTH_MAX) return false;
  const parts = name.split("/");
  return parts.length <= PARTS_MAX && parts.every((part) => PART.test(part));
}

/** @throws invalid */
export function checkObjectName(name: string): void {
  if (isObjectName(name)) return;
  throw new SternwayError(
    "invalid",
    `${JSON.stringify(name.slice(0, 80))} is no object's name: 1 to ${PARTS_MAX} parts of letters, digits, ".", "_", "-", none beginning with ".", ${NAME_LENGTH_MAX} characters at the most`,
  );
}
