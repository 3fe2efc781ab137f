/**
 * Exports for clients with credentials: those that show a certificate of the appliance's own authority, and users of its own system. Each sees the disks of its machine (a user:
 * machines) and nothing else, and writes only if its credential says so. Credentials are looked up at every opening, so one that was taken back or has expired opens nothing more;
 * what it opened before is ended.
 */
import type { Clock, Timer } from "../base/clock.ts";
import { errorText, isSternwayError, SternwayError } from "../base/errors.ts";
import type { Micros } from "../base/units.ts";
import type { Credential, CredentialTable } from "../catalog/catalog.ts";
import type { NbdConnection, NbdExports, NbdPeer, NbdServer } from "../nbd/server.ts";
import type { CredentialMaker } from "../api/app.ts";
import { parseExportName } from "../volume/export-name.ts";
import type { LocalUsers } from "./local-users.ts";
import type { OwnAuthority } from "./own-authority.ts";

/** A connection outlives its credential by so much at the most. */
const EXPIRY_LOOK_MS = 2_000;

export interface Grants {
  credentials: Pick<CredentialTable, "byFingerprint" | "ofUser">;
  users: Pick<LocalUsers, "isOwner" | "isAmbiguous">;
  /** The machine that a volume belongs to. */
  machineOf: (volume: string) => string | undefined;
  /** The machines of all volumes, by their names. */
  owners: () => ReadonlyMap<string, string>;
  now: () => Micros;
  /** Told of each opening that is refused. Must not throw. */
  onRefused: (name: string, peer: NbdPeer, reason: string) => void;
}

/** Exports by credentials, and what is known of those who opened them. */
export interface GrantedExports extends NbdExports {
  /** The credential by which a client opened its disk. Undefined: it has opened none, or needs no credential. */
  openedBy(peer: NbdPeer): Credential | undefined;
  /** Whether a client has no credential, and needs one. */
  isStranger(peer: NbdPeer): boolean;
}

/** @param exports - what there is, of all machines */
export function grantedExports(exports: NbdExports, grants: Grants): GrantedExports {
  const { credentials, users, machineOf, owners, now, onRefused } = grants;
  /** By the object that stands for a connection: it goes with it. */
  const letIn = new WeakMap<NbdPeer, Credential>();

  /** Those that hold now. @returns "all": every disk is open to this client */
  function heldBy({ process, tlsFingerprint }: NbdPeer): "all" | readonly Credential[] {
    if (process) {
      if (users.isOwner(process.uid)) return "all";
      if (users.isAmbiguous(process.uid)) return [];
      const at = now();
      return credentials.ofUser(process.uid).filter(({ expiresAt }) => expiresAt > at);
    }
    const credential = tlsFingerprint === undefined ? undefined : credentials.byFingerprint(tlsFingerprint, now());
    return credential ? [credential] : [];
  }

  /** @returns the credential that opens it @throws denied: nothing tells whether the volume exists */
  function check(name: string, peer: NbdPeer): Credential | undefined {
    const held = heldBy(peer);
    if (held === "all") return undefined;
    if (held.length === 0) throw new SternwayError("denied", strangerText(peer));
    const { volume, moment } = parseExportName(name);
    const machine = machineOf(volume);
    const ofMachine = held.filter((credential) => credential.machine === machine);
    if (ofMachine.length === 0) {
      const machines = [...new Set(held.map((credential) => credential.machine))].join(", ");
      throw new SternwayError("denied", `${volume} is not a disk of ${machines}`);
    }
    const fitting = ofMachine.filter(({ readOnly }) => moment !== undefined || !readOnly);
    if (fitting.length === 0)
      throw new SternwayError("denied", `this credential reads the past alone: open ${volume}@MOMENT`);
    // The one that lasts longest: a connection ends with the credential that opened it.
    return fitting.reduce((best, each) => (each.expiresAt > best.expiresAt ? each : best));
  }

  return {
    openedBy: (peer) => letIn.get(peer),
    isStranger(peer) {
      try {
        return heldBy(peer).length === 0;
      } catch (error) {
        // The catalog cannot be read: nobody is known, and whoever asks for a disk is told why.
        if (isSternwayError(error)) return true;
        throw error;
      }
    },
    async list(peer) {
      const held = heldBy(peer);
      if (held.length === 0) return [];
      const listed = await exports.list(peer);
      if (held === "all") return listed;
      const machines = owners();
      return listed.filter(({ name }) => {
        const { volume, moment } = parseExportName(name);
        return held.some(
          ({ machine, readOnly }) => machines.get(volume) === machine && (moment !== undefined || !readOnly),
        );
      });
    },
    async describe(name, peer) {
      check(name, peer);
      return await exports.describe(name, peer);
    },
    async open(name, peer) {
      try {
        check(name, peer);
      } catch (error) {
        onRefused(name, peer, errorText(error));
        throw error;
      }
      const opened = await exports.open(name, peer);
      try {
        // Meanwhile the credential may have been taken back, or the disk given to another machine.
        const credential = check(name, peer);
        if (credential) letIn.set(peer, credential);
        return opened;
      } catch (error) {
        onRefused(name, peer, errorText(error));
        await opened.device.close();
        throw error;
      }
    },
  };
}

/** Names of local users, for logs and the audit: of those to whom every disk is open, and as credentials have them. */
export function userNames(
  users: Pick<LocalUsers, "nameOf">,
  credentials: Pick<CredentialTable, "ofUser">,
): (uid: number) => string | undefined {
  return (uid) => {
    try {
      return users.nameOf(uid) ?? credentials.ofUser(uid).at(-1)?.user ?? undefined;
    } catch (error) {
      // The catalog cannot be read: the number is told without the name.
      if (isSternwayError(error)) return undefined;
      throw error;
    }
  };
}

function strangerText({ process }: NbdPeer): string {
  if (!process) return "this certificate was taken back or has expired";
  return `uid ${process.uid} has no credential of a machine, or it has expired: \`sternway credential add MACHINE --user ${process.uid}\` makes one`;
}

/** Makes credentials, and ends the connections of those that are taken back. */
export function credentialMaker(options: {
  authority: () => Promise<OwnAuthority>;
  users: Pick<LocalUsers, "find">;
  servers: readonly NbdServer[];
  granted: Pick<GrantedExports, "openedBy">;
}): CredentialMaker {
  const { authority, users, servers, granted } = options;
  return {
    user: (text) => users.find(text),
    async make(name, days) {
      const own = await authority();
      const { certificatePem, keyPem, fingerprint } = own.client(name, days);
      const { certificatePem: authorityPem } = own;
      return { certificatePem, keyPem, authorityPem, fingerprint: Buffer.from(fingerprint).toString("hex") };
    },
    revoke({ id, fingerprint }, volumes) {
      const isMeant = ({ peer, exportName }: NbdConnection): boolean =>
        (granted.openedBy(peer)?.id === id || (fingerprint !== null && peer.tlsFingerprint === fingerprint)) &&
        (volumes === undefined || (exportName !== "" && volumes.includes(parseExportName(exportName).volume)));
      const reason = volumes === undefined ? "its credential was taken back" : "its disk left the machine";
      for (const server of servers) server.disconnect(isMeant, reason);
    },
  };
}

/**
 * Ends connections whose credential has expired, at most {@link EXPIRY_LOOK_MS} and what is in flight later. By looking, not by a timer for each: clocks are set, and timers do
 * not reach as far as credentials last.
 */
export function endExpired(
  clock: Clock,
  servers: readonly NbdServer[],
  granted: Pick<GrantedExports, "openedBy">,
): { stop(): void } {
  let timer: Timer;
  const look = (): void => {
    const now = clock.wall();
    const hasExpired = ({ peer }: NbdConnection): boolean => {
      const credential = granted.openedBy(peer);
      return credential !== undefined && credential.expiresAt <= now;
    };
    for (const server of servers) server.disconnect(hasExpired, "its credential has expired");
    timer = clock.timer(EXPIRY_LOOK_MS, look);
  };
  timer = clock.timer(EXPIRY_LOOK_MS, look);
  return { stop: () => timer.cancel() };
}
