/**
 * Exports for clients that show a certificate of the appliance's own authority: each sees the disks of its machine and nothing else, and writes only if its credential says so. The
 * credential is looked up at every opening, so one that was taken back opens nothing more.
 */
import { errorText, SternwayError } from "../base/errors.ts";
import type { Micros } from "../base/units.ts";
import type { CredentialTable } from "../catalog/catalog.ts";
import type { NbdConnection, NbdExports, NbdPeer, NbdServer } from "../nbd/server.ts";
import type { CredentialMaker } from "../api/app.ts";
import { parseExportName } from "../volume/export-name.ts";
import type { OwnAuthority } from "./own-authority.ts";

export interface Grants {
  credentials: Pick<CredentialTable, "byFingerprint">;
  /** The machine that a volume belongs to. */
  machineOf: (volume: string) => string | undefined;
  /** The machines of all volumes, by their names. */
  owners: () => ReadonlyMap<string, string>;
  now: () => Micros;
  /** Told of each opening that is refused. Must not throw. */
  onRefused: (name: string, peer: NbdPeer, reason: string) => void;
}

/** @param exports - what there is, of all machines */
export function grantedExports(
  exports: NbdExports,
  { credentials, machineOf, owners, now, onRefused }: Grants,
): NbdExports {
  const credentialOf = ({ tlsFingerprint }: NbdPeer) =>
    tlsFingerprint === undefined ? undefined : credentials.byFingerprint(tlsFingerprint, now());
  /** @throws denied: nothing tells whether the volume exists */
  const check = (name: string, peer: NbdPeer): void => {
    const credential = credentialOf(peer);
    if (!credential) throw new SternwayError("denied", "this certificate was taken back or has expired");
    const { volume, moment } = parseExportName(name);
    if (machineOf(volume) !== credential.machine)
      throw new SternwayError("denied", `${volume} is not a disk of ${credential.machine}`);
    if (moment === undefined && credential.readOnly)
      throw new SternwayError("denied", `this credential reads the past alone: open ${volume}@MOMENT`);
  };
  return {
    async list(peer) {
      const credential = credentialOf(peer);
      if (!credential) return [];
      const listed = await exports.list(peer);
      const machines = owners();
      return listed.filter(({ name }) => {
        const { volume, moment } = parseExportName(name);
        return machines.get(volume) === credential.machine && (moment !== undefined || !credential.readOnly);
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
        check(name, peer);
        return opened;
      } catch (error) {
        onRefused(name, peer, errorText(error));
        await opened.device.close();
        throw error;
      }
    },
  };
}

/** Makes credentials, and ends the connections of those that are taken back. */
export function credentialMaker(
  authority: () => Promise<OwnAuthority>,
  servers: readonly NbdServer[],
): CredentialMaker {
  return {
    async make(name, days) {
      const own = await authority();
      const { certificatePem, keyPem, fingerprint } = own.client(name, days);
      const { certificatePem: authorityPem } = own;
      return { certificatePem, keyPem, authorityPem, fingerprint: Buffer.from(fingerprint).toString("hex") };
    },
    revoke(fingerprint, volumes) {
      const isMeant = ({ peer, exportName }: NbdConnection): boolean =>
        peer.tlsFingerprint === fingerprint &&
        (volumes === undefined || (exportName !== "" && volumes.includes(parseExportName(exportName).volume)));
      const reason = volumes === undefined ? "its credential was taken back" : "its disk left the machine";
      for (const server of servers) server.disconnect(isMeant, reason);
    },
  };
}
