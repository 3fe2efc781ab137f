/** The typed client of the API: one method per route. The CLI uses it over the control socket; later the console. */
import { SternwayError } from "../base/errors.ts";
import { auditClient } from "./audit-client.ts";
import { accessClient } from "./access-client.ts";
import { diskListSchema, eventListSchema, healthSchema, vaultStatusSchema } from "./appliance.ts";
import { credentialMethods } from "./credentials.ts";
import { doorMethods } from "./doors.ts";
import { automationClient } from "./automation-client.ts";
import { bookmarkListSchema, bookmarkSchema, diffLineSchema, rollbackSchema } from "./history.ts";
import { extentLineSchema, IMAGE_LSN_HEADER, IMAGE_TIME_HEADER } from "./image.ts";
import { jobsClient } from "./jobs-client.ts";
import { notifyClient } from "./notify-client.ts";
import { scrubStatusSchema } from "./scrub.ts";
import { holdListSchema, holdSchema, retentionPlanSchema, retentionSchema, type WirePolicy } from "./retention.ts";
import { tierListSchema, tierSchema, type AddTier, type OpenVault } from "./tiers.ts";
import { receivedListSchema, receivedTokenSchema } from "./received.ts";
import { flushPointListSchema, timelineSchema } from "./timeline.ts";
import { signalClient } from "./signal-client.ts";
import { allPages } from "./pages.ts";
import { send, sendForJson, sendForLines, type ClientTarget } from "./transport.ts";
import { resolvedMomentSchema } from "./fields.ts";
import { vaultListSchema, vaultSchema, vaultSpaceSchema, type VaultKey } from "./vaults.ts";
import { volumeListSchema, volumeSchema } from "./volumes.ts";

export type { ClientTarget } from "./transport.ts";

/** What an image's headers tell. */
export interface ImageFacts {
  sizeBytes: number;
  lsn: number;
  /** RFC 3339 */
  time: string;
}

export interface ImageStream extends ImageFacts {
  /** The bytes asked for; pull-driven, so reading slowly slows the appliance. Cancel it to stop early. */
  body: ReadableStream<Uint8Array>;
}

type Page = { before?: number; limit?: number };

const vaultPath = (name: string): string => `/v1/vaults/${encodeURIComponent(name)}`;
const volumePath = (name: string): string => `/v1/volumes/${encodeURIComponent(name)}`;

/**
 * A client of one appliance. It holds no connection and needs no closing.
 *
 * Every method throws SternwayError with the kind, message and facts of the appliance's problem document
 * (`facts.todo` says what to do next), and `unavailable` when nobody answers. Sizes are bytes, times RFC 3339, moments text.
 */
export function createClient(target: ClientTarget) {
  const volumePages = (path: string) =>
    allPages(async (after) => {
      const { volumes, next } = await sendForJson(target, { method: "GET", path, query: { after } }, volumeListSchema);
      return { entries: volumes, next };
    });
  return {
    ...accessClient(target),
    ...auditClient(target),
    ...automationClient(target),
    ...credentialMethods(target),
    ...doorMethods(target),
    ...jobsClient(target),
    ...notifyClient(target),
    ...signalClient(target),
    health: () => sendForJson(target, { method: "GET", path: "/healthz" }, healthSchema),
    metrics: async () => (await send(target, { method: "GET", path: "/metrics" })).text(),
    /** Of the vault `default`. */
    vault: () => sendForJson(target, { method: "GET", path: "/v1/vault" }, vaultStatusSchema),
    vaults: async () => (await sendForJson(target, { method: "GET", path: "/v1/vaults" }, vaultListSchema)).vaults,
    vaultNamed: (name: string) => sendForJson(target, { method: "GET", path: vaultPath(name) }, vaultSchema),
    vaultSpace: (name: string) =>
      sendForJson(target, { method: "GET", path: `${vaultPath(name)}/space` }, vaultSpaceSchema),
    /** @param encrypt - encrypted for this key */
    createVault: (name: string, encrypt?: VaultKey) =>
      sendForJson(
        target,
        { method: "POST", path: "/v1/vaults", body: { name, ...(encrypt === undefined ? {} : { encrypt }) } },
        vaultSchema,
      ),
    lockVault: (name: string, options: { force?: boolean } = {}) =>
      sendForJson(target, { method: "POST", path: `${vaultPath(name)}/lock`, body: options }, vaultSchema),
    unlockVault: (name: string, key?: VaultKey) =>
      sendForJson(
        target,
        { method: "POST", path: `${vaultPath(name)}/unlock`, body: key === undefined ? {} : { key } },
        vaultSchema,
      ),
    async deleteVault(name: string, options: { confirm?: string } = {}): Promise<void> {
      await send(target, { method: "POST", path: `${vaultPath(name)}/delete`, body: options });
    },
    async forgetVault(name: string): Promise<void> {
      await send(target, { method: "DELETE", path: vaultPath(name) });
    },
    tiers: async (vault: string) =>
      (await sendForJson(target, { method: "GET", path: `${vaultPath(vault)}/tiers` }, tierListSchema)).tiers,
    addTier: (vault: string, tier: AddTier) =>
      sendForJson(target, { method: "POST", path: `${vaultPath(vault)}/tiers`, body: tier }, tierSchema),
    async removeTier(vault: string, tier: string): Promise<void> {
      await send(target, { method: "DELETE", path: `${vaultPath(vault)}/tiers/${encodeURIComponent(tier)}` });
    },
    openVaultFrom: (request: OpenVault) =>
      sendForJson(target, { method: "POST", path: "/v1/vaults/open", body: request }, vaultSchema),
    takeOverVault: (name: string, key?: VaultKey) =>
      sendForJson(
        target,
        { method: "POST", path: `${vaultPath(name)}/take-over`, body: key === undefined ? {} : { key } },
        vaultSchema,
      ),
    refreshVault: (name: string, key?: VaultKey) =>
      sendForJson(
        target,
        { method: "POST", path: `${vaultPath(name)}/refresh`, body: key === undefined ? {} : { key } },
        vaultSchema,
      ),
    disks: () => sendForJson(target, { method: "GET", path: "/v1/disks" }, diskListSchema),
    events: (page: Page = {}) =>
      sendForJson(target, { method: "GET", path: "/v1/events", query: { ...page } }, eventListSchema),
    scrubStatus: () => sendForJson(target, { method: "GET", path: "/v1/scrub" }, scrubStatusSchema),

    /** The places kept for other appliances. */
    received: () => sendForJson(target, { method: "GET", path: "/v1/received" }, receivedListSchema),
    addReceived: (name: string, quotaBytes?: number) =>
      sendForJson(
        target,
        { method: "POST", path: "/v1/received", body: { name, ...(quotaBytes === undefined ? {} : { quotaBytes }) } },
        receivedTokenSchema,
      ),
    renewReceived: (name: string) =>
      sendForJson(
        target,
        { method: "POST", path: `/v1/received/${encodeURIComponent(name)}/token` },
        receivedTokenSchema,
      ),
    async removeReceived(name: string): Promise<void> {
      await send(target, { method: "DELETE", path: `/v1/received/${encodeURIComponent(name)}` });
    },

    volumes: () => volumePages("/v1/volumes"),
    volume: (name: string) => sendForJson(target, { method: "GET", path: volumePath(name) }, volumeSchema),
    createVolume: (name: string, sizeBytes: number, options: { vault?: string } = {}) =>
      sendForJson(target, { method: "POST", path: "/v1/volumes", body: { name, sizeBytes, ...options } }, volumeSchema),
    resizeVolume: (name: string, sizeBytes: number, options: { force?: boolean } = {}) =>
      sendForJson(target, { method: "PATCH", path: volumePath(name), body: { sizeBytes, ...options } }, volumeSchema),
    async deleteVolume(name: string, options: { force?: boolean } = {}): Promise<void> {
      await send(target, { method: "DELETE", path: volumePath(name), query: { ...options } });
    },

    resolve: (name: string, at: string, signal?: AbortSignal) =>
      sendForJson(
        target,
        { method: "GET", path: `${volumePath(name)}/moment`, query: { at }, signal },
        resolvedMomentSchema,
      ),
    /** @param range - `from` and `to` are moments; `buckets` 1 to 10,000 */
    timeline: (name: string, range: { from?: string; to?: string; buckets?: number } = {}, signal?: AbortSignal) =>
      sendForJson(
        target,
        { method: "GET", path: `${volumePath(name)}/timeline`, query: { ...range }, signal },
        timelineSchema,
      ),
    /** After an LSN, oldest first, or before one, newest first. */
    flushPoints: (name: string, range: { after?: number; before?: number; limit?: number } = {}) =>
      sendForJson(
        target,
        { method: "GET", path: `${volumePath(name)}/flush-points`, query: { ...range } },
        flushPointListSchema,
      ),

    /** Size, LSN and time of the image as of a moment. */
    async imageFacts(name: string, at = "now"): Promise<ImageFacts> {
      const response = await send(target, { method: "HEAD", path: `${volumePath(name)}/image`, query: { at } });
      return factsOf(response);
    },
    /** The bytes as of a moment. @param options.range - [start, end) in bytes */
    async image(
      name: string,
      at = "now",
      options: { range?: { start: number; end: number }; signal?: AbortSignal } = {},
    ): Promise<ImageStream> {
      const { range, signal } = options;
      const headers: Record<string, string> = range ? { range: `bytes=${range.start}-${range.end - 1}` } : {};
      const response = await send(target, {
        method: "GET",
        path: `${volumePath(name)}/image`,
        query: { at },
        headers,
        signal,
      });
      if (!response.body) throw new SternwayError("internal", "the image came without a body");
      return { ...factsOf(response), body: response.body };
    },
    /** Extents in order, then `end`. */
    extents: (name: string, options: { at?: string; offset?: number; length?: number } = {}, signal?: AbortSignal) =>
      sendForLines(
        target,
        { method: "GET", path: `${volumePath(name)}/extents`, query: { ...options }, signal },
        extentLineSchema,
      ),

    rollback: (name: string, to: string, options: { force?: boolean } = {}) =>
      sendForJson(
        target,
        { method: "POST", path: `${volumePath(name)}/rollback`, body: { to, ...options } },
        rollbackSchema,
      ),
    branches: (name: string) => volumePages(`${volumePath(name)}/branches`),
    branch: (name: string, at: string, newName: string, options: { vault?: string } = {}) =>
      sendForJson(
        target,
        { method: "POST", path: `${volumePath(name)}/branches`, body: { name: newName, at, ...options } },
        volumeSchema,
      ),
    bookmarks: (name: string) =>
      allPages(async (after) => {
        const path = `${volumePath(name)}/bookmarks`;
        const { bookmarks, next } = await sendForJson(
          target,
          { method: "GET", path, query: { after } },
          bookmarkListSchema,
        );
        return { entries: bookmarks, next };
      }),
    createBookmark: (name: string, bookmark: { name: string; at?: string; note?: string }) =>
      sendForJson(target, { method: "POST", path: `${volumePath(name)}/bookmarks`, body: bookmark }, bookmarkSchema),
    async deleteBookmark(name: string, bookmarkName: string): Promise<void> {
      await send(target, {
        method: "DELETE",
        path: `${volumePath(name)}/bookmarks/${encodeURIComponent(bookmarkName)}`,
      });
    },
    retention: (name: string) =>
      sendForJson(target, { method: "GET", path: `${volumePath(name)}/retention` }, retentionSchema),
    /** @param options.expire - although it lets go of something at once */
    setRetention: (name: string, policy: WirePolicy, options: { expire?: boolean } = {}) =>
      sendForJson(
        target,
        { method: "PUT", path: `${volumePath(name)}/retention`, body: { ...policy, ...options } },
        retentionSchema,
      ),
    clearRetention: (name: string) =>
      sendForJson(target, { method: "DELETE", path: `${volumePath(name)}/retention` }, retentionSchema),
    /** @param policy - instead of the volume's own */
    planRetention: (name: string, policy?: WirePolicy) =>
      sendForJson(
        target,
        {
          method: "POST",
          path: `${volumePath(name)}/retention/plan`,
          body: policy === undefined ? {} : { policy },
        },
        retentionPlanSchema,
      ),
    lockRetention: (name: string, seconds: number) =>
      sendForJson(
        target,
        { method: "PUT", path: `${volumePath(name)}/retention/lock`, body: { seconds } },
        retentionSchema,
      ),
    holds: async (name: string) =>
      (await sendForJson(target, { method: "GET", path: `${volumePath(name)}/holds` }, holdListSchema)).holds,
    createHold: (name: string, hold: { name: string; at?: string; note?: string }) =>
      sendForJson(target, { method: "POST", path: `${volumePath(name)}/holds`, body: hold }, holdSchema),
    async releaseHold(name: string, holdName: string): Promise<void> {
      await send(target, { method: "DELETE", path: `${volumePath(name)}/holds/${encodeURIComponent(holdName)}` });
    },
    /** Changed ranges in order, then `end`. @param to - default `now` */
    diff: (name: string, from: string, to?: string, signal?: AbortSignal) =>
      sendForLines(
        target,
        { method: "GET", path: `${volumePath(name)}/diff`, query: { from, to }, signal },
        diffLineSchema,
      ),
  };
}

export type Client = ReturnType<typeof createClient>;

function factsOf(response: Response): ImageFacts {
  const range = /\/(\d+)$/.exec(response.headers.get("content-range") ?? "");
  const sizeBytes = Number(range?.[1] ?? response.headers.get("content-length") ?? Number.NaN);
  const lsn = Number(response.headers.get(IMAGE_LSN_HEADER) ?? Number.NaN);
  if (!Number.isSafeInteger(sizeBytes) || !Number.isSafeInteger(lsn)) {
    throw new SternwayError("internal", "the image's headers lack its size or LSN: is this a Sternway appliance?");
  }
  return { sizeBytes, lsn, time: response.headers.get(IMAGE_TIME_HEADER) ?? "" };
}
