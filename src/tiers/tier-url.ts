/**
 * The addresses of tiers, as people write them:
 *
 *     file:///mnt/backup/web                     a directory, or a mounted share; what a URL has no letter for is written as %20
 *     s3://bucket/prefix?endpoint=https://…      any S3 service; more of it below
 *     https://host:port/name                     a place at another appliance
 *
 * Parameters of `s3`: `endpoint` (default: Amazon's of the region), `region` (default us-east-1, where there is an endpoint), `style` (`path` or `host`:
 * whether the bucket's name goes into the path or before the host's; default: path where there is an endpoint), `storage-class`, `object-lock-days`.
 *
 * An address never holds a secret, and one that seems to is refused without repeating it: addresses go to configuration, events, logs and screens.
 */
import { SternwayError } from "../base/errors.ts";
import { isObjectName } from "./object-name.ts";

export interface DirectoryUrl {
  kind: "directory";
  /** Absolute, without "." and "..", and without a slash at its end. */
  path: string;
}

export interface S3Url {
  kind: "s3";
  bucket: string;
  /** Path of the tier within the bucket, without slashes around it; "": all of the bucket. */
  prefix: string;
  /** Origin: scheme, host, and port if it is not the scheme's. */
  endpoint: string;
  region: string;
  /** The bucket's name goes into the path rather than before the host's. */
  pathStyle: boolean;
  storageClass: string | undefined;
  /** Objects are locked for so many days, 1 to 36,500; undefined: not by us. */
  objectLockDays: number | undefined;
}

export interface PeerUrl {
  kind: "peer";
  /** Origin: https, host, and port if it is not 443. */
  origin: string;
  /** Of the place there. */
  name: string;
}

export type TierUrl = DirectoryUrl | S3Url | PeerUrl;

const LENGTH_MAX = 1024;
const REGION_DEFAULT = "us-east-1";
const OBJECT_LOCK_DAYS_MAX = 36_500;
const S3_PARAMETERS = ["endpoint", "region", "style", "storage-class", "object-lock-days"] as const;
type S3Parameter = (typeof S3_PARAMETERS)[number];

const SECRET_NAME = /key|secret|token|password|passwd|credential|signature|auth/i;
/** Any longer or stranger one may be a secret without a name, and is not repeated. */
const PLAIN_NAME = /^[a-z][a-z-]{0,19}$/;
const SECRETS_GO =
  "an address of a tier must not hold secrets: write them to a file that only its owner can read, and name that with --secret-file";
const FORMS = "use file:///path, s3://bucket/prefix?endpoint=…&region=… or https://host:port/name";

/** @throws invalid: it is none, and says what to write; never repeats what may be a secret */
export function parseTierUrl(text: string): TierUrl {
  if (text.length > LENGTH_MAX) throw tooLong();
  const url = parsed(text);
  // What is accepted must be accepted again when it comes back from a ledger.
  if (describeTierUrl(url).length > LENGTH_MAX) throw tooLong();
  return url;
}

/** The canonical text: {@link parseTierUrl} of it gives the same again. Holds no secret, for an address has none. */
export function describeTierUrl(url: TierUrl): string {
  switch (url.kind) {
    case "directory":
      return `file://${url.path.split("/").map(encodeURIComponent).join("/")}`;
    case "peer":
      return `${url.origin}/${url.name}`;
    case "s3": {
      const { bucket, prefix, endpoint, region, pathStyle, storageClass, objectLockDays } = url;
      const parameters = [`endpoint=${endpoint}`, `region=${region}`, `style=${pathStyle ? "path" : "host"}`];
      if (storageClass !== undefined) parameters.push(`storage-class=${storageClass}`);
      if (objectLockDays !== undefined) parameters.push(`object-lock-days=${objectLockDays}`);
      return `s3://${bucket}${prefix === "" ? "" : `/${prefix}`}?${parameters.join("&")}`;
    }
  }
}

function parsed(text: string): TierUrl {
  if (!text.isWellFormed() || /[\u0000-\u001f\u007f\\]/.test(text)) {
    throw refused("an address of a tier holds no backslash and no control character; write such a character as %5C");
  }
  if (text.includes("#"))
    throw refused('an address of a tier has no part after "#"; a "#" of a path is written as %23');
  const [, scheme = "", authority = "", path = "", query] =
    /^([a-z0-9+.-]+):\/\/([^/?]*)([^?]*)(?:\?(.*))?$/i.exec(text) ?? [];
  if (authority.includes("@")) throw refused(SECRETS_GO);
  const parameters = parametersOf(query);
  switch (scheme.toLowerCase()) {
    case "file":
      return directoryUrl(authority, path, parameters);
    case "s3":
      return s3Url(authority, path, parameters);
    case "https":
      return peerUrl(authority, path, parameters);
    case "http":
      throw refused(
        "another appliance is reached by https:// only; an S3 service is s3://bucket/prefix?endpoint=http://…",
      );
    default:
      throw refused(
        text.startsWith("/")
          ? `write a directory as file://, that is file:///path`
          : `this is no address of a tier: ${FORMS}`,
      );
  }
}

function directoryUrl(host: string, path: string, parameters: ReadonlyMap<string, string>): DirectoryUrl {
  onlyParameters(parameters, []);
  if (host !== "") {
    throw refused(
      "write a directory with three slashes, file:///path: it is one of this machine's, and a share is mounted first",
    );
  }
  const parts = path.replace(/\/+$/, "").split("/").map(decoded);
  if (parts.length < 2) throw refused("write a directory as file:///path; the root directory cannot be a tier");
  if (
    parts.slice(1).some((part) => part === "" || part === "." || part === ".." || /[/\u0000-\u001f\u007f]/.test(part))
  ) {
    throw refused(
      'write the directory\'s whole path, as file:///path: without "." and "..", and without a slash too many',
    );
  }
  return { kind: "directory", path: parts.join("/") };
}

function s3Url(bucket: string, path: string, parameters: ReadonlyMap<string, string>): S3Url {
  onlyParameters(parameters, S3_PARAMETERS);
  const of = (name: S3Parameter): string | undefined => parameters.get(name);
  if (!/^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$/.test(bucket) || bucket.includes("..")) {
    throw refused(
      "write the bucket after s3://, 3 to 63 lower-case letters, digits, dots and hyphens: s3://bucket/prefix?endpoint=…",
    );
  }
  const prefix = path.replace(/^\//, "").replace(/\/$/, "");
  if (prefix !== "" && !isObjectName(prefix)) {
    throw refused('the prefix after the bucket is parts of letters, digits, ".", "_" and "-", none beginning with "."');
  }
  const region = of("region") ?? (of("endpoint") === undefined ? undefined : REGION_DEFAULT);
  if (region === undefined)
    throw refused("say which service it is: add endpoint=https://HOST, or region=… for Amazon's");
  checked("region", region, /^[A-Za-z0-9][A-Za-z0-9_-]{0,39}$/, "the region's name");
  const style = of("style");
  if (style !== undefined) checked("style", style, /^(path|host)$/, "path or host");
  const storageClass = of("storage-class");
  if (storageClass !== undefined)
    checked("storage-class", storageClass, /^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$/, "its name");
  const days = of("object-lock-days");
  if (days !== undefined) {
    checked("object-lock-days", days, /^[1-9]\d{0,4}$/, `1 to ${OBJECT_LOCK_DAYS_MAX}`);
    if (Number(days) > OBJECT_LOCK_DAYS_MAX) throw refused(`object-lock-days is 1 to ${OBJECT_LOCK_DAYS_MAX}`);
  }
  return {
    kind: "s3",
    bucket,
    prefix,
    endpoint: endpointOf(of("endpoint") ?? `https://s3.${region.toLowerCase()}.amazonaws.com`),
    region,
    pathStyle: style === undefined ? of("endpoint") !== undefined : style === "path",
    storageClass,
    objectLockDays: days === undefined ? undefined : Number(days),
  };
}

function peerUrl(authority: string, path: string, parameters: ReadonlyMap<string, string>): PeerUrl {
  onlyParameters(parameters, []);
  const [, name] = /^\/([A-Za-z0-9][A-Za-z0-9_-]{0,62})\/?$/.exec(path) ?? [];
  if (name === undefined)
    throw refused(
      "write another appliance's place as https://host:port/name; `sternway receive list` there shows the names",
    );
  return { kind: "peer", origin: originOf(`https://${authority}`, "https://host:port/name"), name };
}

function endpointOf(text: string): string {
  if (text.includes("@")) throw refused(SECRETS_GO);
  if (!/^https?:\/\/[^/?]+\/?$/i.test(text))
    throw refused("endpoint is https://HOST or https://HOST:PORT, with nothing after it");
  return originOf(text, "endpoint=https://HOST:PORT");
}

function originOf(text: string, form: string): string {
  const url = URL.parse(text);
  // What the URL's grammar bends into shape ("a b", "%61") is refused rather than guessed at.
  if (
    !url ||
    url.hostname === "" ||
    !/^[A-Za-z0-9.:[\]_-]+$/.test(text.replace(/^https?:\/\//i, "").replace(/\/$/, ""))
  ) {
    throw refused(`write ${form}, with a host's name or address and a port up to 65535`);
  }
  return url.origin;
}

function parametersOf(query: string | undefined): Map<string, string> {
  const parameters = new Map<string, string>();
  for (const [name, value] of new URLSearchParams(query)) {
    if (SECRET_NAME.test(name)) throw refused(SECRETS_GO);
    if (parameters.has(name)) throw refused(`${shown(name)} comes twice in the address`);
    parameters.set(name, value);
  }
  return parameters;
}

function onlyParameters(parameters: ReadonlyMap<string, string>, allowed: readonly string[]): void {
  const unknown = [...parameters.keys()].find((name) => !allowed.includes(name));
  if (unknown === undefined) return;
  const which = allowed.length === 0 ? "this kind of address has none" : `there are ${allowed.join(", ")}`;
  throw refused(`${shown(unknown)} is no parameter of it: ${which}`);
}

function checked(name: S3Parameter, value: string, pattern: RegExp, what: string): void {
  if (!pattern.test(value)) throw refused(`${name}= wants ${what}`);
}

function decoded(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch (cause) {
    throw new SternwayError("invalid", 'a "%" of a path is written as %25', {}, { cause });
  }
}

const shown = (name: string): string => (PLAIN_NAME.test(name) ? `"${name}"` : "one of the parameters");

const tooLong = (): SternwayError => refused(`an address of a tier has at most ${LENGTH_MAX} characters`);

const refused = (message: string): SternwayError => new SternwayError("invalid", message);
