/** The client's methods for machines, schedules and scripts. */
import {
  machineBookmarkListSchema,
  machineBranchesSchema,
  machineListSchema,
  machineMomentSchema,
  machineRollbackSchema,
  machineSchema,
  madeMachineBookmarkSchema,
} from "./machines.ts";
import type { z } from "@hono/zod-openapi";
import {
  previewSchema,
  scheduleDetailSchema,
  scheduleListSchema,
  scheduleRunSchema,
  type ChangeSchedule,
  type CreateSchedule,
  type WireTiming,
} from "./schedules.ts";
import { scriptListSchema, type bookmarkScriptsSchema } from "./scripts.ts";
import { send, sendForJson, type ClientTarget } from "./transport.ts";

type Scripts = z.input<typeof bookmarkScriptsSchema>;
type Approximate = { approximate?: boolean | undefined };

const machinePath = (name: string): string => `/v1/machines/${encodeURIComponent(name)}`;
const schedulePath = (name: string): string => `/v1/schedules/${encodeURIComponent(name)}`;

export function automationClient(target: ClientTarget) {
  return {
    machines: async () =>
      (await sendForJson(target, { method: "GET", path: "/v1/machines" }, machineListSchema)).machines,
    machine: (name: string) => sendForJson(target, { method: "GET", path: machinePath(name) }, machineSchema),
    createMachine: (machine: { name: string; description?: string; volumes: readonly string[]; scripts?: Scripts }) =>
      sendForJson(target, { method: "POST", path: "/v1/machines", body: machine }, machineSchema),
    changeMachine: (
      name: string,
      change: { description?: string; volumes?: readonly string[]; scripts?: Scripts | null },
    ) => sendForJson(target, { method: "PATCH", path: machinePath(name), body: change }, machineSchema),
    async deleteMachine(name: string): Promise<void> {
      await send(target, { method: "DELETE", path: machinePath(name) });
    },
    resolveMachine: (name: string, at: string) =>
      sendForJson(target, { method: "GET", path: `${machinePath(name)}/moment`, query: { at } }, machineMomentSchema),
    machineBookmarks: async (name: string) =>
      (await sendForJson(target, { method: "GET", path: `${machinePath(name)}/bookmarks` }, machineBookmarkListSchema))
        .bookmarks,
    createMachineBookmark: (
      name: string,
      bookmark: { name: string; at?: string; note?: string; scripts?: boolean } & Approximate,
    ) =>
      sendForJson(
        target,
        { method: "POST", path: `${machinePath(name)}/bookmarks`, body: bookmark },
        madeMachineBookmarkSchema,
      ),
    async deleteMachineBookmark(name: string, bookmark: string): Promise<void> {
      await send(target, {
        method: "DELETE",
        path: `${machinePath(name)}/bookmarks/${encodeURIComponent(bookmark)}`,
      });
    },
    /** Look at `outcome`: it may be done in part. */
    rollbackMachine: (name: string, to: string, options: { force?: boolean } & Approximate = {}) =>
      sendForJson(
        target,
        { method: "POST", path: `${machinePath(name)}/rollback`, body: { to, ...options } },
        machineRollbackSchema,
      ),
    branchMachine: async (name: string, at: string, options: { prefix?: string; suffix?: string } & Approximate) =>
      (
        await sendForJson(
          target,
          { method: "POST", path: `${machinePath(name)}/branches`, body: { at, ...options } },
          machineBranchesSchema,
        )
      ).volumes,

    schedules: async () =>
      (await sendForJson(target, { method: "GET", path: "/v1/schedules" }, scheduleListSchema)).schedules,
    schedule: (name: string) => sendForJson(target, { method: "GET", path: schedulePath(name) }, scheduleDetailSchema),
    createSchedule: (schedule: CreateSchedule) =>
      sendForJson(target, { method: "POST", path: "/v1/schedules", body: schedule }, scheduleDetailSchema),
    changeSchedule: (name: string, change: ChangeSchedule) =>
      sendForJson(target, { method: "PATCH", path: schedulePath(name), body: change }, scheduleDetailSchema),
    async deleteSchedule(name: string): Promise<void> {
      await send(target, { method: "DELETE", path: schedulePath(name) });
    },
    runSchedule: (name: string) =>
      sendForJson(target, { method: "POST", path: `${schedulePath(name)}/run` }, scheduleRunSchema),
    previewSchedule: (timing: WireTiming) =>
      sendForJson(target, { method: "POST", path: "/v1/schedules/preview", body: { timing } }, previewSchema),

    scripts: () => sendForJson(target, { method: "GET", path: "/v1/scripts" }, scriptListSchema),
  };
}
