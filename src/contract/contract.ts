/**
 * The door of the room: the API's routes as one table, its schemas, and the error documents. The API validates by these
 * routes and prints them at /openapi.json; the client and the CLI validate what comes back by the same schemas. See
 * `client.ts` for calling it.
 */
import * as access from "./access.ts";
import * as accounts from "./accounts.ts";
import * as appliance from "./appliance.ts";
import * as audit from "./audit.ts";
import * as credentials from "./credentials.ts";
import * as doors from "./doors.ts";
import * as growth from "./growth.ts";
import * as history from "./history.ts";
import * as image from "./image.ts";
import * as jobs from "./jobs.ts";
import * as machines from "./machines.ts";
import * as notify from "./notify.ts";
import * as received from "./received.ts";
import * as reports from "./reports.ts";
import * as retention from "./retention.ts";
import * as schedules from "./schedules.ts";
import * as scripts from "./scripts.ts";
import * as scrub from "./scrub.ts";
import * as sessions from "./sessions.ts";
import * as signals from "./signals.ts";
import * as tiers from "./tiers.ts";
import * as timeline from "./timeline.ts";
import * as vaults from "./vaults.ts";
import * as volumes from "./volumes.ts";

/** Every route of the API, by operation id. */
export const routes = {
  listVolumes: volumes.listVolumes,
  createVolume: volumes.createVolume,
  getVolume: volumes.getVolume,
  resizeVolume: volumes.resizeVolume,
  deleteVolume: volumes.deleteVolume,
  resolveMoment: volumes.resolveMoment,
  getTimeline: timeline.getTimeline,
  listFlushPoints: timeline.listFlushPoints,
  getImage: image.getImage,
  headImage: image.headImage,
  listExtents: image.listExtents,
  rollbackVolume: history.rollbackVolume,
  listBranches: history.listBranches,
  createBranch: history.createBranch,
  listBookmarks: history.listBookmarks,
  createBookmark: history.createBookmark,
  deleteBookmark: history.deleteBookmark,
  getDiff: history.getDiff,
  listCredentials: credentials.listCredentials,
  createCredential: credentials.createCredential,
  deleteCredential: credentials.deleteCredential,
  getRetention: retention.getRetention,
  setRetention: retention.setRetention,
  clearRetention: retention.clearRetention,
  planRetention: retention.planRetention,
  lockRetention: retention.lockRetention,
  listHolds: retention.listHolds,
  createHold: retention.createHold,
  releaseHold: retention.releaseHold,
  runGc: retention.runGc,
  getHealth: appliance.getHealth,
  getMetrics: appliance.getMetrics,
  getVault: appliance.getVault,
  listVaults: vaults.listVaults,
  createVault: vaults.createVault,
  getVaultNamed: vaults.getVaultNamed,
  getVaultSpace: vaults.getVaultSpace,
  lockVault: vaults.lockVault,
  deleteVault: vaults.deleteVault,
  unlockVault: vaults.unlockVault,
  forgetVault: vaults.forgetVault,
  listTiers: tiers.listTiers,
  addTier: tiers.addTier,
  removeTier: tiers.removeTier,
  syncTiers: tiers.syncTiers,
  verifyTier: tiers.verifyTier,
  openVaultFrom: tiers.openVaultFrom,
  takeOverVault: tiers.takeOverVault,
  refreshVault: tiers.refreshVault,
  listReceived: received.listReceived,
  addReceived: received.addReceived,
  renewReceived: received.renewReceived,
  removeReceived: received.removeReceived,
  startCheck: appliance.startCheck,
  getScrub: scrub.getScrub,
  startScrub: scrub.startScrub,
  getDoors: doors.getDoors,
  listDisks: appliance.listDisks,
  listJobs: jobs.listJobs,
  getJob: jobs.getJob,
  followJob: jobs.followJob,
  cancelJob: jobs.cancelJob,
  listEvents: appliance.listEvents,
  listAlarms: signals.listAlarms,
  acknowledgeAlarm: signals.acknowledgeAlarm,
  getSignals: signals.getSignals,
  setSignals: signals.setSignals,
  listEventKinds: notify.listEventKinds,
  listChannels: notify.listChannels,
  createChannel: notify.createChannel,
  getChannel: notify.getChannel,
  setChannel: notify.setChannel,
  deleteChannel: notify.deleteChannel,
  testChannel: notify.testChannel,
  listRules: notify.listRules,
  createRule: notify.createRule,
  getRule: notify.getRule,
  setRule: notify.setRule,
  deleteRule: notify.deleteRule,
  listDeliveries: notify.listDeliveries,
  getGrowth: growth.getGrowth,
  listReports: reports.listReports,
  getReport: reports.getReport,
  sendReport: reports.sendReport,
  getSetup: access.getSetup,
  setUp: access.setUp,
  getSession: access.getSession,
  signIn: access.signIn,
  signOut: access.signOut,
  listSessions: sessions.listSessions,
  endSessions: sessions.endSessions,
  endSession: sessions.endSession,
  listAccounts: accounts.listAccounts,
  addAccount: accounts.addAccount,
  getAccount: accounts.getAccount,
  changeAccount: accounts.changeAccount,
  removeAccount: accounts.removeAccount,
  setAccountPassword: accounts.setAccountPassword,
  unlockAccount: accounts.unlockAccount,
  turnAccountTotpOff: accounts.turnAccountTotpOff,
  changePassword: access.changePassword,
  beginTotp: access.beginTotp,
  confirmTotp: access.confirmTotp,
  turnTotpOff: access.turnTotpOff,
  listTokens: accounts.listTokens,
  addToken: accounts.addToken,
  removeToken: accounts.removeToken,
  startOidc: access.startOidc,
  finishOidc: access.finishOidc,
  listAudit: audit.listAudit,
  exportAudit: audit.exportAudit,
  getAuditKey: audit.getAuditKey,
  listMachines: machines.listMachines,
  createMachine: machines.createMachine,
  getMachine: machines.getMachine,
  changeMachine: machines.changeMachine,
  deleteMachine: machines.deleteMachine,
  resolveMachineMoment: machines.resolveMachineMoment,
  listMachineBookmarks: machines.listMachineBookmarks,
  createMachineBookmark: machines.createMachineBookmark,
  deleteMachineBookmark: machines.deleteMachineBookmark,
  rollbackMachine: machines.rollbackMachine,
  branchMachine: machines.branchMachine,
  listSchedules: schedules.listSchedules,
  createSchedule: schedules.createSchedule,
  getSchedule: schedules.getSchedule,
  changeSchedule: schedules.changeSchedule,
  deleteSchedule: schedules.deleteSchedule,
  runSchedule: schedules.runSchedule,
  previewSchedule: schedules.previewSchedule,
  listScripts: scripts.listScripts,
} as const;

export type OperationId = keyof typeof routes;

export { PROBLEM_TYPE, problemOf, problemSchema, type Problem } from "./problem.ts";
export type { WireSession } from "./access.ts";
export type { WireAccount, WireToken } from "./accounts.ts";
export type { WireOpenSession } from "./sessions.ts";
export { LINES_TYPE } from "./route-parts.ts";
export type { WireMoment } from "./fields.ts";
export { type WireVolume } from "./volumes.ts";
export { type WireTimeline, type WireFlushPoints } from "./timeline.ts";
export { FLUSH_POINTS_DEFAULT, TIMELINE_BUCKETS_DEFAULT } from "./timeline.ts";
export { IMAGE_LSN_HEADER, IMAGE_TIME_HEADER, type ExtentLine } from "./image.ts";
export { SIGNAL_BUCKETS_DEFAULT, type WireAlarm, type WireVolumeSignals } from "./signals.ts";
export type { ScrubLine, ScrubRequest, ScrubStatus, VaultScrub } from "./scrub.ts";
export { type DiffLine, type WireBookmark } from "./history.ts";
export type { GcLine, GcRequest, GcRunLine, WireHold, WirePlan, WirePolicy, WireRetention } from "./retention.ts";
export type { WireReceived, WireReceivedList, WireReceivedToken } from "./received.ts";
export { EVENTS_TYPE, LAST_EVENT_HEADER, type WireJob } from "./jobs.ts";
export { PAGE_DEFAULT } from "./pages.ts";
export type { WireAuditEntry, WireAuditKey } from "./audit.ts";
export type { WireDoors } from "./doors.ts";
export type { CheckLine, CheckRequest, DiskList, Health, VaultStatus, WireFollow } from "./appliance.ts";
export type { AddTier, OpenVault, SyncLine, WireTier, WireVerifyLine } from "./tiers.ts";
export type { VaultKey, WireVault, WireVaultSpace } from "./vaults.ts";
