/** What each role may, in a few words. */
import type { Role } from "../../contract/rights.ts";

export const ROLE_WORDS: Record<Role, string> = {
  administrator: "may do everything",
  operator: "may look, restore, roll back and run checks; sets nothing up",
  "self-service": "may look at and restore from own machines",
  auditor: "may look, and read the audit and reports; restores nothing",
};
