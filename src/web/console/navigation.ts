/**
 * Where somebody can go, by groups, and what each place needs: a place that somebody may not use is not shown. That is courtesy and no protection: the
 * appliance refuses by the same table of rights.
 */
import type { OperationId } from "../../contract/contract.ts";
import { roleMay, type Role } from "../../contract/rights.ts";

export interface NavItem {
  label: string;
  path: string;
  /** Without this there is nothing to see. */
  needs: OperationId;
}

export interface NavGroup {
  title: string;
  items: readonly NavItem[];
}

export const NAV_GROUPS: readonly NavGroup[] = [
  {
    title: "Protected",
    items: [
      { label: "Machines", path: "/machines", needs: "listMachines" },
      { label: "Volumes", path: "/volumes", needs: "listVolumes" },
      { label: "Retention", path: "/retention", needs: "planRetention" },
      { label: "Schedules", path: "/schedules", needs: "listSchedules" },
    ],
  },
  {
    title: "Storage",
    items: [
      { label: "Vaults", path: "/vaults", needs: "listVaults" },
      { label: "Tiers", path: "/tiers", needs: "listTiers" },
      { label: "Growth", path: "/growth", needs: "getGrowth" },
    ],
  },
  {
    title: "What happens",
    items: [
      { label: "Alarms", path: "/alarms", needs: "listAlarms" },
      { label: "Jobs", path: "/jobs", needs: "listJobs" },
      { label: "Events", path: "/events", needs: "listEvents" },
      { label: "Reports", path: "/reports", needs: "getReport" },
      { label: "Audit", path: "/audit", needs: "listAudit" },
    ],
  },
  {
    title: "Appliance",
    items: [
      { label: "Notifications", path: "/notifications", needs: "listChannels" },
      { label: "Accounts", path: "/accounts", needs: "listAccounts" },
      { label: "API tokens", path: "/tokens", needs: "listTokens" },
      { label: "Settings", path: "/settings", needs: "getHealth" },
    ],
  },
];

/** The groups with what a role may use; groups with nothing are left out. */
export function navigationFor(role: Role): NavGroup[] {
  return NAV_GROUPS.map((group) => ({
    ...group,
    items: group.items.filter((item) => roleMay(role, item.needs)),
  })).filter((group) => group.items.length > 0);
}

/** Whether a place is where somebody is: itself, or something below it. */
export function isWithin(item: string, path: string): boolean {
  return item === "/" ? path === "/" : path === item || path.startsWith(`${item}/`);
}
