/**
 * Signing in through a provider of OpenID Connect: authorization code with PKCE. What has to be remembered until the browser comes back lies in a cookie of that browser,
 * authenticated with a key that is made at each start: state, nonce and verifier, for ten minutes, each good for one return. So a return that this browser
 * did not begin counts for nothing, and neither does one that it already made.
 *
 * Who somebody is, is issuer and subject; the role comes from a claim, at each sign-in anew, and whoever has none of the roles is not let in. The ID token's
 * signature is checked as well as the connection that it came over.
 */
import { createHmac } from "node:crypto";
import * as openid from "openid-client";
import type { Clock } from "../base/clock.ts";
import { readWhole, type Disk } from "../base/disk.ts";
import { errorText, SternwayError } from "../base/errors.ts";
import type { Random } from "../base/random.ts";
import type { Account } from "../catalog/catalog.ts";
import type { Role } from "../contract/rights.ts";
import { ACCOUNT_NAME } from "../contract/accounts.ts";
import { nameSchema } from "../contract/fields.ts";
import type { Log } from "../observe/log.ts";
import type { Accounts } from "./accounts.ts";
import { readCookie, setCookie } from "./cookies.ts";
import { base64url, isSameSecret } from "./credentials.ts";

/** As config.json has it. */
export interface OidcSettings {
  issuer: string;
  clientId: string;
  clientSecretFile: string;
  /** Where the provider sends the browser back: this appliance's /v1/oidc/callback. */
  redirectUrl: string;
  roleClaim: string;
  /** By the claim's value. */
  roles: Record<string, Role>;
  /** Of the role self-service: which claim lists the machines. */
  machinesClaim?: string | undefined;
}

const FLOW_SECONDS = 600;
const ANSWER_SECONDS = 10;
/** Whatever the provider changes is seen after an hour at the latest. */
const METADATA_MICROS = 3600e6;
/** Flows that have come back; the oldest is forgotten first, and its code with the provider is used by then. */
const RETURNED_MAX = 4096;
const SECRET_LENGTH_MAX = 4096;
const MACHINES_MAX = 256;
/** Whoever has several roles gets the first of these. */
const BY_RANK: readonly Role[] = ["administrator", "operator", "auditor", "self-service"];

interface Flow {
  state: string;
  nonce: string;
  verifier: string;
  /** Microseconds since 1970. */
  until: number;
}

export class Oidc {
  private readonly settings: OidcSettings;
  private readonly accounts: Accounts;
  private readonly disk: Disk;
  private readonly clock: Clock;
  private readonly random: Random;
  private readonly log: Log;
  private readonly key: Uint8Array;
  private readonly returned = new Set<string>();
  private provider: { config: Promise<openid.Configuration>; at: number } | undefined;

  constructor(options: {
    settings: OidcSettings;
    accounts: Accounts;
    disk: Disk;
    clock: Clock;
    random: Random;
    log: Log;
  }) {
    this.settings = options.settings;
    this.accounts = options.accounts;
    this.disk = options.disk;
    this.clock = options.clock;
    this.random = options.random;
    this.log = options.log;
    this.key = options.random.bytes(32);
  }

  /** @returns where to send the browser, and the header `set-cookie` @throws unavailable: the provider cannot be reached */
  async start(secure: boolean): Promise<{ location: string; cookie: string }> {
    const config = await this.configuration();
    const flow: Flow = {
      state: base64url(this.random.bytes(32)),
      nonce: base64url(this.random.bytes(32)),
      verifier: base64url(this.random.bytes(32)),
      until: this.clock.wall() + FLOW_SECONDS * 1e6,
    };
    const location = openid.buildAuthorizationUrl(config, {
      redirect_uri: this.settings.redirectUrl,
      scope: "openid profile email",
      response_type: "code",
      code_challenge: await openid.calculatePKCECodeChallenge(flow.verifier),
      code_challenge_method: "S256",
      state: flow.state,
      nonce: flow.nonce,
    });
    return { location: location.href, cookie: setCookie("oidc", secure, this.sealed(flow), FLOW_SECONDS) };
  }

  /**
   * @param request.search - of the URL that the browser came back to, with its question mark
   * @returns the account that signs in
   * @throws denied, with facts.reason for the page: `expired`, `refused`, `role` or `name`; unavailable: the provider cannot be reached
   */
  async finish(request: { headers: Headers; secure: boolean; search: string }): Promise<Account> {
    const flow = this.flowOf(readCookie(request.headers, "oidc", request.secure));
    if (!flow || this.returned.has(flow.state)) {
      throw denied("expired", "this sign-in was not begun here, or took longer than ten minutes: begin anew");
    }
    this.returned.add(flow.state);
    const [oldest] = this.returned;
    if (this.returned.size > RETURNED_MAX && oldest !== undefined) this.returned.delete(oldest);
    const config = await this.configuration();
    const url = new URL(this.settings.redirectUrl);
    url.search = request.search;
    const claims = await this.claimsOf(config, url, flow);
    return this.accountOf(claims);
  }

  /** The header `set-cookie` that takes the flow's cookie away. */
  forgotten(secure: boolean): string {
    return setCookie("oidc", secure, "", 0);
  }

  private async claimsOf(config: openid.Configuration, url: URL, flow: Flow): Promise<openid.IDToken> {
    try {
      const tokens = await openid.authorizationCodeGrant(config, url, {
        pkceCodeVerifier: flow.verifier,
        expectedState: flow.state,
        expectedNonce: flow.nonce,
        idTokenExpected: true,
      });
      const claims = tokens.claims();
      if (claims) return claims;
    } catch (error) {
      // Its texts name claims and codes, no tokens; only the log gets them.
      this.log.warn({ reason: errorText(error) }, "a sign-in through the provider was refused");
    }
    throw denied("refused", "the provider did not let you in, or its answer does not count: the log says why");
  }

  private accountOf(claims: openid.IDToken): Account {
    const values = textsOf(claims[this.settings.roleClaim]);
    const held = new Set(values.map((value) => roleIn(this.settings.roles, value)));
    const role = BY_RANK.find((each) => held.has(each));
    if (role === undefined) {
      throw denied("role", "the provider gives you no role on this appliance: ask whoever looks after it");
    }
    const { machinesClaim } = this.settings;
    const machines = machinesClaim === undefined ? [] : textsOf(claims[machinesClaim]).slice(0, MACHINES_MAX);
    try {
      return this.accounts.fromProvider({
        identity: JSON.stringify([claims.iss, claims.sub]),
        name: nameIn(claims),
        role,
        machines: machines.filter((name) => nameSchema.safeParse(name).success),
      });
    } catch (error) {
      if (!(error instanceof SternwayError) || (error.kind !== "denied" && error.kind !== "invalid")) throw error;
      throw denied("name", error.message);
    }
  }

  /** The provider's metadata and our secret, read when they are first needed and again after an hour or a failure. */
  private async configuration(): Promise<openid.Configuration> {
    const now = this.clock.monotonic();
    if (!this.provider || now - this.provider.at > METADATA_MICROS) {
      this.provider = { config: this.discovered(), at: now };
    }
    const mine = this.provider;
    try {
      return await mine.config;
    } catch (error) {
      if (this.provider === mine) this.provider = undefined;
      this.log.warn({ reason: errorText(error) }, "the provider of OpenID Connect cannot be used");
      throw new SternwayError("unavailable", "the provider of OpenID Connect cannot be used now: the log says why", {
        reason: "provider",
      });
    }
  }

  private async discovered(): Promise<openid.Configuration> {
    const { issuer, clientId, clientSecretFile } = this.settings;
    const secret = new TextDecoder().decode(await readWhole(this.disk, clientSecretFile)).trim();
    if (secret === "" || secret.length > SECRET_LENGTH_MAX) {
      throw new SternwayError("invalid", `${clientSecretFile} is empty or too long for a client secret`);
    }
    const url = new URL(issuer);
    // The configuration allows plain HTTP on loopback alone.
    const insecure = url.protocol === "http:" ? [openid.allowInsecureRequests] : [];
    const config = await openid.discovery(url, clientId, undefined, openid.ClientSecretBasic(secret), {
      execute: [...insecure, openid.enableNonRepudiationChecks],
      timeout: ANSWER_SECONDS,
    });
    config.timeout = ANSWER_SECONDS;
    return config;
  }

  private sealed(flow: Flow): string {
    const text = Buffer.from(JSON.stringify(flow)).toString("base64url");
    return `${text}.${this.seal(text)}`;
  }

  private flowOf(cookie: string | undefined): Flow | undefined {
    const [text = "", seal = ""] = (cookie ?? "").split(".");
    if (!isSameSecret(seal, this.seal(text))) return undefined;
    // Only what we wrote has this seal.
    const flow = JSON.parse(Buffer.from(text, "base64url").toString()) as Flow;
    return flow.until > this.clock.wall() ? flow : undefined;
  }

  private seal(text: string): string {
    return createHmac("sha256", this.key).update(text).digest("base64url");
  }
}

const denied = (reason: string, message: string): SternwayError =>
  new SternwayError("denied", message, { status: 401, reason });

const roleIn = (roles: Record<string, Role>, value: string): Role | undefined =>
  Object.hasOwn(roles, value) ? roles[value] : undefined;

const textsOf = (claim: unknown): string[] =>
  (Array.isArray(claim) ? claim : [claim]).filter((value): value is string => typeof value === "string");

/** What the provider calls somebody, as far as it can be an account's name. @throws denied */
function nameIn(claims: openid.IDToken): string {
  for (const claim of [claims["preferred_username"], claims["email"], claims.sub]) {
    const name = typeof claim === "string" ? claim.toLowerCase() : "";
    if (ACCOUNT_NAME.test(name)) return name;
  }
  throw new SternwayError("denied", "the provider gives no name that an account can have");
}
