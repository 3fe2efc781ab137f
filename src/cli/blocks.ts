/** The daemon's block door, for the commands that move whole disks: they are clients like any other. */
import type { Clock } from "../base/clock.ts";
import { SternwayError, isSternwayError } from "../base/errors.ts";
import type { Client } from "../contract/client.ts";
import { connectNbd, type NbdClient } from "../nbd/client.ts";

/**
 * Connects to a live volume, writable; it counts as attached until closed.
 * @throws unavailable: nobody answers on the socket; else what the daemon says of the export
 */
export async function connectBlocks(socketPath: string, volume: string): Promise<NbdClient> {
  return await connectNbd({ kind: "unix", path: socketPath }, volume);
}

/** Connects to `NAME@MOMENT`. Reads throw corrupt where the daemon cannot give the stored bytes: NBD itself says only EIO. */
export async function connectPast(
  socketPath: string,
  exportName: string,
): Promise<Pick<NbdClient, "sizeBytes" | "read" | "extents" | "close">> {
  const device = await connectNbd({ kind: "unix", path: socketPath }, exportName);
  return {
    sizeBytes: device.sizeBytes,
    read: (offset, length) => device.read(offset, length).catch(asDamage),
    extents: (offset, length) => device.extents(offset, length).catch(asDamage),
    close: () => device.close(),
  };
}

function asDamage(error: unknown): never {
  if (!isSternwayError(error, "unavailable") || error.facts["code"] !== "EIO") throw error;
  throw new SternwayError("corrupt", error.message, { ...error.facts }, { cause: error });
}

const DETACH_MS_MAX = 5000;
const POLL_MS = 10;

/**
 * Waits until the daemon has noticed that a closed connection is gone, so that the next command (a rollback, say) is not
 * refused because of it. Gives up silently: the next command then says what is attached.
 */
export async function untilDetached(client: Client, volume: string, attachedMax: number, clock: Clock): Promise<void> {
  for (let waitedMs = 0; waitedMs < DETACH_MS_MAX; waitedMs += POLL_MS) {
    if ((await client.volume(volume)).attached <= attachedMax) return;
    await clock.sleep(POLL_MS);
  }
}

/** The identity of the vault that holds a volume. @throws unavailable: the vault is closed */
export async function vaultIdOf(client: Client, volume: string): Promise<string> {
  const { vault } = await client.volume(volume);
  const { status, state } = await client.vaultNamed(vault);
  if (status) return status.id;
  throw new SternwayError("unavailable", `vault ${vault}, which holds volume ${volume}, is ${state}`, {
    volume,
    vault,
  });
}
