/**
 * The client's methods that the console alone needs: a session in a browser with one's own password and second factor, which the CLI does without over the
 * control socket; and starting work without following it, for a page of its own does that.
 */
import { beginTotp, confirmTotp, sessionSchema } from "./access.ts";
import { jobSchema } from "./jobs.ts";
import { send, sendForJson, type ClientTarget } from "./transport.ts";

const totpBegunSchema = beginTotp.responses[200].content["application/json"].schema;
const totpOnSchema = confirmTotp.responses[200].content["application/json"].schema;

const vaultPath = (name: string): string => `/v1/vaults/${encodeURIComponent(name)}`;

export function consoleClient(target: ClientTarget) {
  return {
    /** @throws denied with `facts.needsCode` when only the code of the second factor is missing */
    signIn: (wish: { name: string; password: string; code?: string }) =>
      sendForJson(target, { method: "POST", path: "/v1/session", body: wish }, sessionSchema),
    async signOut(): Promise<void> {
      await send(target, { method: "DELETE", path: "/v1/session" });
    },
    /** @returns the session as it goes on, with another CSRF token */
    changePassword: (password: string, newPassword: string) =>
      sendForJson(
        target,
        { method: "PUT", path: "/v1/account/password", body: { password, newPassword } },
        sessionSchema,
      ),
    beginTotp: (password: string) =>
      sendForJson(target, { method: "POST", path: "/v1/account/totp", body: { password } }, totpBegunSchema),
    confirmTotp: (code: string) =>
      sendForJson(target, { method: "PUT", path: "/v1/account/totp", body: { code } }, totpOnSchema),
    async turnTotpOff(password: string, code: string): Promise<void> {
      await send(target, { method: "POST", path: "/v1/account/totp/off", body: { password, code } });
    },
    /** @returns the job, which goes on by itself */
    startWork: (work: "check" | "scrub" | "gc", request: { vault?: string; quick?: boolean } = {}) =>
      sendForJson(target, { method: "POST", path: `/v1/${work}`, body: request }, jobSchema),
    startSync: (vault: string, tier: string) =>
      sendForJson(target, { method: "POST", path: `${vaultPath(vault)}/tiers/sync`, body: { tier } }, jobSchema),
    startVerify: (vault: string, tier: string, repair: boolean) =>
      sendForJson(
        target,
        { method: "POST", path: `${vaultPath(vault)}/tiers/${encodeURIComponent(tier)}/verify`, body: { repair } },
        jobSchema,
      ),
  };
}
