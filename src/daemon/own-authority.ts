/**
 * The appliance's own certificate authority, `DATA/authority.pem`: made at the first need, kept for as long as the folder. It signs the certificates of the doors that
 * are open to the network (made anew at each start, so that they name the machine as it is called now) and those of the clients that may come through the block door.
 * Whoever trusts it once needs no further exception.
 */
import { X509Certificate } from "node:crypto";
import { hostname, networkInterfaces } from "node:os";
import type { Clock } from "../base/clock.ts";
import { publish, readWhole, type Disk } from "../base/disk.ts";
import { isSternwayError, SternwayError } from "../base/errors.ts";
import type { Random } from "../base/random.ts";
import { makeCertificate, parseCertificate, type OwnCertificate } from "../security/certificate.ts";

export interface OwnAuthorityOptions {
  disk: Disk;
  clock: Clock;
  random: Random;
  dataDir: string;
  /** Further names of this machine, from the configuration. */
  names: readonly string[];
}

const AUTHORITY_DAYS = 20 * 365;
/** What browsers at the most take from an authority that a person installed. */
const SERVER_DAYS = 825;
/** RFC 5280: a common name has up to 64 characters. */
const NAME_LENGTH_MAX = 64;

export class OwnAuthority {
  /** PEM: what clients are to trust. */
  readonly certificatePem: string;
  private readonly keyPem: string;
  private readonly name: string;
  private readonly options: OwnAuthorityOptions;

  private constructor(options: OwnAuthorityOptions, own: OwnCertificate) {
    this.options = options;
    this.certificatePem = own.certificatePem;
    this.keyPem = own.keyPem;
    this.name = new X509Certificate(own.certificatePem).subject.replace(/^CN=/, "");
  }

  /** @throws corrupt: the file is damaged; unavailable: it cannot be read or made */
  static async open(options: OwnAuthorityOptions): Promise<OwnAuthority> {
    const { disk, clock, random, dataDir } = options;
    const path = `${dataDir}/authority.pem`;
    try {
      return new OwnAuthority(options, parseCertificate(new TextDecoder().decode(await readWhole(disk, path)), path));
    } catch (error) {
      if (isSternwayError(error, "corrupt"))
        throw new SternwayError(
          "corrupt",
          `${error.message}; move it away to have another one made, which every client must then be told of`,
          error.facts,
          { cause: error },
        );
      if (!isSternwayError(error, "not_found")) throw error;
    }
    const name = `Sternway ${hostname()}`.slice(0, NAME_LENGTH_MAX);
    const made = makeCertificate(clock.wall(), random, { name, use: "authority", days: AUTHORITY_DAYS });
    await publish(disk, path, [new TextEncoder().encode(made.keyPem + made.certificatePem)]);
    return new OwnAuthority(options, made);
  }

  /** For a door of this machine: by all its names and addresses. PEM, with the authority behind it. */
  server(): { key: string; cert: string } {
    const { names } = this.options;
    const addresses = Object.values(networkInterfaces())
      .flatMap((each) => each ?? [])
      .map(({ address }) => address.split("%")[0]!);
    const hosts = [...new Set([hostname(), "localhost", ...names, "127.0.0.1", "::1", ...addresses])];
    const made = this.issue({ name: hostname().slice(0, NAME_LENGTH_MAX), use: "server", hosts, days: SERVER_DAYS });
    return { key: made.keyPem, cert: made.certificatePem + this.certificatePem };
  }

  /** For a client of the block door. @param name - up to 64 characters, for logs */
  client(name: string, days: number): OwnCertificate {
    return this.issue({ name: name.slice(0, NAME_LENGTH_MAX), use: "client", days });
  }

  private issue(wish: {
    name: string;
    use: "server" | "client";
    hosts?: readonly string[];
    days: number;
  }): OwnCertificate {
    const { clock, random } = this.options;
    return makeCertificate(clock.wall(), random, { ...wish, issuer: { name: this.name, keyPem: this.keyPem } });
  }
}
