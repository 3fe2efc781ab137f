import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { connect, type Socket } from "node:net";
import { join } from "node:path";
import { listenHttp, type Answer, type HttpListener } from "../../../src/api/app.ts";
import { openApiFixture, type ApiFixture } from "../../support/api-fixture.ts";

const SIZE = 64 * 2 ** 20;
let fixture: ApiFixture;
let listener: HttpListener;
let base: string;
let port: number;
/** What this is about is below the API: who asks is taken for root. */
const answer: Answer = (request, env) => fixture.answer(request, { ...env, via: "control" });

beforeAll(async () => {
  fixture = await openApiFixture();
  await fixture.volumes.create("big", SIZE);
  const live = await fixture.volumes.openLive("big");
  await live.write(0, new Uint8Array(8 * 2 ** 20).fill(9), false);
  await live.close();
  listener = await listenHttp({ kind: "tcp", host: "127.0.0.1", port: 0 }, answer, fixture.context.log);
  port = listener.address.kind === "tcp" ? listener.address.port : 0;
  base = `http://127.0.0.1:${port}`;
});
afterAll(async () => {
  await listener.stop(100);
  fixture[Symbol.dispose]();
});

async function until(what: string, condition: () => boolean): Promise<void> {
  const deadline = performance.now() + 20_000;
  while (!condition()) {
    if (performance.now() > deadline) throw new Error(`never came true: ${what}`);
    await new Promise((resolve) => setImmediate(resolve));
  }
}

/** Sends raw bytes and collects what comes back until the server closes or `enough`. */
function raw(text: string, enough: (got: string) => boolean): Promise<string> {
  return new Promise((resolve, reject) => {
    let got = "";
    const socket = connect(port, "127.0.0.1", () => socket.write(text));
    const finish = (): void => {
      socket.destroy();
      resolve(got);
    };
    socket.on("data", (part) => {
      got += part.toString("latin1");
      if (enough(got)) finish();
    });
    socket.on("close", finish);
    socket.on("error", reject);
  });
}

describe("listenHttp()", () => {
  test("sends an image with Content-Length and not in chunks", async () => {
    const response = await fetch(`${base}/v1/volumes/big/image`);
    expect(response.headers.get("content-length")).toBe(String(SIZE));
    expect(response.headers.get("transfer-encoding")).toBeNull();
    let got = 0;
    for await (const part of response.body!) got += part.length;
    expect(got).toBe(SIZE);
    expect(fixture.volumes.openCount()).toBe(0);
  });

  test("answers HEAD with the length and no body, and keeps the connection usable", async () => {
    const two =
      "HEAD /v1/volumes/big/image HTTP/1.1\r\nHost: localhost\r\n\r\nGET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    const got = await raw(two, (text) => text.includes('"reasons"'));
    const lower = got.toLowerCase();
    expect(lower).toContain(`content-length: ${SIZE}`);
    expect(got.match(/HTTP\/1\.1 200/g)).toHaveLength(2);
  });

  test("holds a client that does not read to a bounded amount, and frees the device when it goes", async () => {
    const reads: number[] = [];
    const { openAt } = fixture.volumes;
    fixture.volumes.openAt = async (name, moment) => {
      const device = await openAt(name, moment);
      const extents = async (offset: number, length: number) => [{ offset, length, kind: "data" as const }];
      return { ...device, extents, read: async (o, l) => (reads.push(o), new Uint8Array(l)) };
    };
    const socket: Socket = connect(port, "127.0.0.1");
    socket.pause();
    socket.write("GET /v1/volumes/big/image HTTP/1.1\r\nHost: localhost\r\n\r\n");
    await until("reading began", () => reads.length > 2);
    // Reading must come to rest: the same count over many turns of the loop.
    let before = -1;
    let quietTurns = 0;
    await until("reading came to rest", () => {
      quietTurns = before === reads.length ? quietTurns + 1 : 0;
      before = reads.length;
      return quietTurns > 500;
    });
    expect(reads.length).toBeLessThan(SIZE / 2 ** 20 / 2);
    socket.destroy();
    await until("the device was closed", () => fixture.volumes.openCount() === 0);
    fixture.volumes.openAt = openAt;
  });

  test("breaks the connection before Content-Length when a read fails", async () => {
    fixture.volumes.damageAt(6 * 2 ** 20);
    const response = await fetch(`${base}/v1/volumes/big/image`);
    expect(response.status).toBe(200);
    let failed = false;
    let got = 0;
    try {
      for await (const part of response.body!) got += part.length;
    } catch {
      failed = true;
    }
    expect(failed).toBe(true);
    expect(got).toBeLessThan(8 * 2 ** 20);
    await until("the device was closed", () => fixture.volumes.openCount() === 0);
  });

  test("refuses a body over 64 KiB with 413, told or chunked", async () => {
    const head = "POST /v1/volumes HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n";
    const told = await raw(`${head}Content-Length: 70000\r\n\r\n${"x".repeat(70_000)}`, (t) => t.includes("todo"));
    expect(told).toStartWith("HTTP/1.1 413");
    const piece = `${(70_000).toString(16)}\r\n${"x".repeat(70_000)}\r\n`;
    const chunked = await raw(`${head}Transfer-Encoding: chunked\r\n\r\n${piece}0\r\n\r\n`, (t) => t.includes("todo"));
    expect(chunked).toStartWith("HTTP/1.1 413");
  });

  test("survives requests that are not HTTP or have no usable target", async () => {
    for (const text of [
      "\u0000\u0001garbage\r\n\r\n",
      "GET http://evil.example/ HTTP/1.1\r\nHost: x\r\n\r\n",
      "OPTIONS * HTTP/1.1\r\nHost: localhost\r\n\r\n",
    ]) {
      const got = await raw(text, (t) => t.includes("\r\n\r\n"));
      if (got !== "") expect(got).toMatch(/^HTTP\/1\.1 4\d\d/);
    }
    expect((await fetch(`${base}/healthz`)).status).toBe(200);
  });

  test("keeps so many connections of one address, and takes the next when one has ended", async () => {
    const limits = { total: 9, perAddress: 2 };
    const limited = await listenHttp(
      { kind: "tcp", host: "127.0.0.1", port: 0 },
      answer,
      fixture.context.log,
      undefined,
      limits,
    );
    const at = limited.address.kind === "tcp" ? limited.address.port : 0;
    const open = (): { socket: Socket; told: Promise<string> } => {
      const socket = connect(at, "127.0.0.1", () => socket.write("GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"));
      const told = new Promise<string>((resolve) => {
        socket.on("data", (part) => resolve(part.toString("latin1").slice(0, 12)));
        socket.on("close", () => resolve("closed"));
        socket.on("error", () => resolve("closed"));
      });
      return { socket, told };
    };
    const first = open();
    expect(await first.told).toBe("HTTP/1.1 200");
    const second = open();
    expect(await second.told).toBe("HTTP/1.1 200");
    expect(await open().told).toBe("closed");
    first.socket.destroy();
    // The server hears of the end when it hears of it.
    for (let told = "closed", tries = 0; told === "closed"; tries++) {
      expect(tries).toBeLessThan(1_000);
      told = await open().told;
    }
    second.socket.destroy();
    await limited.stop(10);
  });

  test("is unavailable with the address when the port is taken", async () => {
    const again = listenHttp({ kind: "tcp", host: "127.0.0.1", port }, fixture.answer, fixture.context.log);
    await expect(again).rejects.toMatchObject({ kind: "unavailable", facts: { code: "EADDRINUSE" } });
  });

  test("stop() lets a running answer end", async () => {
    const path = join(fixture.dir, "stop.sock");
    const local = await listenHttp({ kind: "unix", path }, fixture.answer, fixture.context.log);
    const response = await fetch("http://localhost/v1/volumes/big/image?at=lsn:1", { unix: path });
    const stopped = local.stop(5_000);
    let got = 0;
    for await (const part of response.body!) got += part.length;
    expect(got).toBe(SIZE);
    await stopped;
    await expect(fetch("http://localhost/healthz", { unix: path })).rejects.toThrow();
  });

  test("stop() breaks off an answer that outlasts the grace", async () => {
    const path = join(fixture.dir, "grace.sock");
    const local = await listenHttp({ kind: "unix", path }, fixture.answer, fixture.context.log);
    const socket = connect(path);
    socket.pause();
    socket.write("GET /v1/volumes/big/image?at=lsn:1 HTTP/1.1\r\nHost: x\r\n\r\n");
    await until("the stream began", () => fixture.volumes.openCount() === 1);
    await local.stop(10);
    await until("the device was closed", () => fixture.volumes.openCount() === 0);
    socket.destroy();
  });

  test("lets others have their turn while it sends what is there at once", async () => {
    let left = 400;
    let answeredAt = -1;
    const socketPath = join(fixture.dir, "turns.sock");
    const work: Answer = async (request) => {
      if (new URL(request.url).pathname === "/short") {
        answeredAt = left;
        return new Response("short");
      }
      const body = new ReadableStream<Uint8Array>({
        pull(controller) {
          const until = performance.now() + 1;
          while (performance.now() < until);
          controller.enqueue(new Uint8Array(8));
          if (--left === 0) controller.close();
        },
      });
      return new Response(body);
    };
    const local = await listenHttp({ kind: "unix", path: socketPath }, work, fixture.context.log);
    const ask = (path: string): Promise<Response> => fetch(`http://localhost${path}`, { unix: socketPath });
    const long = ask("/long").then((response) => response.arrayBuffer());
    await until("it is being sent", () => left < 400);
    expect(await (await ask("/short")).text()).toBe("short");
    expect(answeredAt).toBeGreaterThan(0);
    expect((await long).byteLength).toBe(3_200);
    await local.stop(10);
  });
});
