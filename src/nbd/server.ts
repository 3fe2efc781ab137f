/**
 * The door of the room: an NBD server for devices. It knows the protocol and nothing of history.
 */
import type { ReadableDevice, WritableDevice } from "../base/device.ts";

/** Who asks: for logs, and later for rights. */
export interface NbdPeer {
  /** `unix:PATH` or `HOST:PORT` of the listening address, and of the peer where there is one. */
  address: string;
  /** Subject of the client certificate, when TLS asked for one. */
  tlsSubject?: string;
}

export type NbdExport =
  | { readOnly: true; device: ReadableDevice; description: string }
  | { readOnly: false; device: WritableDevice; description: string };

/** What the server serves; implemented by the rooms that know volumes. */
export interface NbdExports {
  /** Names for NBD_OPT_LIST. */
  list(): Promise<{ name: string; description: string }[]>;
  /** Size and access without attaching, for NBD_OPT_INFO. @throws SternwayError: its message reaches the client */
  describe(name: string): Promise<{ sizeBytes: number; readOnly: boolean; description: string }>;
  /** Opens for transmission; the session closes the device. @throws SternwayError: its message reaches the client */
  open(name: string, peer: NbdPeer): Promise<NbdExport>;
}
