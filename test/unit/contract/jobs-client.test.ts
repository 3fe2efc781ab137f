import { expect, test } from "bun:test";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { z } from "@hono/zod-openapi";
import { createClient } from "../../../src/contract/client.ts";

const lineSchema = z.object({ line: z.string(), number: z.int().optional() });
const JOB = { id: 7, kind: "check", subject: "web1", progress: 1, startedAt: "2026-11-20T12:00:00.000000Z" };
const event = (id: number, name: string, data: object): string =>
  `id: ${id}\nevent: ${name}\ndata: ${JSON.stringify(data)}\n\n`;

type Part = (outgoing: ServerResponse) => void;

/** Answers each request for a job's events by the next of these, and notes from where it was asked to go on. */
async function serving(parts: Part[], use: (base: string, askedFrom: (string | undefined)[]) => Promise<void>) {
  const askedFrom: (string | undefined)[] = [];
  const server = createServer((incoming: IncomingMessage, outgoing) => {
    askedFrom.push(incoming.headers["last-event-id"] as string | undefined);
    outgoing.writeHead(200, { "content-type": "text/event-stream" });
    parts.shift()?.(outgoing);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  try {
    await use(`http://127.0.0.1:${(server.address() as AddressInfo).port}`, askedFrom);
  } finally {
    server.closeAllConnections();
    server.close();
  }
}

const breaking =
  (text: string): Part =>
  (outgoing) =>
    outgoing.write(text, () => outgoing.destroy());

test("followJob() goes on by itself after a broken connection, without a line lost or told twice", async () => {
  const whole = event(2, "line", { line: "finding", number: 2 });
  let cut = (): void => {};
  const parts: Part[] = [
    (outgoing) => {
      outgoing.write(event(1, "line", { line: "finding", number: 1 }) + whole.slice(0, -10));
      cut = () => outgoing.destroy();
    },
    breaking(": the job goes on\n\n"),
    (outgoing) =>
      outgoing.end(whole + event(3, "line", { line: "end", number: 3 }) + event(4, "end", { ...JOB, state: "done" })),
  ];
  await serving(parts, async (baseUrl, askedFrom) => {
    const numbers = [];
    for await (const { number } of createClient({ baseUrl }).followJob(7, lineSchema)) {
      numbers.push(number);
      if (number === 1) cut();
    }
    expect(numbers).toEqual([1, 2, 3]);
    expect(askedFrom).toEqual([undefined, "1", "1"]);
  });
});

test.each([
  ["interrupted", "unavailable", "job 7 was interrupted: the appliance stopped while it ran"],
  ["cancelled", "conflict", "job 7 was cancelled: the appliance stopped while it ran"],
  ["failed", "unavailable", "job 7 failed: the appliance stopped while it ran"],
] as const)("followJob() throws for a job that was %s", async (state, kind, message) => {
  const job = { ...JOB, state, error: "the appliance stopped while it ran" };
  await serving([(outgoing) => outgoing.end(event(1, "end", job))], async (baseUrl) => {
    const following = createClient({ baseUrl }).followJob(7, lineSchema).next();
    await expect(following).rejects.toMatchObject({ kind, message });
  });
});

test("followJob() throws what made the job fail, as it was thrown in the appliance", async () => {
  const problem = {
    type: "urn:sternway:problem:corrupt",
    title: "t",
    status: 500,
    detail: "pack 3 is damaged",
    kind: "corrupt",
    facts: { pack: 3 },
    todo: "x",
  };
  const text = event(1, "line", { line: "failed", problem });
  await serving([(outgoing) => outgoing.end(text)], async (baseUrl) => {
    const schema = z.object({ line: z.string(), problem: z.unknown() });
    const following = createClient({ baseUrl }).followJob(7, schema).next();
    await expect(following).rejects.toMatchObject({ kind: "corrupt", facts: { pack: 3 } });
  });
});

test("followJob() ends when its signal is aborted, also while it waits to try again", async () => {
  const controller = new AbortController();
  await serving([breaking(""), breaking("")], async (baseUrl, askedFrom) => {
    const following = createClient({ baseUrl }).followJob(7, lineSchema, controller.signal).next();
    while (askedFrom.length < 2) await Bun.sleep(1);
    controller.abort(new Error("enough"));
    await expect(following).rejects.toThrow();
    expect(askedFrom.length).toBeLessThan(4);
  });
});
