import { expect, test } from "bun:test";
import { systemClock, type Clock } from "../../../src/base/clock.ts";
import { Buckets, placeOf, type Rates } from "../../../src/api/rates.ts";
import { createApi, type Answer } from "../../../src/api/app.ts";
import { JobRunner } from "../../../src/api/job-runner.ts";
import { openApiFixture, CONTROL, type ApiFixture } from "../../support/api-fixture.ts";

function movingClock() {
  let seconds = 0;
  const clock: Clock = { ...systemClock, monotonic: () => seconds * 1e6 };
  return { clock, pass: (more: number): void => void (seconds += more) };
}

test("a bucket gives its burst, then so many a second, and never more than its burst", () => {
  const { clock, pass } = movingClock();
  const buckets = new Buckets(clock, { burst: 3, perSecond: 2 });
  expect([1, 2, 3].map(() => buckets.take("a"))).toEqual([0, 0, 0]);
  expect(buckets.take("a")).toBeCloseTo(0.5);
  expect(buckets.take("b")).toBe(0);
  pass(0.5);
  expect(buckets.take("a")).toBe(0);
  expect(buckets.take("a")).toBeGreaterThan(0);
  pass(3600);
  expect([1, 2, 3, 4].map(() => buckets.take("a") > 0)).toEqual([false, false, false, true]);
});

test("the table forgets what is full again, and is bounded when nothing is", () => {
  const { clock, pass } = movingClock();
  const buckets = new Buckets(clock, { burst: 2, perSecond: 1 });
  for (let i = 0; i < 10_500; i++) buckets.take(`key ${i}`);
  expect(buckets.size).toBe(10_000);
  pass(2);
  buckets.take("one more");
  expect(buckets.size).toBe(1);
});

test.each([
  ["192.0.2.7", "192.0.2.7"],
  ["::ffff:192.0.2.7", "192.0.2.7"],
  ["2001:db8:1:2:3:4:5:6", "2001:db8:1:2"],
  ["2001:DB8:1:2::9", "2001:db8:1:2"],
  ["2001:db8::9", "2001:db8:0:0"],
  ["fe80::1%eth0", "fe80:0:0:0"],
  ["::1", "0:0:0:0"],
  ["", ""],
])("placeOf(%p) is %p", (address, place) => expect(placeOf(address)).toBe(place));

const SLOW = { burst: 2, perSecond: 0.1 };
const FAST = { burst: 1e6, perSecond: 1e6 };
const asTcp = (from: string) => ({ via: "tcp", from, secure: false }) as const;
const request = (path: string, init: RequestInit = {}): Request => {
  const made = new Request(`http://127.0.0.1${path}`, init);
  made.headers.set("host", "127.0.0.1");
  return made;
};

/** An API for which no time passes, however slow the machine is. */
function limited({ context }: ApiFixture, rates: Rates): Answer {
  const { catalog, log } = context;
  return createApi({ ...context, jobs: new JobRunner({ catalog, log, clock: movingClock().clock }), rates });
}

test("too many requests are 429 with Retry-After, by address; the control socket is free", async () => {
  using api = await openApiFixture();
  const answer = limited(api, { requests: FAST, address: SLOW, signIn: FAST });
  const ask = async (from: string) => await answer(request("/healthz"), asTcp(from));
  expect([(await ask("192.0.2.1")).status, (await ask("192.0.2.1")).status]).toEqual([200, 200]);
  const refused = await ask("192.0.2.1");
  expect(refused.status).toBe(429);
  expect(refused.headers.get("retry-after")).toBe("10");
  expect(refused.headers.get("content-type")).toBe("application/problem+json");
  expect(await refused.json()).toMatchObject({ kind: "unavailable", facts: { retryAfterSeconds: 10 } });
  expect((await ask("192.0.2.2")).status).toBe(200);
  for (let i = 0; i < 9; i++) expect((await answer(request("/healthz"), CONTROL)).status).toBe(200);
});

test("a principal is limited wherever they come from, and sign-in by address", async () => {
  using api = await openApiFixture();
  const answer = limited(api, { requests: SLOW, address: FAST, signIn: SLOW });
  const principal = JSON.stringify({ name: "anna", role: "auditor", machines: [], by: "token" });
  const headers = { "x-test-principal": principal };
  const ask = async (from: string) => (await answer(request("/v1/volumes", { headers }), asTcp(from))).status;
  expect([await ask("192.0.2.1"), await ask("192.0.2.2"), await ask("192.0.2.3")]).toEqual([200, 200, 429]);
  expect((await answer(request("/healthz"), asTcp("192.0.2.1"))).status).toBe(200);
});

test("what the API asks itself is not counted", async () => {
  using api = await openApiFixture();
  await api.volumes.create("web1", 2 ** 20);
  const answer = limited(api, { requests: SLOW, address: SLOW, signIn: FAST });
  const principal = JSON.stringify({ name: "anna", role: "administrator", machines: [], by: "session" });
  const change = (): Request =>
    request("/v1/volumes/web1", {
      method: "PATCH",
      headers: { "x-test-principal": principal, "if-match": "*", "content-type": "application/json" },
      body: JSON.stringify({ sizeBytes: 2 ** 21 }),
    });
  expect((await answer(change(), asTcp("192.0.2.1"))).status).toBe(200);
  expect((await answer(change(), asTcp("192.0.2.1"))).status).toBe(200);
});
