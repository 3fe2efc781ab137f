import { afterAll, beforeAll, beforeEach, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Access, OidcSettings } from "../../../src/access/access.ts";
import type { Account } from "../../../src/catalog/catalog.ts";
import { OIDC_CLIENT, startOidcProvider, type OidcProvider } from "../../support/oidc-provider.ts";
import { browser, failure, openAccessBed, PASSWORD, signingIn } from "./access-bed.ts";

const REDIRECT = "http://127.0.0.1:7480/v1/oidc/callback";
const USUAL = { sub: "1234", preferred_username: "Carl", groups: ["storage-admins"] };
let provider: OidcProvider;
let dir: string;
let settings: OidcSettings;

beforeAll(async () => {
  provider = await startOidcProvider();
  dir = mkdtempSync(join(tmpdir(), "sternway-oidc-"));
  writeFileSync(join(dir, "secret"), `${OIDC_CLIENT.secret}\n`);
  settings = {
    issuer: provider.issuer,
    clientId: OIDC_CLIENT.id,
    clientSecretFile: join(dir, "secret"),
    redirectUrl: REDIRECT,
    roleClaim: "groups",
    roles: { "storage-admins": "administrator", readers: "auditor", owners: "self-service" },
    machinesClaim: "machines",
  };
});
afterAll(() => {
  provider[Symbol.dispose]();
  rmSync(dir, { recursive: true, force: true });
});
beforeEach(() => {
  Object.assign(provider, { claims: USUAL, forges: false, refuses: false, exchanges: 0 });
});

/** A browser's whole way. @param bend - changes what it brings back */
async function signInBy(
  access: Access,
  bend: (back: { url: URL; cookie: string }) => void = () => {},
): Promise<Account> {
  const { location, cookie } = await access.oidc!.start(false);
  const back = { url: await provider.authorize(location), cookie };
  bend(back);
  return await access.signInThroughProvider({
    headers: browser(back.cookie),
    secure: false,
    search: back.url.search,
  });
}

const reasonOf = async (work: Promise<unknown>): Promise<unknown> =>
  ((await failure(work)) as { facts?: Record<string, unknown> } | undefined)?.facts?.["reason"];

describe("signing in through a provider", () => {
  test("makes an account with the role of its claim, which has no password", async () => {
    using bed = await openAccessBed({ oidc: settings });
    expect(await signInBy(bed.access)).toMatchObject({ name: "carl", role: "administrator", passwordHash: null });
    expect(await signInBy(bed.access)).toMatchObject({ name: "carl" });
    expect(bed.access.accounts.list()).toHaveLength(1);
    expect(await failure(bed.access.signIn(signingIn("carl", "")))).toMatchObject({ kind: "denied" });
    expect(await failure(bed.access.accounts.setPassword("carl", PASSWORD))).toMatchObject({ kind: "invalid" });
  });

  test("takes the role, the machines and who it is from each sign-in anew", async () => {
    using bed = await openAccessBed({ oidc: settings });
    const { access } = bed;
    const { cookie } = access.sessions.open(await signInBy(access), {
      headers: new Headers(),
      secure: false,
      from: "",
    });
    provider.claims = { ...USUAL, preferred_username: "renamed", groups: "owners", machines: ["web", "../x", 7] };
    expect(await signInBy(access)).toMatchObject({ name: "carl", role: "self-service", machines: ["web"] });
    const asked = { method: "GET", headers: browser(cookie), secure: false, from: "" };
    expect(await access.authenticate(asked)).toBeUndefined();
  });

  test("lets nobody in without a role, whatever his claims look like", async () => {
    using bed = await openAccessBed({ oidc: settings });
    for (const groups of [undefined, [], "nobody", { "storage-admins": true }, ["constructor"], "__proto__"]) {
      provider.claims = { ...USUAL, groups };
      expect(await reasonOf(signInBy(bed.access))).toBe("role");
    }
    expect(bed.access.accounts.list()).toEqual([]);
  });

  test("never leads to an account that is somebody else's", async () => {
    using bed = await openAccessBed({ oidc: settings });
    const { access } = bed;
    await access.accounts.add({ name: "anna", role: "auditor", machines: [], password: PASSWORD });
    provider.claims = { ...USUAL, preferred_username: "anna" };
    expect(await reasonOf(signInBy(access))).toBe("name");
    provider.claims = USUAL;
    await signInBy(access);
    provider.claims = { ...USUAL, sub: "9999" };
    expect(await reasonOf(signInBy(access))).toBe("name");
    provider.claims = { ...USUAL, sub: "9999", preferred_username: "root" };
    expect(await reasonOf(signInBy(access))).toBe("name");
    expect(access.accounts.get("anna").role).toBe("auditor");
  });

  test("refuses a return that this browser did not begin, or made already", async () => {
    using bed = await openAccessBed({ oidc: settings });
    const { access } = bed;
    const other = await access.oidc!.start(false);
    expect(await reasonOf(signInBy(access, (back) => (back.cookie = "")))).toBe("expired");
    expect(await reasonOf(signInBy(access, (back) => (back.cookie = back.cookie.replace(".", "A."))))).toBe("expired");
    expect(await reasonOf(signInBy(access, (back) => (back.cookie = other.cookie)))).toBe("refused");
    expect(await reasonOf(signInBy(access, (back) => back.url.searchParams.set("state", "x")))).toBe("refused");
    expect(await reasonOf(signInBy(access, (back) => back.url.searchParams.delete("state")))).toBe("refused");
    expect(provider.exchanges).toBe(0);
    let kept: { url: URL; cookie: string } | undefined;
    await signInBy(access, (back) => (kept = back));
    const again = { headers: browser(kept!.cookie), secure: false, search: kept!.url.search };
    expect(await reasonOf(access.signInThroughProvider(again))).toBe("expired");
    expect(await reasonOf(signInBy(access, () => bed.pass(601)))).toBe("expired");
  });

  test("refuses ID tokens that are forged, foreign, old or of another sign-in", async () => {
    using bed = await openAccessBed({ oidc: settings });
    for (const wrong of [
      { iss: "http://127.0.0.1:1" },
      { aud: "somebody-else" },
      { exp: 1 },
      { nonce: "another" },
      { nonce: undefined },
      { sub: undefined },
    ]) {
      provider.claims = { ...USUAL, ...wrong };
      expect([wrong, await reasonOf(signInBy(bed.access))]).toEqual([wrong, "refused"]);
    }
    provider.claims = USUAL;
    provider.forges = true;
    expect(await reasonOf(signInBy(bed.access))).toBe("refused");
    provider.forges = false;
    provider.refuses = true;
    expect(await reasonOf(signInBy(bed.access))).toBe("refused");
    provider.refuses = false;
    expect(await reasonOf(signInBy(bed.access, (back) => back.url.searchParams.set("code", "stolen")))).toBe("refused");
    expect(bed.access.accounts.list()).toEqual([]);
  });

  test("a provider out of reach, or a secret that is missing, is tried again at the next sign-in", async () => {
    const clientSecretFile = join(dir, "later");
    using bed = await openAccessBed({ oidc: { ...settings, clientSecretFile } });
    expect(await failure(bed.access.oidc!.start(false))).toMatchObject({ kind: "unavailable" });
    writeFileSync(clientSecretFile, "not it");
    expect(await reasonOf(signInBy(bed.access))).toBe("refused");
    expect(bed.logged.join("")).not.toContain("not it");
  });

  test("its cookie comes back with what the provider sends, and with nothing that scripts see", async () => {
    using bed = await openAccessBed({ oidc: settings });
    expect((await bed.access.oidc!.start(true)).cookie).toMatch(
      /^__Host-sternway-oidc=[\w-]+\.[\w-]{43}; Path=\/; HttpOnly; SameSite=Lax; Secure; Max-Age=600$/,
    );
  });
});
