/**
 * Who may do what, as two tables: what each role may, and what each operation needs. The API refuses by them, the console hides by them, and a test
 * goes through their product. An operation that is missing here does not compile.
 */
import type { OperationId } from "./contract.ts";

export const ROLES = ["administrator", "operator", "self-service", "auditor"] as const;
export type Role = (typeof ROLES)[number];

/**
 * - `anyone`: without signing in
 * - `signed-in`: about one's own account
 * - `view`: names, states, timelines; no content
 * - `data`: content of the past: images, differences, mounting read-only
 * - `restore`: new branches, bookmarks and holds
 * - `operate`: rolling back, restoring over disks, checks and other work of the appliance
 * - `audit`: the audit and reports
 * - `administer`: everything else
 */
export type Right = "anyone" | "signed-in" | "view" | "data" | "restore" | "operate" | "audit" | "administer";

/**
 * What an operation is about. Somebody with the role `self-service` gets at the volumes and machines that are theirs, and at `filtered` lists, from which the
 * handler leaves out what is not theirs; never at what is about the appliance.
 */
export type Scope = "volume" | "machine" | "filtered" | "appliance";

export interface Need {
  right: Right;
  scope: Scope;
}

/** Who asks. */
export interface Principal {
  /** Of the account; `root` over the control socket. */
  name: string;
  role: Role;
  /** Of the role `self-service`: the machines that are theirs. */
  machines: readonly string[];
  by: "control" | "session" | "token";
}

export const ROLE_RIGHTS: Record<Role, readonly Right[]> = {
  administrator: ["anyone", "signed-in", "view", "data", "restore", "operate", "audit", "administer"],
  operator: ["anyone", "signed-in", "view", "data", "restore", "operate"],
  "self-service": ["anyone", "signed-in", "view", "data"],
  auditor: ["anyone", "signed-in", "view", "audit"],
};

const anyone = { right: "anyone", scope: "filtered" } as const;
const viewVolume = { right: "view", scope: "volume" } as const;
const viewMachine = { right: "view", scope: "machine" } as const;
const dataOfVolume = { right: "data", scope: "volume" } as const;
const restore = { right: "restore", scope: "volume" } as const;
const operate = { right: "operate", scope: "appliance" } as const;
const view = { right: "view", scope: "appliance" } as const;
const own = { right: "signed-in", scope: "filtered" } as const;
const audit = { right: "audit", scope: "appliance" } as const;
const administer = { right: "administer", scope: "appliance" } as const;

export const NEEDS: Record<OperationId, Need> = {
  listVolumes: { right: "view", scope: "filtered" },
  createVolume: administer,
  getVolume: viewVolume,
  resizeVolume: administer,
  deleteVolume: administer,
  resolveMoment: viewVolume,
  getTimeline: viewVolume,
  listFlushPoints: viewVolume,
  getImage: dataOfVolume,
  headImage: dataOfVolume,
  listExtents: dataOfVolume,
  rollbackVolume: operate,
  listBranches: viewVolume,
  createBranch: restore,
  listBookmarks: viewVolume,
  createBookmark: restore,
  deleteBookmark: operate,
  getDiff: dataOfVolume,
  listCredentials: { right: "view", scope: "machine" },
  createCredential: { right: "data", scope: "machine" },
  deleteCredential: administer,
  getRetention: viewVolume,
  setRetention: administer,
  clearRetention: administer,
  planRetention: view,
  lockRetention: administer,
  listHolds: viewVolume,
  createHold: restore,
  releaseHold: administer,
  runGc: operate,
  getHealth: anyone,
  getMetrics: view,
  getVault: view,
  listVaults: view,
  createVault: administer,
  getVaultNamed: view,
  getVaultSpace: view,
  lockVault: administer,
  deleteVault: administer,
  unlockVault: administer,
  forgetVault: administer,
  listTiers: view,
  addTier: administer,
  removeTier: administer,
  syncTiers: operate,
  verifyTier: operate,
  openVaultFrom: administer,
  takeOverVault: administer,
  refreshVault: operate,
  listReceived: administer,
  addReceived: administer,
  renewReceived: administer,
  removeReceived: administer,
  startCheck: operate,
  getScrub: view,
  startScrub: operate,
  getDoors: { right: "view", scope: "filtered" },
  listDisks: view,
  listJobs: view,
  getJob: view,
  followJob: view,
  cancelJob: operate,
  listEvents: view,
  listAlarms: view,
  acknowledgeAlarm: operate,
  getSignals: viewVolume,
  setSignals: administer,
  listEventKinds: view,
  listChannels: administer,
  createChannel: administer,
  getChannel: administer,
  setChannel: administer,
  deleteChannel: administer,
  testChannel: administer,
  listRules: administer,
  createRule: administer,
  getRule: administer,
  setRule: administer,
  deleteRule: administer,
  listDeliveries: administer,
  getGrowth: view,
  listReports: audit,
  getReport: audit,
  sendReport: administer,
  getSetup: anyone,
  setUp: anyone,
  getSession: own,
  signIn: anyone,
  signOut: own,
  listSessions: own,
  endSessions: own,
  endSession: own,
  listAccounts: administer,
  addAccount: administer,
  getAccount: administer,
  changeAccount: administer,
  removeAccount: administer,
  setAccountPassword: administer,
  unlockAccount: administer,
  turnAccountTotpOff: administer,
  changePassword: own,
  beginTotp: own,
  confirmTotp: own,
  turnTotpOff: own,
  listTokens: own,
  addToken: own,
  removeToken: own,
  startOidc: anyone,
  finishOidc: anyone,
  listMachines: { right: "view", scope: "filtered" },
  createMachine: administer,
  getMachine: viewMachine,
  changeMachine: administer,
  deleteMachine: administer,
  resolveMachineMoment: viewMachine,
  listMachineBookmarks: viewMachine,
  createMachineBookmark: { right: "restore", scope: "machine" },
  deleteMachineBookmark: operate,
  rollbackMachine: operate,
  branchMachine: { right: "restore", scope: "machine" },
  listSchedules: view,
  createSchedule: administer,
  getSchedule: view,
  changeSchedule: administer,
  deleteSchedule: administer,
  runSchedule: operate,
  previewSchedule: view,
  listScripts: administer,
  listAudit: audit,
  exportAudit: audit,
  getAuditKey: audit,
};

/** Whether a role may use an operation at all; whose volume or machine it is about is another question. */
export function roleMay(role: Role, operation: OperationId): boolean {
  const { right, scope } = NEEDS[operation];
  if (right === "anyone") return true;
  return (
    ROLE_RIGHTS[role].includes(right) && (role !== "self-service" || scope !== "appliance" || right === "signed-in")
  );
}
