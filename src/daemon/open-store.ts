/**
 * Reaches the places of tiers: from settings to stores. Secrets are read here, each time anew, from a file or the daemon's environment:
 *
 *     S3     lines `accessKeyId=`, `secretAccessKey=` and, of temporary ones, `sessionToken=`;
 *            else AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN
 *     peer   the token as `receive add` printed it; else STERNWAY_PEER_TOKEN
 */
import type { Clock } from "../base/clock.ts";
import { readWhole, type Disk } from "../base/disk.ts";
import { isSternwayError, SternwayError } from "../base/errors.ts";
import type { OpenStore, TierSettings } from "../replication/replication.ts";
import { PeerStore } from "../tiers/peer/peer-store.ts";
import type { S3Credentials } from "../tiers/s3/s3-options.ts";
import { S3Store } from "../tiers/s3/s3-store.ts";
import { ShareStore } from "../tiers/share/share-store.ts";
import { parseTierUrl } from "../tiers/tier-url.ts";

export interface StoreOpenerOptions {
  disk: Disk;
  clock: Clock;
  env: Readonly<Record<string, string | undefined>>;
}

export function storeOpener({ disk, clock, env }: StoreOpenerOptions): OpenStore {
  return async (settings) => {
    const url = parseTierUrl(settings.url);
    switch (url.kind) {
      case "directory":
        // A disk that is plugged in may hang as a share may.
        return new ShareStore({ dir: url.path, clock });
      case "s3": {
        const { bucket, prefix, endpoint, region, pathStyle, storageClass, objectLockDays } = url;
        const ca = await optionalText(disk, settings.caFile);
        return new S3Store({
          bucket,
          prefix,
          endpoint,
          region,
          pathStyle,
          clock,
          credentials: await s3Credentials(disk, settings, env),
          ...(storageClass !== undefined && { storageClass }),
          ...(objectLockDays !== undefined && { objectLockDays }),
          ...(ca !== undefined && { ca }),
        });
      }
      case "peer": {
        const token = (await optionalText(disk, settings.secretFile)) ?? env["STERNWAY_PEER_TOKEN"];
        if (token === undefined)
          throw missing("credentials of the peer", "a file that holds its token", "STERNWAY_PEER_TOKEN");
        return new PeerStore({ url: settings.url, token: token.trim(), clock });
      }
    }
  };
}

async function s3Credentials(
  disk: Disk,
  { secretFile }: TierSettings,
  env: StoreOpenerOptions["env"],
): Promise<S3Credentials> {
  const text = await optionalText(disk, secretFile);
  const given = text === undefined ? fromEnvironment(env) : fromLines(text);
  const { accessKeyId, secretAccessKey, sessionToken } = given;
  if (!accessKeyId || !secretAccessKey) {
    throw missing(
      "S3 credentials",
      "a file with lines accessKeyId=… and secretAccessKey=…",
      "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
    );
  }
  return { accessKeyId, secretAccessKey, ...(sessionToken && { sessionToken }) };
}

const fromEnvironment = (env: StoreOpenerOptions["env"]): Partial<S3Credentials> => ({
  ...(env["AWS_ACCESS_KEY_ID"] !== undefined && { accessKeyId: env["AWS_ACCESS_KEY_ID"] }),
  ...(env["AWS_SECRET_ACCESS_KEY"] !== undefined && { secretAccessKey: env["AWS_SECRET_ACCESS_KEY"] }),
  ...(env["AWS_SESSION_TOKEN"] !== undefined && { sessionToken: env["AWS_SESSION_TOKEN"] }),
});

function fromLines(text: string): Partial<S3Credentials> {
  const found: Partial<Record<keyof S3Credentials, string>> = {};
  for (const line of text.split("\n")) {
    const match = /^\s*(accessKeyId|secretAccessKey|sessionToken)\s*=\s*(.+?)\s*$/.exec(line);
    if (match) found[match[1] as keyof S3Credentials] = match[2]!;
  }
  return found;
}

/** @throws denied: a path was given, and nothing can be read there */
async function optionalText(disk: Disk, path: string | undefined): Promise<string | undefined> {
  if (path === undefined) return undefined;
  try {
    return new TextDecoder().decode(await readWhole(disk, path));
  } catch (error) {
    if (!isSternwayError(error)) throw error;
    throw new SternwayError(
      "denied",
      `${path} cannot be read by the daemon: ${error.message}`,
      { path },
      { cause: error },
    );
  }
}

const missing = (what: string, file: string, variables: string): SternwayError =>
  new SternwayError("denied", `${what} are missing: give --secret-file ${file}, or set ${variables} for the daemon`);
