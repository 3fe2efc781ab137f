/**
 * Every route of the API is hit with what its own schemas make: right requests, and wrong ones. Whatever comes, the answer is a success or a problem document
 * that says what to do; never a stack trace, and never a 5xx but a typed `unavailable`. A failure prints its seed and the smallest request that shows it;
 * the usual seed is one, `TEST_SEED=n` is another, and `STERNWAY_SOAK=1` asks five times as much by a random one.
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { connect } from "node:net";
import { join } from "node:path";
import fc from "fast-check";
import { verifyAudit } from "../../src/audit/audit.ts";
import { realDisk } from "../../src/base/real-disk.ts";
import { PROBLEM_TYPE, problemSchema, routes, type OperationId } from "../../src/contract/contract.ts";
import { CONTROL, openApiFixture, type ApiFixture } from "../support/api-fixture.ts";
import { requestsTo, type BadRequest } from "../support/bad-requests.ts";
import { DaemonProcess, removeScratch, scratchFolder } from "../support/daemon-process.ts";

const operations = Object.keys(routes) as OperationId[];
const isSoak = process.env["STERNWAY_SOAK"] === "1";
const SOAK = isSoak ? 5 : 1;
const seed = Number(process.env["TEST_SEED"] ?? (isSoak ? Math.floor(Math.random() * 2 ** 31) : 1));
/** A file and a line, as stacks print them, or a path inside our sources. No time of the day: events and the audit say "at", and then when. */
const STACK = /\bat .{1,200}[^\d\s]:\d+:\d+|\.(?:ts|js):\d+|node_modules|\/src\/[a-z]+\//;

/** What is wrong with an answer; undefined: nothing. */
async function faultOf(response: Response, method: string): Promise<string | undefined> {
  const { status } = response;
  const type = response.headers.get("content-type") ?? "";
  if (status < 400) {
    await response.body?.cancel();
    return undefined;
  }
  const text = method === "HEAD" ? "" : await response.text();
  if (STACK.test(text)) return `a stack trace: ${text.slice(0, 400)}`;
  if (method === "HEAD") return status >= 500 && status !== 503 && status !== 507 ? `status ${status}` : undefined;
  // The health of an appliance that stops is no error of the request.
  if (!type.startsWith(PROBLEM_TYPE)) return `status ${status} as ${type}: ${text.slice(0, 400)}`;
  const problem = problemSchema.safeParse(JSON.parse(text));
  if (!problem.success) return `no problem document: ${text.slice(0, 400)}`;
  const { kind, detail, todo } = problem.data;
  if (problem.data.status !== status) return `status ${status}, and ${problem.data.status} in the document`;
  if (status >= 500 && kind !== "unavailable") return `status ${status}, ${kind}: ${detail}`;
  return detail === "" || todo === "" ? "it does not say what happened or what to do" : undefined;
}

test("a stack is found in a text, and a moment's time is none", () => {
  const stack = new Error("for its stack").stack ?? "";
  expect(stack.slice(0, 20_000)).toMatch(STACK);
  expect("at run (native:1:11)").toMatch(STACK);
  const told = '"rolled back to the moment at bookmark:b1"},{"id":7,"time":"2026-11-21T13:44:58.631401Z"}';
  expect(told).not.toMatch(STACK);
  expect('"at vault","name":"0000-00-00T00:00:00Z"').not.toMatch(STACK);
});

describe("the API", () => {
  const post = (body: unknown): RequestInit => ({
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(body),
  });

  /** Things to be found, so that requests get past "no such thing". What cannot be made is left out. */
  async function furnish(api: ApiFixture): Promise<void> {
    await volumesOf(api);
    const things: [path: string, body: unknown][] = [
      ["/v1/machines", { name: "web", volumes: ["web1"] }],
      ["/v1/accounts", { name: "ann", role: "operator", password: "a long enough password" }],
      ["/v1/schedules", { name: "nightly", when: { cron: "0 3 * * *" }, task: { kind: "check" } }],
      ["/v1/check", {}],
    ];
    for (const [path, body] of things) await (await api.ask(path, post(body))).body?.cancel();
  }

  /** Volumes, made anew when a request took them away. */
  async function volumesOf(api: ApiFixture): Promise<void> {
    const there = new Set(api.volumes.list().map(({ name }) => name));
    for (const name of ["web1", "db1"]) {
      if (there.has(name)) continue;
      await api.volumes.create(name, 2 ** 20);
      await api.volumes.bookmark(name, "b1", { kind: "now" }, "");
    }
  }

  test.each(operations)(
    "%s answers any request with a success or a problem",
    async (operation) => {
      using api = await openApiFixture();
      await furnish(api);
      let made = 0;
      const pems = { certificatePem: "CERTIFICATE", keyPem: "KEY", authorityPem: "AUTHORITY" };
      api.context.credentials.make = async () => ({ ...pems, fingerprint: `fingerprint ${made++}` });
      const check = fc.asyncProperty(requestsTo(operation), async ({ method, target, headers, body }) => {
        await volumesOf(api);
        const stop = new AbortController();
        const init = {
          method,
          headers,
          signal: stop.signal,
          ...(body === undefined ? {} : { body: Buffer.from(body, "latin1") }),
        };
        const response = await api.answer(new Request(`http://localhost${target}`, init), CONTROL);
        const fault = await faultOf(response, method);
        stop.abort();
        expect(fault).toBeUndefined();
      });
      await fc.assert(check, { numRuns: 100 * SOAK, seed });
      // Not even one that is unavailable: nothing is, and what the catalog refuses should have been refused before.
      expect(api.logged.filter((line) => line.includes('"level":"error"')).slice(0, 3)).toEqual([]);
    },
    120_000,
  );
});

/** More of an answer is not looked at. */
const ANSWER_LENGTH_MAX = 2 ** 20;

describe("a real daemon", () => {
  /** What would cost too much disk or time, or take away the vault that the others need. */
  const LEFT_OUT = new Set<string>([
    ...["createVault", "openVaultFrom", "addTier", "addReceived"],
    ...["deleteVault", "lockVault", "unlockVault", "takeOverVault", "refreshVault"],
    "followJob",
  ]);
  const folder = scratchFolder();
  let daemon: DaemonProcess;
  beforeAll(async () => {
    daemon = await DaemonProcess.start(join(folder, "data"), {
      config: { storage: { journalFileBytes: 4 * 2 ** 20 } },
    });
  });
  afterAll(async () => {
    await (daemon as DaemonProcess | undefined)?.[Symbol.asyncDispose]();
    removeScratch(folder);
  });

  /** Sends bytes to the control socket. @param ends - and says that no more will come @returns what comes back until the other side closes, or falls silent */
  function exchange(bytes: Uint8Array | string, ends = false): Promise<string> {
    const { promise, resolve } = Promise.withResolvers<string>();
    let got = "";
    const socket = connect(daemon.addresses.control, () => (ends ? socket.end(bytes) : socket.write(bytes)));
    socket.setTimeout(5_000, () => socket.destroy());
    socket.on("data", (part) => {
      got += part.toString("latin1");
      // An image may be of any size.
      if (got.length > ANSWER_LENGTH_MAX) socket.destroy();
    });
    // A connection that is broken off is an answer too: what came before counts.
    socket.on("error", () => socket.destroy());
    socket.on("close", () => resolve(got));
    return promise;
  }

  const onWire = ({ method, target, headers, body }: BadRequest): Buffer => {
    const all = {
      host: "localhost",
      connection: "close",
      ...headers,
      ...(body === undefined ? {} : { "content-length": String(body.length) }),
    };
    const head = Object.entries(all).map(([name, value]) => `${name}: ${value}\r\n`);
    return Buffer.from(`${method} ${target} HTTP/1.1\r\n${head.join("")}\r\n${body ?? ""}`, "latin1");
  };

  test("answers whatever its schemas make, over the control socket", async () => {
    const kinds = new Set<string>();
    for (const operation of operations.filter((each) => !LEFT_OUT.has(each))) {
      const requests = fc.sample(requestsTo(operation), { numRuns: 6 * SOAK, seed });
      if (!(await daemon.client.volumes()).some(({ name }) => name === "web1")) {
        await daemon.client.createVolume("web1", 2 ** 20);
        await daemon.client.createBookmark("web1", { name: "b1" });
      }
      for (const request of requests) {
        const answer = await exchange(onWire(request));
        const status = /^HTTP\/1\.1 (\d{3})/.exec(answer)?.[1] ?? "none";
        kinds.add(status);
        const isFault =
          STACK.test(answer.slice(0, 20_000)) || (status.startsWith("5") && !answer.includes('"kind":"unavailable"'));
        expect(isFault ? { request, answer: answer.slice(0, 2000) } : undefined).toBeUndefined();
      }
    }
    expect([...kinds]).toContain("200");
    expect([...kinds]).toContain("400");
    expect((await daemon.client.health()).status).not.toBe("stopping");
  }, 120_000);

  const LONG = "x".repeat(70_000);
  const HOST = "Host: localhost\r\nConnection: close\r\n";
  const JSON_TYPE = "Content-Type: application/json\r\n";
  test.each([
    ["no HTTP at all", "hello\r\n\r\n"],
    ["bytes", Buffer.from(Array.from({ length: 512 }, (_, i) => i % 256))],
    ["a TLS greeting", Buffer.from("160301020001000001fc0303", "hex")],
    ["a line without an end", "GET /v1/volumes HTTP/1.1"],
    ["a full address", `GET http://evil.example/v1/volumes HTTP/1.1\r\n${HOST}\r\n`],
    ["no path", `GET * HTTP/1.1\r\n${HOST}\r\n`],
    ["another protocol's connect", `CONNECT web1:80 HTTP/1.1\r\n${HOST}\r\n`],
    ["a trace", `TRACE / HTTP/1.1\r\n${HOST}\r\n`],
    ["a method of its own", `BREW /v1/volumes HTTP/1.1\r\n${HOST}\r\n`],
    ["HTTP/0.9", "GET /\r\n"],
    ["HTTP/9.9", `GET / HTTP/9.9\r\n${HOST}\r\n`],
    ["a path of 70,000 characters", `GET /v1/${LONG} HTTP/1.1\r\n${HOST}\r\n`],
    ["a header of 70,000 characters", `GET /v1/volumes HTTP/1.1\r\nX: ${LONG}\r\n${HOST}\r\n`],
    ["5,000 headers", `GET /v1/volumes HTTP/1.1\r\n${"X: y\r\n".repeat(5000)}${HOST}\r\n`],
    [
      "a body that is too large",
      `POST /v1/volumes HTTP/1.1\r\n${HOST}${JSON_TYPE}Content-Length: 70000\r\n\r\n${LONG}`,
    ],
    ["a body shorter than promised", `POST /v1/volumes HTTP/1.1\r\n${HOST}${JSON_TYPE}Content-Length: 500\r\n\r\n{}`],
    ["a length below zero", `POST /v1/volumes HTTP/1.1\r\n${HOST}${JSON_TYPE}Content-Length: -5\r\n\r\n{}`],
    [
      "two lengths",
      `POST /v1/volumes HTTP/1.1\r\n${HOST}${JSON_TYPE}Content-Length: 2\r\nContent-Length: 40\r\n\r\n{}`,
    ],
    [
      "a length and chunks",
      `POST /v1/volumes HTTP/1.1\r\n${HOST}${JSON_TYPE}Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n{}`,
    ],
    [
      "a chunk of no size",
      `POST /v1/volumes HTTP/1.1\r\n${HOST}${JSON_TYPE}Transfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n0\r\n\r\n`,
    ],
    [
      "a chunk without end",
      `POST /v1/volumes HTTP/1.1\r\n${HOST}${JSON_TYPE}Transfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\n{}`,
    ],
    ["a header that is folded", `GET /v1/volumes HTTP/1.1\r\nX: a\r\n b\r\n${HOST}\r\n`],
    ["a header with a zero", `GET /v1/volumes HTTP/1.1\r\nX: a\u0000b\r\n${HOST}\r\n`],
    ["an answer from the future", `GET /healthz HTTP/1.1\r\nExpect: 300-future\r\n${HOST}\r\n`],
    ["an upgrade", `GET /healthz HTTP/1.1\r\nUpgrade: h2c\r\nConnection: Upgrade, close\r\nHost: localhost\r\n\r\n`],
  ] as [string, string | Buffer][])(
    "takes %s for what it is, and serves on",
    async (_name, bytes) => {
      const answer = await exchange(bytes, true);
      expect(answer.slice(0, 300)).not.toMatch(/^HTTP\/1\.1 5/);
      expect(answer.slice(0, 20_000)).not.toMatch(STACK);
      expect(await daemon.client.volumes()).toBeArray();
    },
    30_000,
  );

  test("has nothing to complain of in its log, and its audit holds", async () => {
    expect(daemon.running).toBe(true);
    // What was not possible at the time is no defect: some of the requests close what others ask for.
    const complaints = daemon.complaints
      .filter((line) => (line["err"] as { kind?: string } | undefined)?.kind !== "unavailable")
      .map((line) => JSON.stringify(line).slice(0, 600));
    expect(complaints).toEqual([]);
    expect((await daemon.stop()).code).toBe(0);
    const report = await verifyAudit(realDisk, daemon.dataDir);
    expect(report.findings).toEqual([]);
    expect(report.entries).toBeGreaterThan(50);
  }, 60_000);
});
