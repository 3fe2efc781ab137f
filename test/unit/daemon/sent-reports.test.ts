import { expect, test } from "bun:test";
import { Scheduler } from "../../../src/automation/scheduler.ts";
import { Simulation } from "../../../src/base/simulation.ts";
import { formatTime, parseTime } from "../../../src/base/units.ts";
import { sendableSourcesOf } from "../../../src/api/app.ts";
import { sendReportOf, spanBefore } from "../../../src/daemon/sent-reports.ts";
import { openApiFixture, type ApiFixture } from "../../support/api-fixture.ts";

test("spanBefore() takes whole days of the zone, also across a change of the clock", () => {
  const text = (span: "day" | "week" | "month", now: string): string[] => {
    const { from, to } = spanBefore(span, parseTime(now)!, "Europe/Berlin");
    return [formatTime(from).slice(0, 16), formatTime(to).slice(0, 16)];
  };
  expect(text("day", "2026-11-20T04:30:00Z")).toEqual(["2026-11-18T23:00", "2026-11-19T23:00"]);
  // 25 October has 25 hours in Berlin.
  expect(text("day", "2026-10-26T04:30:00Z")).toEqual(["2026-10-24T22:00", "2026-10-25T23:00"]);
  expect(text("week", "2026-11-20T04:30:00Z")).toEqual(["2026-11-12T23:00", "2026-11-19T23:00"]);
  expect(text("month", "2026-03-31T04:30:00Z")).toEqual(["2026-02-27T23:00", "2026-03-30T22:00"]);
});

/** An appliance with a channel. */
async function applianceWithChannel(): Promise<ApiFixture> {
  const api = await openApiFixture();
  const common = { enabled: true, details: "full", hourlyMax: 20, gatherSeconds: 60, plaintext: false } as const;
  const url = "https://hooks.example.org/";
  api.context.notifier.directory.createChannel("ops", { ...common, kind: "webhook", url });
  return api;
}

test("sendReportOf() queues the report for its channel", async () => {
  using api = await applianceWithChannel();
  const { notifier, catalog } = api.context;
  const sendThrough = (channel: string): Promise<string> =>
    sendReportOf({ report: "growth", span: "day", channel }, notifier, () => sendableSourcesOf(api.context));
  await expect(sendThrough("nowhere")).rejects.toMatchObject({ kind: "not_found" });
  expect(await sendThrough("ops")).toContain("channel ops");
  const [delivery] = catalog.notify.deliveries({ limit: 1 });
  expect(delivery).toMatchObject({ channel: "ops", state: "waiting" });
  expect(JSON.parse(delivery!.content)).toMatchObject({ type: "report", data: { kind: "growth" } });
});

test("a schedule's reports follow one another without a gap, through ends of months, a change of the clock and a time off", async () => {
  using api = await applianceWithChannel();
  const { notifier, catalog } = api.context;
  const start = parseTime("2026-09-15T12:00:00Z")!;
  const sim = new Simulation(1, start);
  const task = { kind: "report", report: "growth", span: "month", channel: "ops" } as const;
  const timing = { kind: "calendar", expression: "0 6 1 * *", timeZone: "Europe/Berlin", jitterSeconds: 0 } as const;
  const common = { name: "monthly", key: "1a2b3c4d", description: "", createdAt: start, handledAt: start } as const;
  const open = (): Scheduler =>
    new Scheduler({
      table: catalog.schedules,
      clock: sim.clock,
      log: api.context.log,
      startJob: (_kind, _subject, work) => ({
        id: Promise.resolve(undefined),
        ended: work({ signal: new AbortController().signal, progress: () => undefined }),
      }),
      perform: async () =>
        await sendReportOf(task, notifier, async () => ({
          ...(await sendableSourcesOf(api.context)),
          zone: "Europe/Berlin",
          now: () => sim.clock.wall(),
        })),
      subjectOf: () => "growth through ops",
      tell: () => undefined,
    });
  await sim.run(async () => {
    const scheduler = open();
    scheduler.add({ ...common, task, timing, missed: "run", state: "active" });
    scheduler.start();
    await sim.clock.sleep(50 * 86_400_000);
    await scheduler.stop();
    // Off on the 1st of December; the report is made up three hours late.
    await sim.clock.sleep((parseTime("2026-12-01T08:00:00Z")! - sim.clock.wall()) / 1000);
    const second = open();
    second.start();
    await sim.clock.sleep(86_400_000);
    await second.stop();
  });
  const spans = catalog.notify
    .deliveries({ limit: 9 })
    .map(({ content }) => JSON.parse(content) as { data: { from: string; to: string } })
    .map(({ data }) => [data.from.slice(0, 16), data.to.slice(0, 16)])
    .reverse();
  expect(spans).toEqual([
    ["2026-08-31T22:00", "2026-09-30T22:00"],
    ["2026-09-30T22:00", "2026-10-31T23:00"],
    ["2026-10-31T23:00", "2026-11-30T23:00"],
  ]);
});
