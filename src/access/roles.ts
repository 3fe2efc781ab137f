/** Which role is within which: nobody hands on more than he has. */
import { ROLE_RIGHTS, type Role } from "../contract/rights.ts";

/** Whether whoever has `role` may do nothing that one with `limit` may not. Every role is within itself. */
export function isRoleWithin(role: Role, limit: Role): boolean {
  if (limit === "self-service") return role === "self-service";
  return ROLE_RIGHTS[role].every((right) => ROLE_RIGHTS[limit].includes(right));
}
