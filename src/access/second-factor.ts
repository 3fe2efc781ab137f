/**
 * The second factor: codes of six digits that an authenticator shows (RFC 6238: SHA-1, 30 s, one step of leeway either way), and ten recovery codes for whoever
 * lost it. Every code works once: of the shown ones the step is kept, of the recovery codes a hash, which goes with its use.
 */
import { Secret, TOTP } from "otpauth";
import type { Clock } from "../base/clock.ts";
import { SternwayError } from "../base/errors.ts";
import type { Random } from "../base/random.ts";
import type { Account, AccountTable } from "../catalog/catalog.ts";
import { hashOf, newCode, plainCode } from "./credentials.ts";

const ISSUER = "Sternway";
const STEP_SECONDS = 30;
const STEPS_OF_LEEWAY = 1;
/** RFC 4226, section 4: as long as the hash. */
const SECRET_BYTES = 20;
const RECOVERY_CODES = 10;
/** 80 random bits: a plain hash of one can be kept. */
const RECOVERY_GROUPS = 4;
const SHOWN = /^\d{6}$/;

export class SecondFactor {
  private readonly accounts: AccountTable;
  private readonly clock: Clock;
  private readonly random: Random;

  constructor(options: { accounts: AccountTable; clock: Clock; random: Random }) {
    this.accounts = options.accounts;
    this.clock = options.clock;
    this.random = options.random;
  }

  /** Makes a secret, which counts from {@link confirm} on. @returns it, and the URI that authenticators read as a picture */
  begin({ name }: Account): { secret: string; uri: string } {
    const secret = new Secret({ buffer: new Uint8Array(this.random.bytes(SECRET_BYTES)).buffer }).base32;
    this.accounts.update(name, { totpPending: secret });
    return { secret, uri: totpOf(name, secret).toString() };
  }

  /** Turns it on, by a code that shows that the secret arrived. @returns recovery codes, kept nowhere @throws conflict: nothing was begun; denied: the code is wrong */
  confirm(account: Account, code: string): string[] {
    const secret = account.totpPending;
    if (secret === null) throw new SternwayError("conflict", "no second factor waits for its first code: begin anew");
    const step = this.stepOf(account.name, secret, code);
    if (step === undefined) {
      throw new SternwayError("denied", "that is not the code that the authenticator shows now: is its clock right?");
    }
    const codes = Array.from({ length: RECOVERY_CODES }, () => newCode(this.random, RECOVERY_GROUPS));
    this.accounts.update(account.name, {
      totpSecret: secret,
      totpPending: null,
      totpStep: step,
      recoveryHashes: codes.map((each) => hashOf(plainCode(each))),
    });
    return codes;
  }

  turnOff(name: string): void {
    this.accounts.update(name, { totpSecret: null, totpPending: null, recoveryHashes: [] });
  }

  /** Takes a code of either kind, once. @param account - read in the same turn @returns false: it is wrong, or was used */
  use(account: Account, code: string): boolean {
    const { name, totpSecret, recoveryHashes } = account;
    if (totpSecret === null) return false;
    const digits = code.replaceAll(/\s/g, "");
    if (SHOWN.test(digits)) {
      const step = this.stepOf(name, totpSecret, digits);
      return step !== undefined && this.accounts.useTotpStep(name, step);
    }
    const hash = hashOf(plainCode(code));
    if (!recoveryHashes.includes(hash)) return false;
    this.accounts.update(name, { recoveryHashes: recoveryHashes.filter((each) => each !== hash) });
    return true;
  }

  /** The step whose code this is. */
  private stepOf(name: string, secret: string, code: string): number | undefined {
    if (!SHOWN.test(code)) return undefined;
    const timestamp = Math.floor(this.clock.wall() / 1000);
    const delta = totpOf(name, secret).validate({ token: code, timestamp, window: STEPS_OF_LEEWAY });
    return delta === null ? undefined : Math.floor(timestamp / 1000 / STEP_SECONDS) + delta;
  }
}

const totpOf = (name: string, secret: string): TOTP =>
  new TOTP({
    issuer: ISSUER,
    label: name,
    algorithm: "SHA1",
    digits: 6,
    period: STEP_SECONDS,
    secret: Secret.fromBase32(secret),
  });
