/** The S3 store over TLS: who is trusted, and that conditions and bodies pass as they do without. */
import { expect } from "bun:test";
import { systemClock } from "../../../../src/base/clock.ts";
import { isSternwayError } from "../../../../src/base/errors.ts";
import { S3Store } from "../../../../src/tiers/s3/s3-store.ts";
import { bytesSource } from "../../../../src/tiers/store.ts";
import { makeAuthority } from "../../../support/nbd-harness.ts";
import { testWith } from "../../../support/require-tool.ts";
import { S3Server } from "../../../support/s3-server.ts";
import { expectKind, expectSame, failure, noise } from "../../../support/store-expectations.ts";

testWith(["openssl"], "an endpoint whose certificate a named authority signed is used, and no other", async () => {
  using authority = makeAuthority();
  using stranger = makeAuthority();
  await using server = await S3Server.start({ key: authority.serverKey, cert: authority.serverCert });
  const { endpoint, region, bucket, key: credentials } = server;
  const open = (ca?: string): S3Store => {
    const options = { endpoint, region, bucket, prefix: "v", credentials, clock: systemClock };
    return new S3Store(ca === undefined ? options : { ...options, ca });
  };

  const store = open(authority.ca);
  await store.attach("vault");
  for (const [index, size] of [0, 1000, 9 * 2 ** 20, 65 * 2 ** 20].entries()) {
    const bytes = noise(index, size);
    await store.put(`packs/${index}`, bytesSource(bytes), { ifAbsent: true });
    await expectKind(store.put(`packs/${index}`, bytesSource(bytes), { ifAbsent: true }), "conflict");
    await expectSame(store.get(`packs/${index}`), bytes);
  }
  server.fail("lost-answer");
  await expectKind(store.put("lost", bytesSource(noise(1, 10)), { ifAbsent: true }), "unavailable");
  expect(server.requests.filter(({ target }) => target.endsWith("/lost"))).toHaveLength(1);

  const asked = server.requests.length;
  for (const ca of [undefined, stranger.ca]) {
    const error = await failure(open(ca).identify());
    if (!isSternwayError(error)) throw error;
    expect(`${error.kind}: ${error.message}`).toMatch(/^invalid: .*certificate is not trusted/);
  }
  expect(server.requests).toHaveLength(asked);
});
