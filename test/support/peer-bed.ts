/** An appliance's receiving side for tests: its places in a scratch folder, and its listener on a port of the system's choice. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { listenPeers, type HttpListener } from "../../src/api/app.ts";
import { systemClock, type Clock } from "../../src/base/clock.ts";
import { systemRandom } from "../../src/base/random.ts";
import { RealDisk } from "../../src/base/real-disk.ts";
import { Received } from "../../src/daemon/received.ts";
import { createLog } from "../../src/observe/log.ts";
import { isSternwayError, type SternwayError } from "../../src/base/errors.ts";
import { PeerStore } from "../../src/tiers/peer/peer-store.ts";
import { FaultyLink } from "./faulty-link.ts";
import { RunningClock } from "./running-clock.ts";
import { failure } from "./store-expectations.ts";

/** Whose the places are that {@link attachedPlace} makes. */
export const VAULT = "vault-1";

export interface PeerBed extends AsyncDisposable {
  readonly dataDir: string;
  readonly disk: RealDisk;
  /** Of the limits on both sides. */
  readonly clock: Clock;
  readonly received: Received;
  readonly port: number;
  /** Everything that was logged. */
  readonly logged: string[];
  url(place: string): string;
  /** A store on a place. */
  store(place: string, token: string, options?: { idleLimitMs?: number; clock?: Clock }): PeerStore;
  /** Ends the listener as a killed process would end it, and starts it again on the same port and folder. */
  restart(): Promise<void>;
  stopListening(): Promise<void>;
}

/** @param options.brakes - false: wrong credentials are not slowed down */
export async function openPeerBed(
  options: { idleLimitMs?: number; connectionsMax?: number; brakes?: boolean } = {},
): Promise<PeerBed> {
  const dataDir = mkdtempSync(join(tmpdir(), "sternway-peer-"));
  const disk = new RealDisk();
  const clock = new RunningClock();
  const logged: string[] = [];
  const log = createLog({ level: "debug", format: "json", write: (line) => void logged.push(line) });
  const open = (): Promise<Received> =>
    Received.open({ disk, clock: systemClock, random: systemRandom, dataDir, reserveBytes: 0 });
  let received = await open();
  let listener: HttpListener | undefined;
  const listen = async (port: number): Promise<number> => {
    const { idleLimitMs = 5_000, connectionsMax = 64, brakes = true } = options;
    const certificate = await received.certificate();
    listener = await listenPeers({
      host: "127.0.0.1",
      port,
      certificate,
      places: received,
      clock,
      log,
      connectionsMax,
      idleLimitMs,
      ...(brakes ? {} : { brake: { failed: () => Promise.resolve(true) } }),
    });
    return listener.address.kind === "tcp" ? listener.address.port : 0;
  };
  const port = await listen(0);
  const stopListening = async (): Promise<void> => {
    await listener?.stop(0);
    listener = undefined;
  };
  return {
    dataDir,
    disk,
    clock,
    get received() {
      return received;
    },
    port,
    logged,
    url: (place) => `https://127.0.0.1:${port}/${place}`,
    store: (place, token, { idleLimitMs = 5_000, clock: its = clock } = {}) =>
      new PeerStore({ url: `https://127.0.0.1:${port}/${place}`, token, clock: its, idleLimitMs }),
    async restart() {
      await stopListening();
      await received.stop();
      received = await open();
      await listen(port);
    },
    stopListening,
    async [Symbol.asyncDispose]() {
      await stopListening();
      await received.stop();
      rmSync(dataDir, { recursive: true, force: true });
    },
  };
}

export interface AttachedPlace extends AsyncDisposable {
  token: string;
  /** What the store's way leads through. */
  link: FaultyLink;
  store: PeerStore;
}

/** A place `web` with a store that is attached and connected. */
export async function attachedPlace(
  bed: PeerBed,
  { quotaBytes, idleLimitMs = 5_000 }: { quotaBytes?: number; idleLimitMs?: number } = {},
): Promise<AttachedPlace> {
  const { token } = await bed.received.add("web", quotaBytes);
  const link = await FaultyLink.open(bed.port);
  const store = new PeerStore({ url: `https://127.0.0.1:${link.port}/web`, token, clock: bed.clock, idleLimitMs });
  await store.attach(VAULT);
  await store.connect(VAULT);
  return {
    token,
    link,
    store,
    async [Symbol.asyncDispose]() {
      await store.close();
      await link[Symbol.asyncDispose]();
    },
  };
}

export async function errorOf(work: Promise<unknown>): Promise<SternwayError> {
  const error = await failure(work);
  if (!isSternwayError(error)) throw error;
  return error;
}
