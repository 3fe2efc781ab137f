/** The client's methods of set-up, accounts and tokens: what the CLI does over the control socket, and the console in a browser. */
import { sessionSchema, setupSchema } from "./access.ts";
import {
  accountChangedSchema,
  accountListSchema,
  accountSchema,
  tokenListSchema,
  tokenMadeSchema,
} from "./accounts.ts";
import type { Role } from "./rights.ts";
import { sessionListSchema, sessionsEndedSchema } from "./sessions.ts";
import { send, sendForJson, type ClientTarget } from "./transport.ts";

const accountPath = (name: string): string => `/v1/accounts/${encodeURIComponent(name)}`;

export function accessClient(target: ClientTarget) {
  return {
    setup: () => sendForJson(target, { method: "GET", path: "/v1/setup" }, setupSchema),
    /** @param wish.code - not needed over the control socket */
    setUp: (wish: { code?: string; name: string; password: string }) =>
      sendForJson(target, { method: "POST", path: "/v1/setup", body: wish }, sessionSchema),
    session: () => sendForJson(target, { method: "GET", path: "/v1/session" }, sessionSchema),
    accounts: async () =>
      (await sendForJson(target, { method: "GET", path: "/v1/accounts" }, accountListSchema)).accounts,
    account: (name: string) => sendForJson(target, { method: "GET", path: accountPath(name) }, accountSchema),
    addAccount: (account: { name: string; role: Role; machines?: string[]; password: string }) =>
      sendForJson(target, { method: "POST", path: "/v1/accounts", body: account }, accountSchema),
    changeAccount: (name: string, change: { role?: Role; machines?: string[] }) =>
      sendForJson(target, { method: "PATCH", path: accountPath(name), body: change }, accountChangedSchema),
    async removeAccount(name: string): Promise<void> {
      await send(target, { method: "DELETE", path: accountPath(name) });
    },
    async setAccountPassword(name: string, password: string): Promise<void> {
      await send(target, { method: "PUT", path: `${accountPath(name)}/password`, body: { password } });
    },
    unlockAccount: (name: string) =>
      sendForJson(target, { method: "POST", path: `${accountPath(name)}/unlock` }, accountSchema),
    turnAccountTotpOff: (name: string) =>
      sendForJson(target, { method: "DELETE", path: `${accountPath(name)}/totp` }, accountSchema),
    /** @param account - one's own if left out; needed over the control socket */
    sessions: async (account?: string) =>
      (await sendForJson(target, { method: "GET", path: "/v1/sessions", query: { account } }, sessionListSchema))
        .sessions,
    /** All but the one that asks. @returns how many */
    endSessions: async (account?: string): Promise<number> =>
      (await sendForJson(target, { method: "DELETE", path: "/v1/sessions", query: { account } }, sessionsEndedSchema))
        .ended,
    async endSession(id: string): Promise<void> {
      await send(target, { method: "DELETE", path: `/v1/sessions/${encodeURIComponent(id)}` });
    },
    tokens: async () => (await sendForJson(target, { method: "GET", path: "/v1/tokens" }, tokenListSchema)).tokens,
    /** @param wish.account - over the control socket: whose it is */
    addToken: (wish: { name: string; role?: Role; machines?: string[]; expiresInDays?: number; account?: string }) =>
      sendForJson(target, { method: "POST", path: "/v1/tokens", body: wish }, tokenMadeSchema),
    async removeToken(id: string): Promise<void> {
      await send(target, { method: "DELETE", path: `/v1/tokens/${encodeURIComponent(id)}` });
    },
  };
}
