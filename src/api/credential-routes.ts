/** Routes of the credentials with which machines' disks are reached through the block door. */
import type { OpenAPIHono } from "@hono/zod-openapi";
import { SternwayError } from "../base/errors.ts";
import { formatTime, micros } from "../base/units.ts";
import type { Account, Credential } from "../catalog/catalog.ts";
import { CREDENTIAL_DAYS_DEFAULT, type WireCredential } from "../contract/credentials.ts";
import { routes } from "../contract/contract.ts";
import { ROLE_RIGHTS } from "../contract/rights.ts";
import type { ApiContext, ApiEnv } from "./appliance.ts";
import { recordEvent } from "./record.ts";

const DAY_MICROS = 86_400_000_000;
/** A machine with more clients than this is none. */
const CREDENTIALS_MAX = 64;

/** Makes credentials and ends their connections. */
export interface CredentialMaker {
  /** @param days - how long it holds */
  make(
    name: string,
    days: number,
  ): Promise<{ certificatePem: string; keyPem: string; authorityPem: string; fingerprint: string }>;
  /**
   * A user of the appliance's own system.
   * @param text - its name or number
   * @throws not_found: there is none; invalid: it needs no credential, or can have none; unavailable: it cannot be told
   */
  user(text: string): Promise<{ uid: number; user: string }>;
  /** Ends the connections of a credential. @param volumes - those to these alone */
  revoke(credential: Pick<Credential, "id" | "fingerprint">, volumes?: readonly string[]): void;
}

export function registerCredentialRoutes(app: OpenAPIHono<ApiEnv>, context: ApiContext): void {
  const { catalog } = context;
  const { machines } = context.automation;

  app.openapi(routes.listCredentials, (c) => {
    const { name } = c.req.valid("param");
    machines.get(name);
    return c.json({ credentials: catalog.credentials.ofMachine(name).map(wireCredential) }, 200);
  });

  app.openapi(routes.createCredential, async (c) => {
    const { name: machine } = c.req.valid("param");
    const { name, readOnly = true, days = CREDENTIAL_DAYS_DEFAULT, user } = c.req.valid("json");
    const principal = c.get("principal")!;
    if (!readOnly && !ROLE_RIGHTS[principal.role].includes("administer")) {
      throw new SternwayError("denied", "a credential that may write is made by administrators alone", { readOnly });
    }
    // Who has an account on the appliance's system is not for others to ask.
    if (user !== undefined && !ROLE_RIGHTS[principal.role].includes("administer")) {
      throw new SternwayError(
        "denied",
        "a credential for a user of the appliance's system is made by administrators alone",
      );
    }
    if (principal.by === "token" && !ROLE_RIGHTS[principal.role].includes("administer")) {
      throw new SternwayError("denied", "a credential would outlast the API token: sign in to make one");
    }
    const { createdAt } = machines.get(machine);
    if (catalog.credentials.ofMachine(machine).length >= CREDENTIALS_MAX) {
      throw new SternwayError("conflict", `${machine} has ${CREDENTIALS_MAX} credentials: take some back first`);
    }
    const made =
      user === undefined
        ? await context.credentials.make(`${machine}: ${name}`, days)
        : await context.credentials.user(user);
    // Both take a while: what was forgotten meanwhile must not leave one for a machine of the same name.
    if (machines.get(machine).createdAt !== createdAt)
      throw new SternwayError("conflict", `${machine} is another machine now`);
    const now = context.now();
    const common = {
      machine,
      name,
      readOnly,
      createdBy: principal.name,
      createdAt: micros(now),
      expiresAt: micros(now + days * DAY_MICROS),
    };
    const may = readOnly ? "read the past of" : "read and write";
    const whose = "uid" in made ? `${name} for the local user ${made.user} (uid ${made.uid})` : name;
    const message = `${principal.name} made the credential ${whose}, which may ${may} the disks of ${machine}`;
    const event = { level: "info", kind: "credential-made", subject: machine, message } as const;
    if ("uid" in made) {
      const added = catalog.credentials.add({ ...common, ...made });
      recordEvent(context, event);
      const { localSocketPath: socketPath } = context.doors();
      return c.json({ ...wireCredential(added), ...(socketPath === undefined ? {} : { socketPath }) }, 201);
    }
    const { fingerprint, ...pems } = made;
    const added = catalog.credentials.add({ ...common, fingerprint });
    recordEvent(context, event);
    return c.json({ ...wireCredential(added), ...pems }, 201);
  });

  app.openapi(routes.deleteCredential, (c) => {
    const { name: machine, id } = c.req.valid("param");
    const found = catalog.credentials.ofMachine(machine).find((each) => each.id === id);
    if (!found) throw new SternwayError("not_found", `${machine} has no credential ${id}`);
    catalog.credentials.remove(machine, id);
    context.credentials.revoke(found);
    const message = `the credential ${found.name} of ${machine} was taken back`;
    recordEvent(context, { level: "info", kind: "credential-removed", subject: machine, message });
    return c.body(null, 204);
  });
}

/**
 * Takes back the credentials that an account made and could not make any more: of machines that are not its own now, or all of them. What operators and administrators made
 * is the machine's, and outlasts them, as do those that may write: a disk that is in use must not go with whoever once connected it.
 *
 * @param account - as it is now; undefined: it was removed, and had the role self-service
 */
export function takeBackCredentials(
  context: ApiContext,
  name: string,
  account: Pick<Account, "role" | "machines"> | undefined,
): void {
  for (const credential of context.catalog.credentials.madeBy(name)) {
    const { id, machine, readOnly } = credential;
    if (!readOnly || (account && mayMake(account, machine))) continue;
    context.catalog.credentials.remove(machine, id);
    context.credentials.revoke(credential);
    const message = `the credential ${credential.name} of ${machine} was taken back: ${name}, who made it, may not have it any more`;
    recordEvent(context, { level: "info", kind: "credential-removed", subject: machine, message });
  }
}

function mayMake({ role, machines }: Pick<Account, "role" | "machines">, machine: string): boolean {
  return ROLE_RIGHTS[role].includes("data") && (role !== "self-service" || machines.includes(machine));
}

function wireCredential({ id, name, readOnly, createdBy, createdAt, expiresAt, ...of }: Credential): WireCredential {
  const { fingerprint, uid, user } = of;
  return {
    id,
    name,
    ...(fingerprint === null ? {} : { fingerprint }),
    ...(uid === null ? {} : { user: { uid, name: user ?? String(uid) } }),
    readOnly,
    createdBy,
    createdAt: formatTime(createdAt),
    expiresAt: formatTime(expiresAt),
  };
}
