/**
 * What stands at the far end of a tier, in a process of its own, so that neither its work nor its memory is counted as the appliance's: an S3 service in memory, that of the
 * tests, or Ceph's, or the receiving side of another appliance with its folder on the same disk; each behind a {@link Line}.
 *
 *     bun tiers-far-side.ts s3|ceph|peer ROUND-TRIP-MS FOLDER
 *
 * On FOLDER/control.sock it speaks HTTP, with 503 until the place is there: GET /facts gives {@link FarFacts}; POST /cut and POST /heal break the line
 * and mend it. SIGTERM ends it with all that it started.
 */
import { join } from "node:path";
import { listenPeers } from "../../src/api/app.ts";
import { systemClock } from "../../src/base/clock.ts";
import { realDisk } from "../../src/base/real-disk.ts";
import { systemRandom } from "../../src/base/random.ts";
import { Received } from "../../src/daemon/received.ts";
import { createLog } from "../../src/observe/log.ts";
import { startCeph } from "../../test/support/ceph.ts";
import { S3Server } from "../../test/support/s3-server.ts";
import { Line } from "./tiers-line.ts";

export const CONTROL_SOCKET = "control.sock";
export const PLACE = "tier";

export interface FarFacts {
  port: number;
  bytesThere: number;
  bytesBack: number;
  s3?: {
    bucket: string;
    region: string;
    accessKeyId: string;
    secretAccessKey: string;
  };
  peer?: { token: string };
}

const KINDS = ["s3", "ceph", "peer"] as const;
export type FarKind = (typeof KINDS)[number];

interface Side {
  port: number;
  facts: Pick<FarFacts, "s3" | "peer">;
  end?: () => Promise<void>;
}

async function s3Side(): Promise<Side> {
  const service = await S3Server.start();
  const { bucket, region, key } = service;
  // It keeps every request for tests to look at; a long run has many.
  setInterval(() => service.requests.splice(0), 1000);
  return { port: Number(new URL(service.endpoint).port), facts: { s3: { bucket, region, ...key } } };
}

async function cephSide(): Promise<Side> {
  // A busy machine may take longer for the gateway than it is given, once.
  const ceph = await startCeph().catch(() => startCeph());
  const bucket = "vaults";
  await ceph.makeBucket(bucket);
  const { endpoint, region, credentials } = ceph;
  const { accessKeyId, secretAccessKey } = credentials;
  const s3 = { bucket, region, accessKeyId, secretAccessKey };
  return { port: Number(new URL(endpoint).port), facts: { s3 }, end: () => ceph.end() };
}

async function peerSide(folder: string): Promise<Side> {
  const parts = { disk: realDisk, clock: systemClock };
  const places = await Received.open({ ...parts, random: systemRandom, dataDir: folder, reserveBytes: 0 });
  const certificate = await places.certificate();
  const { token } = await places.add(PLACE, undefined);
  const log = createLog({ level: "warn", format: "pretty" });
  const clock = systemClock;
  const listener = await listenPeers({
    host: "127.0.0.1",
    port: 0,
    certificate,
    places,
    clock,
    log,
    connectionsMax: 64,
  });
  const { address } = listener;
  return { port: address.kind === "tcp" ? address.port : 0, facts: { peer: { token } } };
}

const startSide = (kind: FarKind, folder: string): Promise<Side> => {
  switch (kind) {
    case "s3":
      return s3Side();
    case "ceph":
      return cephSide();
    case "peer":
      return peerSide(folder);
  }
};

function serve(kind: FarKind, roundTripMs: number, folder: string): void {
  let ready: { side: Side; line: Line } | undefined;
  const starting = startSide(kind, folder).then(async (side) => {
    ready = { side, line: await Line.open(side.port, roundTripMs) };
    return side;
  });
  process.once("SIGTERM", () => {
    void starting.then((side) => side.end?.()).finally(() => process.exit(0));
  });
  Bun.serve({
    unix: join(folder, CONTROL_SOCKET),
    fetch(request) {
      if (!ready) return new Response("it is starting", { status: 503 });
      const { side, line } = ready;
      switch (new URL(request.url).pathname) {
        case "/cut":
          line.cut(true);
          break;
        case "/heal":
          line.cut(false);
          break;
        case "/facts":
          break;
        default:
          return new Response("there is no such control", { status: 404 });
      }
      const { there, back } = line.bytes;
      return Response.json({ port: line.port, bytesThere: there, bytesBack: back, ...side.facts } satisfies FarFacts);
    },
  });
}

if (import.meta.main) {
  const [word, roundTripMs, folder] = process.argv.slice(2);
  const kind = KINDS.find((each) => each === word);
  if (kind === undefined || roundTripMs === undefined || folder === undefined) {
    throw new Error(`${KINDS.join("|")} ROUND-TRIP-MS FOLDER`);
  }
  serve(kind, Number(roundTripMs), folder);
}
