import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { join } from "node:path";
import { z } from "@hono/zod-openapi";
import { listenHttp, type HttpListener } from "../../../src/api/app.ts";
import { createClient, type Client } from "../../../src/contract/client.ts";
import { openApiFixture, type ApiFixture } from "../../support/api-fixture.ts";

let fixture: ApiFixture;
let listener: HttpListener;
let client: Client;
let checkStopped = false;

beforeAll(async () => {
  fixture = await openApiFixture({
    async *check(request, signal) {
      try {
        yield { line: "progress", what: request.volume ?? "all", done: 0, total: 2 };
        if (request.quick) {
          for (let done = 0; !signal.aborted; done++) {
            yield { line: "progress", what: "endless", done, total: 2 };
            await new Promise((resolve) => setImmediate(resolve));
          }
        }
        yield {
          line: "finding",
          severity: "damage",
          subject: "pack 3",
          message: "frame 7 is damaged",
          facts: { frame: 7 },
        };
        yield { line: "end", findings: 1, objects: 2, bytes: 8192 };
      } finally {
        checkStopped = true;
      }
    },
  });
  const socketPath = join(fixture.dir, "control.sock");
  listener = await listenHttp({ kind: "unix", path: socketPath }, fixture.answer, fixture.context.log);
  client = createClient({ socketPath });
});
afterAll(async () => {
  await listener.stop(100);
  fixture[Symbol.dispose]();
});

async function linesOf<Line>(source: AsyncIterable<Line>): Promise<Line[]> {
  const lines: Line[] = [];
  for await (const line of source) lines.push(line);
  return lines;
}

async function failure(work: Promise<unknown>): Promise<unknown> {
  return work.then(
    () => undefined,
    (error: unknown) => error,
  );
}

describe("createClient() over a unix socket", () => {
  test("changes a part of a channel without undoing what somebody else changed meanwhile", async () => {
    const { directory } = fixture.context.notifier;
    const hook = { kind: "webhook", url: "https://hooks.example.org/a" } as const;
    const { channel } = await client.createChannel({ name: "chat", ...hook });
    const others = (hourlyMax: number): unknown =>
      directory.setChannel("chat", { ...directory.channel("chat").settings, hourlyMax });
    let asked = 0;
    const revised = await client.reviseChannel("chat", (now) => {
      if (++asked === 1) others(7);
      return { ...now, gatherSeconds: 5 };
    });
    expect(asked).toBe(2);
    expect(revised.channel).toEqual({ ...channel, hourlyMax: 7, gatherSeconds: 5 } as typeof channel);
    const endless = client.reviseChannel("chat", (now) => {
      others(++asked);
      return { ...now, gatherSeconds: 9 };
    });
    expect(await failure(endless)).toMatchObject({ kind: "conflict" });
    expect(directory.channel("chat").settings).toMatchObject({ gatherSeconds: 5 });
    await client.deleteChannel("chat");
  });

  test("creates, shows, resizes, lists and deletes a volume", async () => {
    const made = await client.createVolume("round", 2 ** 20);
    expect(made).toMatchObject({ name: "round", sizeBytes: 2 ** 20, attached: 0 });
    expect((await client.volume("round")).createdAt).toMatch(/^2026-11-20T12:00:00\.\d{6}Z$/);
    expect(await client.resizeVolume("round", 2 ** 21)).toMatchObject({ sizeBytes: 2 ** 21 });
    expect((await client.volumes()).map((volume) => volume.name)).toEqual(["round"]);
    await client.deleteVolume("round");
    expect(await client.volumes()).toEqual([]);
  });

  test("reads history: moments, timeline, flush points, bookmarks, diff, rollback, branches, images", async () => {
    await client.createVolume("h", 2 ** 20);
    const live = await fixture.volumes.openLive("h");
    await live.write(4096, new Uint8Array(4096).fill(1), false);
    const first = await live.flush();
    await live.write(65_536, new Uint8Array(8192).fill(2), false);
    await live.flush();

    const moment = await client.resolve("h", `lsn:${first}`);
    expect(moment).toMatchObject({ lsn: first, flushPoint: true });
    const timeline = await client.timeline("h", { from: "-1h", to: "now", buckets: 3 });
    expect(timeline.buckets).toHaveLength(3);
    expect(timeline.buckets.reduce((sum, bucket) => sum + bucket.writtenBytes, 0)).toBe(12_288);
    const page = await client.flushPoints("h", { limit: 1 });
    expect(page.flushPoints.map((point) => point.lsn)).toEqual([first]);
    const rest = await client.flushPoints("h", { after: page.next ?? 0 });
    expect(rest.flushPoints).toHaveLength(1);
    expect(rest.next).toBeUndefined();
    const back = await client.flushPoints("h", { before: rest.flushPoints[0]!.lsn + 1, limit: 1 });
    expect(back).toMatchObject({ flushPoints: rest.flushPoints, next: rest.flushPoints[0]!.lsn });
    expect((await client.flushPoints("h", { before: first })).flushPoints).toEqual([]);
    const both = await client.flushPoints("h", { after: 0, before: 9 }).catch((error: unknown) => error);
    expect(both).toMatchObject({ kind: "invalid" });

    await client.createBookmark("h", { name: "before", at: `lsn:${first}`, note: "by hand" });
    expect(await client.bookmarks("h")).toMatchObject([{ name: "before", lsn: first, note: "by hand" }]);
    const changed = await linesOf(client.diff("h", "bookmark:before"));
    expect(changed).toMatchObject([
      { line: "range", offset: 65_536, length: 8192 },
      { line: "end", ranges: 1, bytes: 8192, from: { lsn: first } },
    ]);

    const conflict = await failure(client.rollback("h", "bookmark:before"));
    expect(conflict).toMatchObject({ name: "SternwayError", kind: "conflict", facts: { attached: 1 } });
    await live.close();
    const rolled = await client.rollback("h", "bookmark:before");
    expect(rolled).toMatchObject({ to: { lsn: first }, undo: `lsn:${rolled.lsn - 1}` });
    const branch = await client.branch("h", rolled.undo, "h2");
    expect(branch.origin).toMatchObject({ volume: "h" });
    expect((await client.branches("h")).map((each) => each.name)).toEqual(["h2"]);

    expect(await client.imageFacts("h", "bookmark:before")).toMatchObject({ sizeBytes: 2 ** 20, lsn: first });
    const image = await client.image("h2", "now", { range: { start: 65_535, end: 65_540 } });
    expect(image.sizeBytes).toBe(2 ** 20);
    expect([...(await new Response(image.body).bytes())]).toEqual([0, 2, 2, 2, 2]);
    const extents = await linesOf(client.extents("h", { at: "bookmark:before" }));
    expect(extents).toMatchObject([
      { kind: "hole", offset: 0, length: 4096 },
      { kind: "data", offset: 4096, length: 4096 },
      { kind: "hole", offset: 8192 },
      { line: "end", dataBytes: 4096 },
    ]);
    await client.deleteBookmark("h", "before");
    expect(await client.bookmarks("h")).toEqual([]);
  });

  test("reads the appliance: health, vault, disks, metrics", async () => {
    expect(await client.health()).toMatchObject({ status: "ok" });
    expect(await client.vault()).toMatchObject({ epoch: 3 });
    expect(await client.disks()).toMatchObject({ store: { low: false } });
    const metrics = await client.metrics();
    expect(metrics).toContain("sternway_resident_bytes");
    expect(metrics).toMatch(/sternway_http_requests_total\{method="GET",status="200"\} \d+/);
  });

  test("checks: findings arrive as lines and are kept as a job and an event", async () => {
    const lines = await linesOf(client.check());
    expect(lines.map((line) => line.line)).toEqual(["progress", "finding", "end"]);
    expect((await client.jobs({ limit: 1 })).jobs).toMatchObject([
      { kind: "check", state: "failed", error: "1 findings" },
    ]);
    expect((await client.events({ limit: 1 })).events).toMatchObject([
      { kind: "damage", level: "alert", subject: "pack 3" },
    ]);
  });

  test("leaving a check leaves it alone; aborting the signal cancels it", async () => {
    checkStopped = false;
    for await (const line of client.check({ quick: true })) {
      if (line.line === "progress" && line.done > 3) break;
    }
    const [left] = (await client.jobs({ limit: 1 })).jobs;
    expect(left).toMatchObject({ kind: "check", state: "running", askedBy: "root" });
    expect(checkStopped).toBe(false);
    const controller = new AbortController();
    const second = async (): Promise<void> => {
      for await (const line of client.check({ quick: true }, controller.signal)) {
        if (line.line === "progress" && line.done > 3) controller.abort(new Error("enough"));
      }
    };
    expect(await failure(second())).toBeInstanceOf(Error);
    expect(await failure(linesOf(client.followJob(left!.id + 1, z.object({ line: z.string() }))))).toMatchObject({
      kind: "conflict",
      message: `job ${left!.id + 1} was cancelled: at the request of root`,
    });
    expect(await client.cancelJob(left!.id)).toMatchObject({ id: left!.id });
    expect(await failure(linesOf(client.followJob(left!.id, z.object({ line: z.string() }))))).toMatchObject({
      kind: "conflict",
    });
    expect(await client.job(left!.id)).toMatchObject({ state: "cancelled", error: "at the request of root" });
    expect(await failure(client.cancelJob(left!.id))).toMatchObject({ kind: "conflict" });
  });

  test("an error comes back with its kind, message, facts and what to do", async () => {
    expect(await failure(client.volume("gone"))).toMatchObject({
      name: "SternwayError",
      kind: "not_found",
      message: "there is no volume gone",
      facts: { volume: "gone", todo: expect.stringContaining("Check what") },
    });
    expect(await failure(client.imageFacts("gone"))).toMatchObject({ kind: "not_found" });
    expect(await failure(linesOf(client.diff("gone", "now")))).toMatchObject({ kind: "not_found" });
    expect(await failure(client.createVolume("x", 5))).toMatchObject({
      kind: "invalid",
      message: expect.stringContaining("sizeBytes: must be at least 512"),
    });
  });

  test("nobody listening is unavailable and says how to start", async () => {
    const lost = createClient({ socketPath: join(fixture.dir, "none.sock") });
    expect(await failure(lost.volumes())).toMatchObject({
      kind: "unavailable",
      message: expect.stringContaining("sternway serve"),
    });
  });

  test("an answer that is not ours, or stops in the middle, is an error", async () => {
    const answers: Record<string, string> = {
      "/v1/volumes": "<html>",
      "/healthz": '{"status":"splendid"}',
      "/v1/volumes/v/diff": '{"line":"range","offset":0,"length":512}\n',
    };
    using server = Bun.serve({
      port: 0,
      hostname: "127.0.0.1",
      fetch: (request) => new Response(answers[new URL(request.url).pathname] ?? "", { status: 200 }),
    });
    const other = createClient({ baseUrl: `http://127.0.0.1:${server.port}` });
    expect(await failure(other.volumes())).toMatchObject({
      kind: "internal",
      message: expect.stringContaining("not JSON"),
    });
    expect(await failure(other.health())).toMatchObject({
      kind: "internal",
      message: expect.stringContaining("status"),
    });
    expect(await failure(linesOf(other.diff("v", "lsn:1")))).toMatchObject({
      kind: "unavailable",
      message: expect.stringContaining("stopped in the middle"),
    });
  });
});
