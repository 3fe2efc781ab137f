/** The contract of tiers/store.ts on the S3 store, over a server in memory that checks every signature; also behind a tier. */
import { expect } from "bun:test";
import { systemClock, type Clock } from "../../src/base/clock.ts";
import { seededRandom } from "../../src/base/random.ts";
import { S3Store } from "../../src/tiers/s3/s3-store.ts";
import type { ObjectStore } from "../../src/tiers/store.ts";
import { Tier } from "../../src/tiers/tier.ts";
import { CountingClock } from "../support/counting-clock.ts";
import { S3Server } from "../support/s3-server.ts";
import { storeSuite, type StoreSuite } from "../support/store-suite.ts";

function overServer(
  change: (server: S3Server) => void = () => undefined,
  wrap: (store: S3Store, clock: Clock) => ObjectStore = (store) => store,
): StoreSuite {
  return {
    async on(body) {
      await using server = await S3Server.start();
      change(server);
      const clock = new CountingClock(systemClock);
      const { endpoint, region, bucket, key } = server;
      await body({
        open: () =>
          wrap(new S3Store({ endpoint, region, bucket, prefix: "company/vault", credentials: key, clock }), clock),
      });
      expect(clock.timerCount).toBe(0);
      expect(server.uploads.size).toBe(0);
    },
  };
}

storeSuite("S3Store", overServer());

storeSuite(
  "S3Store at an endpoint that refuses checksum headers, ignores conditions of completions and lists by seven",
  overServer((server) => {
    server.refusesChecksumHeader = true;
    server.ignoresCompletionConditions = true;
    server.pageSize = 7;
  }),
);

storeSuite(
  "Tier on S3Store",
  overServer(
    () => undefined,
    (store, clock) => new Tier({ store, identity: "vault-4711", clock, random: seededRandom(7) }),
  ),
);
