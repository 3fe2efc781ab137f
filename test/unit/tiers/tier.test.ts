/** A tier's operations: what is tried again and what is not, what a put may say, and how fast it goes. */
import { describe, expect, test } from "bun:test";
import { SternwayError } from "../../../src/base/errors.ts";
import { Bandwidth } from "../../../src/tiers/bandwidth.ts";
import { bytesSource, type ObjectSource } from "../../../src/tiers/store.ts";
import type { TierOptions } from "../../../src/tiers/tier.ts";
import type { CountingClock } from "../../support/counting-clock.ts";
import { bytesOf, sourceOf } from "../../support/store-faults.ts";
import { failure, times, withTier } from "../../support/tier-bed.ts";
import { all } from "../../support/world.ts";

describe("tries", () => {
  test("an operation is tried ten times, with a connection made before each try", async () => {
    await withTier(async ({ store, tier, sim }) => {
      store.script("get", ...times(9, "unavailable"));
      expect(await tier.get("x")).toEqual(bytesOf("content"));
      expect(store.calls).toEqual(Array.from({ length: 10 }, () => ["connect", "get"] as const).flat());
      expect(tier.state).toBe("online");
      expect({ attempts: tier.attempts, failures: tier.failures }).toEqual({ attempts: 10, failures: 9 });
      // 100 ms doubling up to 5 s come to 21.3 s in nine pauses; chance takes up to half of each away.
      expect(sim.nowMicros).toBeGreaterThan(10.6e6);
      expect(sim.nowMicros).toBeLessThan(21.4e6);
    });
  });

  test("pauses grow no longer than their longest", async () => {
    await withTier(
      async ({ store, tier, sim }) => {
        store.script("stat", ...times(9, "unavailable"));
        await tier.stat("x");
        expect(sim.nowMicros).toBeLessThan(9 * 200e3);
      },
      { pauseMsMax: 200 },
    );
  });

  test("after the tenth the tier is offline, with that failure as its reason, and who asks is told at once", async () => {
    await withTier(async ({ store, tier, states, sim }) => {
      store.script("remove", ...times(10, "unavailable"));
      const error = await failure(tier.remove("x"));
      expect(error.message).toBe("remove failed: unavailable");
      expect(tier.state).toBe("offline");
      expect(tier.offlineReason).toBe(error);
      expect(tier.since).toBe(sim.clock.wall());
      expect(states).toEqual(["online", "offline"]);

      const [before, calls] = [sim.nowMicros, store.calls.length];
      for (const call of [
        tier.get("x"),
        tier.put("x", sourceOf("")),
        tier.stat("x"),
        all(tier.list("")),
        tier.connect("ours"),
      ]) {
        const refused = await failure(call);
        expect(refused.kind).toBe("unavailable");
        expect(refused.facts).toEqual({ offline: true, reason: "unavailable" });
        expect(refused.cause).toBe(error);
      }
      expect(sim.nowMicros).toBe(before);
      expect(store.calls).toHaveLength(calls);
    });
  });

  test.each(["not_found", "conflict", "denied", "invalid", "corrupt"] as const)(
    "%s is passed on after one try, and the tier stays online",
    async (kind) => {
      await withTier(async ({ store, tier, states }) => {
        store.script("get", kind);
        expect((await failure(tier.get("x"))).kind).toBe(kind);
        expect(store.count("get")).toBe(1);
        expect(states).toEqual(["online"]);
        expect(tier.failures).toBe(0);
      });
    },
  );

  test("what is denied makes the next call connect anew, which finds out whether the place still knows us", async () => {
    await withTier(async ({ store, tier }) => {
      store.script("get", "denied");
      await failure(tier.get("x"));
      store.script("connect", "denied");
      expect((await failure(tier.get("x"))).kind).toBe("unavailable");
      expect(tier.offlineReason?.kind).toBe("denied");
    });
  });

  test("one operation's not_found while another fails does not take the tier offline", async () => {
    await withTier(async ({ store, tier }) => {
      await tier.stat("x");
      const gate = Promise.withResolvers<void>();
      store.script("get", () => gate.promise, "ok");
      store.script("stat", "unavailable");
      const getting = failure(tier.get("x"));
      const asking = tier.stat("x");
      gate.reject(new SternwayError("not_found", "there is no x"));
      expect((await getting).kind).toBe("not_found");
      await asking;
      expect(tier.state).toBe("online");
    });
  });

  test("many who wait share one connection", async () => {
    await withTier(async ({ store, tier }) => {
      await Promise.all([tier.get("a"), tier.get("b"), tier.stat("c")]);
      expect(store.count("connect")).toBe(1);
    });
  });

  test("a failure on an old connection does not discard a newer one", async () => {
    await withTier(async ({ store, tier }) => {
      const gate = Promise.withResolvers<void>();
      store.script("get", () => gate.promise);
      const old = tier.get("a");
      await tier.stat("b");
      await tier.connect("ours");
      expect(store.count("connect")).toBe(2);
      gate.reject(new SternwayError("unavailable", "reset"));
      await old;
      expect(store.count("connect")).toBe(2);
    });
  });

  test("a list that breaks off begins anew, and gives nothing twice", async () => {
    await withTier(async ({ store, tier }) => {
      store.script("list", "unavailable");
      expect((await all(tier.list(""))).map(({ name }) => name)).toEqual(["a", "b", "c"]);
      expect(store.count("list")).toBe(2);
    });
  });

  test("attach and identify are tried again too, and need no connection", async () => {
    await withTier(async ({ store, tier }) => {
      store.script("identify", "unavailable");
      store.script("attach", "unavailable", "conflict");
      expect(await tier.identify()).toBe("ours");
      expect((await failure(tier.attach("ours"))).kind).toBe("conflict");
      expect(store.calls).toEqual(["identify", "identify", "attach", "attach"]);
      expect(tier.state).toBe("connecting");
    });
  });

  test("a tier that is offline can be attached, and is back at once", async () => {
    await withTier(async ({ store, tier, states, sim }) => {
      store.script("connect", "invalid");
      await failure(tier.get("x"));
      expect(await tier.identify()).toBe("ours");
      expect(states).toEqual(["offline"]);
      await tier.attach("ours");
      expect(states).toEqual(["offline", "online"]);
      expect(sim.nowMicros).toBe(0);
      await tier.get("x");
    });
  });

  test("connect() is for the tier's own identity, and says what is wrong with the place", async () => {
    await withTier(async ({ store, tier }) => {
      expect((await failure(tier.connect("another's"))).kind).toBe("invalid");
      expect(store.calls).toEqual([]);
      store.script("connect", "invalid");
      expect((await failure(tier.connect("ours"))).message).toBe("connect failed: invalid");
    });
  });
});

describe("a put", () => {
  test("reads its source from the start for each try", async () => {
    await withTier(async ({ store, tier }) => {
      const text = "0123456789".repeat(500);
      store.script("put", "unavailable", "unavailable");
      await tier.put("x", sourceOf(text));
      expect(new TextDecoder().decode(store.objects.get("x"))).toBe(text);
    });
  });

  test("that meets a conflict after a try of unknown outcome says that it may be its own", async () => {
    await withTier(async ({ store, tier }) => {
      store.script("put", "unavailable", "conflict");
      const error = await failure(tier.put("x", sourceOf("1"), { ifAbsent: true }));
      expect({ kind: error.kind, ambiguous: error.facts["ambiguous"] }).toEqual({ kind: "conflict", ambiguous: true });
    });
  });

  test("that meets a conflict at once, or after mere failures to connect, does not", async () => {
    await withTier(async ({ store, tier }) => {
      store.script("connect", "unavailable", "unavailable");
      store.script("put", "conflict");
      const error = await failure(tier.put("x", sourceOf("1"), { ifAbsent: true }));
      expect({ kind: error.kind, ambiguous: error.facts["ambiguous"] }).toEqual({
        kind: "conflict",
        ambiguous: undefined,
      });
    });
  });

  test("whose source fails is not tried again, and is no failure of the tier's", async () => {
    await withTier(async ({ store, tier, states }) => {
      const damaged = new SternwayError("unavailable", "the disk of this machine does not give it");
      const source: ObjectSource = { sizeBytes: 10, read: () => Promise.reject(damaged) };
      expect(await failure(tier.put("x", source))).toBe(damaged);
      expect(states).toEqual(["online"]);
      expect(tier.failures).toBe(0);
      expect(store.objects.size).toBe(0);
    });
  });
});

describe("bandwidth", () => {
  const limited = (clock: CountingClock): Partial<TierOptions> => ({
    bandwidth: new Bandwidth("1KiB/s", clock, "UTC"),
  });

  test("holds back a put piece by piece", async () => {
    await withTier(async ({ tier, sim }) => {
      await tier.put("x", bytesSource(new Uint8Array(10 * 1024)));
      expect(sim.nowMicros / 1e6).toBeGreaterThan(8.9);
      expect(sim.nowMicros / 1e6).toBeLessThan(10.1);
    }, limited);
  });

  test("makes gets after a large one wait", async () => {
    await withTier(async ({ store, tier, sim }) => {
      store.objects.set("x", new Uint8Array(10 * 1024));
      await tier.get("x");
      expect(sim.nowMicros / 1e6).toBeLessThan(0.1);
      await tier.get("y");
      expect(sim.nowMicros / 1e6).toBeGreaterThan(9.9);
    }, limited);
  });

  test("a put that waits for it is given up when its signal says so", async () => {
    await withTier(async ({ tier, sim, clock }) => {
      const abort = new AbortController();
      clock.timer(2_500, () => abort.abort());
      const error = await failure(tier.put("x", bytesSource(new Uint8Array(2 ** 20)), { signal: abort.signal }));
      expect(error.facts["aborted"]).toBe(true);
      expect(sim.nowMicros).toBe(2.5e6);
      expect(tier.state).toBe("online");
    }, limited);
  });
});
