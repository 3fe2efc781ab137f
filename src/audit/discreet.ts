/**
 * What the audit says of volumes in encrypted vaults. Its files lie outside the vaults, so it keeps the vault's name and, of each name in it, a print: the first
 * 16 digits of the name's HMAC-SHA256 under the appliance's public key. Whoever knows a name finds what was done to it; whoever reads the files sees
 * that two entries are about the same thing, and can try names one by one, as in the list of closed vaults' volumes.
 */
import { createHmac } from "node:crypto";
import type { AuditDetail, AuditFacts } from "./line.ts";

export interface Discretion {
  /** The encrypted vault that has, or had, a volume of this name. */
  vaultNaming: (word: string) => string | undefined;
  /** Under which prints are made. */
  key: string;
}

const PRINT_DIGITS = 16;
/** Details that name nothing in a vault. */
const SAFE_DETAILS = new Set(["fields", "kind", "role", "vault", "tier", "format"]);
/** Moments other than a bookmark, which has a name. */
const SAFE_MOMENT = /^(?:now|lsn:\d{1,16}|-[\dsmhdw.]{1,32}|\d{4}-\d{2}-\d{2}[Tt ][\d:.,+Zz-]{1,24})$/;
/** What makes volumes: when it fails, nobody knows in what vault a name belongs. */
const MAKES_VOLUMES = new Set(["createVolume", "createBranch"]);
/** What volumes and machines can be called at all. */
const NAME = /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/;
/** Each is looked for in all vaults. No act names so many; of a request that does, every word is printed unseen. */
const LOOKED_UP_MAX = 32;
/** The parts of a subject, such as `web1@-15m` or `web1/bookmark`. */
const PARTS = /[^/@]+/g;

export const printOf = (name: string, key: string): string =>
  `#${createHmac("sha256", key).update(name).digest("hex").slice(0, PRINT_DIGITS)}`;

/**
 * The same facts, with prints for names that are not to be seen.
 * @param facts - cut to size: somebody whom nobody knows had a say in them
 */
export function discreetFacts(facts: AuditFacts, { vaultNaming, key }: Discretion): AuditFacts {
  const { subject, detail = {}, action, result } = facts;
  const parts = [subject, ...Object.values(detail).filter((value) => typeof value === "string")].flatMap(
    (text) => text.match(PARTS) ?? [],
  );
  const words = new Set(parts.filter((part) => NAME.test(part)));
  const isTooMuch = words.size > LOOKED_UP_MAX;
  let vault: string | undefined;
  if (!isTooMuch) for (const word of words) vault ??= vaultNaming(word);
  if (vault === undefined && !isTooMuch && !(MAKES_VOLUMES.has(action) && result !== "done")) return facts;
  const printed = (text: string): string =>
    text.replace(PARTS, (part) => (SAFE_MOMENT.test(part) ? part : printOf(part, key)));
  const hidden: AuditDetail = Object.fromEntries(
    Object.entries(detail).map(([name, value]) => [
      name,
      typeof value !== "string" || SAFE_DETAILS.has(name) ? value : printed(value),
    ]),
  );
  const prefix = vault === undefined ? "" : `${vault}:`;
  return {
    ...facts,
    subject: `${prefix}${printed(subject)}`,
    ...(facts.detail === undefined ? {} : { detail: hidden }),
  };
}

/** How a name may stand in the chain: as it is, and as a print. */
export function spellingsOf(name: string, { vaultNaming, key }: Discretion): string[] {
  const printed = name.replace(PARTS, (part) => printOf(part, key));
  const vault = (name.match(PARTS) ?? []).map((part) => vaultNaming(part)).find((each) => each !== undefined);
  return [name, printed, ...(vault === undefined ? [] : [`${vault}:${printed}`])];
}
