import { describe, expect, test } from "bun:test";
import { micros } from "../../../src/base/units.ts";
import type { NamedAlarm, VolumeSignals } from "../../../src/signals/signals.ts";
import { openApiFixture, type ApiFixture } from "../../support/api-fixture.ts";

const AT = micros(1_795_000_000_000_000);
const alarm = (id: number, volume: string | undefined): NamedAlarm => ({
  id,
  volume,
  vault: volume === undefined ? undefined : "default",
  raisedAt: AT,
  firstLsn: 20,
  firstAt: AT,
  beforeLsn: 17,
  beforeAt: AT,
  flushPoint: true,
  hold: "before-suspicion-1",
  turned: 1000,
  perMinute: 1000,
  share: 0.8,
  endedAt: null,
  acknowledgedAt: null,
  acknowledgedBy: null,
  verdict: null,
  note: null,
});

async function story(tell: (api: ApiFixture) => Promise<void>): Promise<void> {
  using api = await openApiFixture();
  await api.volumes.create("web1", 2 ** 20);
  const list = [alarm(3, "web1"), alarm(2, "db1"), alarm(1, undefined)];
  api.context.signals.alarms = ({ before = 9, limit }) => list.filter(({ id }) => id < before).slice(0, limit);
  await tell(api);
}

const post = (body: unknown): RequestInit => ({
  method: "POST",
  body: JSON.stringify(body),
  headers: { "content-type": "application/json" },
});

describe("routes of alarms", () => {
  test("list them in pages, newest first, in the contract's words", () =>
    story(async (api) => {
      const page = (await (await api.ask("/v1/alarms?limit=2")).json()) as { alarms: unknown[]; next: number };
      expect(page).toMatchObject({ alarms: [{ id: 3 }, { id: 2 }], next: 2 });
      expect(page.alarms[0]).toMatchObject({
        volume: "web1",
        state: "open",
        before: { lsn: 17, flushPoint: true },
        turnedBytes: 4_096_000,
      });
      const last = (await (await api.ask("/v1/alarms?limit=2&before=2")).json()) as object;
      expect(last).toMatchObject({ alarms: [{ id: 1 }] });
      expect(last).not.toHaveProperty("next");
    }));

  test("are not for somebody with machines of their own, who sees them with their volumes' signals", () =>
    story(async (api) => {
      const mine = { role: "self-service", machines: ["shop"] } as const;
      expect((await api.askAs(mine, "/v1/alarms")).status).toBe(403);
      expect((await api.askAs(mine, "/v1/alarms/3/acknowledge", post({ verdict: "mine" }))).status).toBe(403);
    }));

  test("take what somebody says it was, with their name, once", () =>
    story(async (api) => {
      const said: unknown[] = [];
      api.context.signals.acknowledge = (id, answer) => {
        said.push([id, answer]);
        return {
          ...alarm(id, "web1"),
          acknowledgedAt: AT,
          acknowledgedBy: answer.by,
          verdict: answer.verdict,
          note: answer.note,
        };
      };
      const response = await api.askAs(
        { role: "operator", name: "anna" },
        "/v1/alarms/3/acknowledge",
        post({ verdict: "attack", note: "found" }),
      );
      expect(response.status).toBe(200);
      expect(await response.json()).toMatchObject({ acknowledged: { by: "anna", verdict: "attack", note: "found" } });
      expect(said).toEqual([[3, { by: "anna", verdict: "attack", note: "found" }]]);
      expect(api.context.catalog.events({ limit: 1 })[0]).toMatchObject({
        kind: "alarm-acknowledged",
        subject: "web1",
      });
      for (const body of [{}, { verdict: "yes" }, { verdict: "mine", more: 1 }]) {
        expect((await api.ask("/v1/alarms/3/acknowledge", post(body))).status).toBe(400);
      }
      for (const id of ["0", "x", "-1", "1e3"]) {
        expect((await api.ask(`/v1/alarms/${id}/acknowledge`, post({ verdict: "mine" }))).status).toBe(400);
      }
    }));

  test("say that there is no such alarm", () =>
    story(async (api) => {
      expect((await api.ask("/v1/alarms/77/acknowledge", post({ verdict: "mine" }))).status).toBe(404);
    }));
});

describe("routes of a volume's signals", () => {
  test("answer with the series, shares left out where nothing was written", () =>
    story(async (api) => {
      const empty = {
        compressibility: undefined,
        newShare: undefined,
        duplicateShare: undefined,
        rewriteShare: undefined,
      };
      const asked: unknown[] = [];
      api.context.signals.series = (volume, range): VolumeSignals => {
        asked.push([volume, range]);
        return {
          sensitivity: "normal",
          score: 0.25,
          from: AT,
          to: micros(AT + 2e6),
          buckets: [
            { from: AT, to: micros(AT + 1e6), blocks: 0, turned: 0, ...empty },
            {
              from: micros(AT + 1e6),
              to: micros(AT + 2e6),
              blocks: 2,
              turned: 1,
              ...empty,
              compressibility: 0.5,
              newShare: 1,
            },
          ],
          alarms: [alarm(3, "web1")],
        };
      };
      const response = await api.ask("/v1/volumes/web1/signals?from=2026-11-20T00:00:00Z&buckets=2");
      expect(response.status).toBe(200);
      const body = (await response.json()) as { buckets: object[] };
      expect(body).toMatchObject({ volume: "web1", score: 0.25, alarms: [{ id: 3 }] });
      expect(body.buckets[0]).not.toHaveProperty("compressibility");
      expect(body.buckets[1]).toMatchObject({
        writtenBytes: 8192,
        turnedBytes: 4096,
        compressibility: 0.5,
        newShare: 1,
      });
      expect(asked).toMatchObject([["web1", { bucketCount: 2 }]]);
    }));

  test("refuse what they cannot do, each with its status", () =>
    story(async (api) => {
      expect((await api.ask("/v1/volumes/none/signals")).status).toBe(404);
      // It is there, but nothing watches it here.
      expect((await api.ask("/v1/volumes/web1/signals")).status).toBe(404);
      for (const query of ["buckets=0", "buckets=2001", "from=never", "more=1"]) {
        expect((await api.ask(`/v1/volumes/web1/signals?${query}`)).status).toBe(400);
      }
      const put = (sensitivity: string): RequestInit => ({ ...post({ sensitivity }), method: "PUT" });
      expect((await api.ask("/v1/volumes/web1/signals", put("deaf"))).status).toBe(400);
      api.context.signals.setSensitivity = () => {};
      expect((await api.ask("/v1/volumes/web1/signals", put("off"))).status).toBe(200);
      expect(api.context.catalog.events({ limit: 1 })[0]).toMatchObject({ kind: "signals-set", level: "warning" });
      expect((await api.askAs({ role: "operator" }, "/v1/volumes/web1/signals", put("low"))).status).toBe(403);
    }));
});
