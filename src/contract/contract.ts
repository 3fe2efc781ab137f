/**
 * The door of the room: the API's routes as one table, its schemas, and the error documents. The API validates by these
 * routes and prints them at /openapi.json; the client and the CLI validate what comes back by the same schemas. See
 * `client.ts` for calling it.
 */
import * as appliance from "./appliance.ts";
import * as history from "./history.ts";
import * as image from "./image.ts";
import * as received from "./received.ts";
import * as retention from "./retention.ts";
import * as scrub from "./scrub.ts";
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
  listDisks: appliance.listDisks,
  listJobs: appliance.listJobs,
  listEvents: appliance.listEvents,
} as const;

export { PROBLEM_TYPE, problemOf, problemSchema, type Problem } from "./problem.ts";
export { LINES_TYPE } from "./route-parts.ts";
export type { WireMoment } from "./fields.ts";
export { type WireVolume } from "./volumes.ts";
export { type WireTimeline, type WireFlushPoints } from "./timeline.ts";
export { FLUSH_POINTS_DEFAULT, TIMELINE_BUCKETS_DEFAULT } from "./timeline.ts";
export { IMAGE_LSN_HEADER, IMAGE_TIME_HEADER, type ExtentLine } from "./image.ts";
export type { ScrubLine, ScrubRequest, ScrubStatus, VaultScrub } from "./scrub.ts";
export { type DiffLine, type WireBookmark } from "./history.ts";
export type { GcLine, GcRequest, GcRunLine, WireHold, WirePlan, WirePolicy, WireRetention } from "./retention.ts";
export type { WireReceived, WireReceivedList, WireReceivedToken } from "./received.ts";
export { PAGE_DEFAULT } from "./appliance.ts";
export type { CheckLine, CheckRequest, DiskList, Health, VaultStatus } from "./appliance.ts";
export type { AddTier, OpenVault, SyncLine, WireTier, WireVerifyLine } from "./tiers.ts";
export type { VaultKey, WireVault, WireVaultSpace } from "./vaults.ts";
