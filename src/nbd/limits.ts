/**
 * What a server grants its clients. Every number bounds something that a client could otherwise grow without end.
 */
export interface NbdLimits {
  /**
   * Open sessions; a further one is closed at once. Room for a hundred machines; with {@link serverBytesMax} it bounds
   * what hostile clients together can make us hold: 512 MiB and one request of 32 MiB for each session.
   */
  sessionsMax: number;
  /** From connecting to the end of negotiation, TLS included. A person never waits there; a scanner does. */
  handshakeTimeoutMs: number;
  /** For a request that has arrived in part: the header's share; its payload gets more, see {@link payloadBytesPerSecondMin}. */
  requestTimeoutMs: number;
  /** The slowest line we serve: half a megabit. */
  payloadBytesPerSecondMin: number;
  /** For a client that takes none of the answers that wait for it. */
  answerTimeoutMs: number;
  /** Requests of one session that the device has not finished: twice what nbdcopy and the kernel's client send. */
  requestsInFlightMax: number;
  /** Bytes of one session in requests and unsent answers before no further request is read; passed by at most one request. */
  sessionBytesMax: number;
  /** The same for the whole server; a session that holds nothing may still begin one request. */
  serverBytesMax: number;
  /** Payload buffers kept for reuse by the server. */
  slabBytesMax: number;
  /** Structured reads from this size on ask the device for holes first: measured, the question costs as much as copying about 100 KiB. */
  sparseReadSizeMin: number;
  /** Exports told in one answer to LIST; libnbd refuses more. */
  listedExportsMax: number;
}

export const DEFAULT_NBD_LIMITS: NbdLimits = {
  sessionsMax: 128,
  handshakeTimeoutMs: 30_000,
  requestTimeoutMs: 30_000,
  payloadBytesPerSecondMin: 64 * 2 ** 10,
  answerTimeoutMs: 30_000,
  requestsInFlightMax: 256,
  sessionBytesMax: 32 * 2 ** 20,
  serverBytesMax: 512 * 2 ** 20,
  slabBytesMax: 64 * 2 ** 20,
  sparseReadSizeMin: 128 * 2 ** 10,
  listedExportsMax: 10_000,
};
