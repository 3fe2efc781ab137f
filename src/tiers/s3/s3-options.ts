/**
 * Where an S3 store lies and how it is used: the options, checked once, and the addresses that follow from them. Credentials are carried through and never
 * become part of an address or a message.
 */
import type { Clock } from "../../base/clock.ts";
import { SternwayError } from "../../base/errors.ts";
import { isObjectName } from "../object-name.ts";

export interface S3Credentials {
  accessKeyId: string;
  secretAccessKey: string;
  /** Of temporary credentials. */
  sessionToken?: string;
}

export interface S3StoreOptions {
  /** `https://host[:port]`; no path, no credentials. */
  endpoint: string;
  region: string;
  bucket: string;
  /** Object names go below it; "" for the whole bucket. Parts as in an object's name. */
  prefix: string;
  credentials: S3Credentials;
  clock: Clock;
  /** `endpoint/bucket/key` instead of `bucket.endpoint/key`. Default: true, but for Amazon's own endpoints. */
  pathStyle?: boolean;
  /** As the endpoint knows it (`STANDARD_IA`, `GLACIER_IR`); for all objects but the identity, whose reading at each connection some classes charge extra. */
  storageClass?: string;
  /** Days for which every object but a probe is locked from when it is written. The bucket must have been made with object lock. */
  objectLockDays?: number;
  /** Default `GOVERNANCE`: the provider's administrators can still remove it. `COMPLIANCE`: nobody can, and it is paid for until then. */
  objectLockMode?: "GOVERNANCE" | "COMPLIANCE";
  /** PEM certificates that are trusted instead of the system's. */
  ca?: string;
  /** A request during which nothing moves for this long is given up. Default 30 s. */
  idleLimitMs?: number;
}

/** Classes whose objects must be ordered hours before they can be read: a tier must serve any moment at once. */
const OFFLINE_CLASSES = new Set(["GLACIER", "DEEP_ARCHIVE"]);
const BUCKET = /^[A-Za-z0-9][A-Za-z0-9._-]{1,254}$/;
/** A date 100 years away is surely a mistake, and object lock admits no later one. */
const LOCK_DAYS_MAX = 36_500;

/** The addresses of a store's objects. */
export class S3Location {
  /** Without secrets, as people write it. */
  readonly url: string;
  private readonly base: URL;
  private readonly prefix: string;

  /** @throws invalid: says which option cannot be */
  constructor(options: S3StoreOptions) {
    const { bucket, region } = options;
    const endpoint = parseEndpoint(options.endpoint);
    this.prefix = options.prefix.replace(/^\/+|\/+$/g, "");
    if (!BUCKET.test(bucket)) throw unusable(`"${bucket.slice(0, 80)}" is no bucket's name`);
    if (!/^[A-Za-z0-9-]{1,64}$/.test(region)) throw unusable("the region must be letters, digits and hyphens");
    if (this.prefix !== "" && !isObjectName(this.prefix)) {
      throw unusable(`the prefix "${this.prefix.slice(0, 80)}" must be parts of letters, digits, ".", "_", "-"`);
    }
    if (options.credentials.accessKeyId === "" || options.credentials.secretAccessKey === "") {
      throw unusable("an access key and a secret key are needed");
    }
    checkKeeping(options);
    const isPathStyle = options.pathStyle ?? !/(^|\.)amazonaws\.com(\.cn)?$/.test(endpoint.hostname);
    this.base = isPathStyle
      ? new URL(`${endpoint.origin}/${bucket}`)
      : new URL(`${endpoint.protocol}//${bucket}.${endpoint.host}`);
    const path = this.prefix === "" ? bucket : `${bucket}/${this.prefix}`;
    this.url = `s3://${path}?endpoint=${endpoint.origin}&region=${region}`;
  }

  /** @param name - checked already */
  object(name: string, query: Record<string, string> = {}): URL {
    return this.address(this.keyOf(name), query);
  }

  bucket(query: Record<string, string> = {}): URL {
    return this.address("", query);
  }

  keyOf(name: string): string {
    return this.prefix === "" ? name : `${this.prefix}/${name}`;
  }

  /** What keys below an object prefix begin with; "" for all of the store's. */
  keysBelow(prefix: string): string {
    const key = prefix === "" ? this.prefix : this.keyOf(prefix);
    return key === "" ? "" : `${key}/`;
  }

  /** The name of a key that was listed; undefined: it is no object of this store. */
  nameOf(key: string): string | undefined {
    const below = this.keysBelow("");
    const name = key.slice(below.length);
    return key.startsWith(below) && isObjectName(name) ? name : undefined;
  }

  private address(key: string, query: Record<string, string>): URL {
    const address = new URL(this.base);
    const bucketPath = address.pathname === "/" ? "" : address.pathname;
    address.pathname = `${bucketPath}/${key}`;
    for (const [name, value] of Object.entries(query)) address.searchParams.set(name, value);
    return address;
  }
}

function checkKeeping({ storageClass, objectLockDays }: S3StoreOptions): void {
  if (storageClass !== undefined && !/^[A-Za-z0-9_-]{1,64}$/.test(storageClass)) {
    throw unusable(`"${storageClass.slice(0, 80)}" is no storage class`);
  }
  if (storageClass !== undefined && OFFLINE_CLASSES.has(storageClass.toUpperCase())) {
    throw unusable(`objects of class ${storageClass} cannot be read at once: use GLACIER_IR or a class like it`);
  }
  const days = objectLockDays ?? 1;
  if (!Number.isInteger(days) || days < 1 || days > LOCK_DAYS_MAX) {
    throw unusable(`objects are locked for 1 to ${LOCK_DAYS_MAX} days`);
  }
}

/** What people gave as an endpoint is not repeated in messages: it may hold what belongs in a file. */
function parseEndpoint(text: string): URL {
  const endpoint = URL.canParse(text) ? new URL(text) : undefined;
  if (!endpoint || !["http:", "https:"].includes(endpoint.protocol)) {
    throw unusable("the endpoint must be http://host or https://host");
  }
  if (endpoint.username !== "" || endpoint.password !== "") {
    throw unusable("the endpoint must hold no credentials: they come from a file");
  }
  if (endpoint.pathname !== "/" || endpoint.search !== "" || endpoint.hash !== "") {
    throw unusable("the endpoint must be a host, without a path");
  }
  return endpoint;
}

const unusable = (why: string): SternwayError => new SternwayError("invalid", `this S3 tier cannot be used: ${why}`);
