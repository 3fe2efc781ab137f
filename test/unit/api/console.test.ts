/** The console's files as the API gives them: to whom, with which headers, and what stays a problem document. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { PROBLEM_TYPE } from "../../../src/contract/contract.ts";
import { LOOPBACK, openApiFixture, type ApiFixture } from "../../support/api-fixture.ts";

let fixture: ApiFixture;
beforeAll(async () => {
  fixture = await openApiFixture();
});
afterAll(() => fixture[Symbol.dispose]());

const HTML = "text/html,application/xhtml+xml,*/*;q=0.8";

/** Asks as a browser in which nobody has signed in. */
function browse(path: string, headers: Record<string, string> = {}, method = "GET"): Promise<Response> {
  const all = { host: "127.0.0.1:7480", accept: HTML, ...headers };
  return fixture.answer(new Request(`http://127.0.0.1:7480${path}`, { method, headers: all }), LOOPBACK);
}

describe("the console's page", () => {
  test("is given for every path of the console, to whoever asks", async () => {
    for (const path of ["/", "/volumes/web1", "/restore?volume=web1", "/nowhere"]) {
      const response = await browse(path);
      expect({ path, status: response.status, type: response.headers.get("content-type") }).toEqual({
        path,
        status: 200,
        type: "text/html; charset=utf-8",
      });
    }
  });

  test("comes with a policy that allows its own files alone", async () => {
    const policy = (await browse("/")).headers.get("content-security-policy") ?? "";
    for (const part of [
      "default-src 'none'",
      "script-src 'self'",
      "style-src 'self'",
      "frame-ancestors 'none'",
      "base-uri 'none'",
      "form-action 'self'",
    ]) {
      expect(policy).toContain(part);
    }
    expect(policy).not.toMatch(/unsafe|https?:|\*/);
  });

  test("is asked for anew each time, which its tag makes cheap", async () => {
    const first = await browse("/");
    expect(first.headers.get("cache-control")).toBe("no-cache");
    const again = await browse("/", { "if-none-match": first.headers.get("etag") ?? "" });
    expect({ status: again.status, body: await again.text() }).toEqual({ status: 304, body: "" });
    expect((await browse("/", { "if-none-match": '"other"' })).status).toBe(200);
  });

  test("does not hide what is the API's: there errors stay problem documents", async () => {
    for (const path of ["/v1/nothing", "/v1", "/assets/nothing.js", "/openapi.json/x", "/metricsx/../v1/x"]) {
      const response = await browse(path);
      expect({ path, type: response.headers.get("content-type") }).toEqual({ path, type: PROBLEM_TYPE });
    }
  });

  test("is not what a program gets that asks for an unknown path", async () => {
    for (const accept of ["application/json", "*/*", "text/htmlx", "image/png"]) {
      const response = await browse("/nowhere", { accept });
      expect({ accept, type: response.headers.get("content-type") }).toEqual({ accept, type: PROBLEM_TYPE });
    }
  });

  test("takes no other method", async () => {
    expect((await browse("/", {}, "POST")).status).toBeGreaterThanOrEqual(400);
  });
});

describe("an asset", () => {
  const path = "/assets/main-0.js";

  test("may be kept for ever, and is no page even for a browser", async () => {
    const response = await browse(path);
    expect(response.headers.get("cache-control")).toContain("immutable");
    expect(response.headers.get("content-type")).toBe("text/javascript; charset=utf-8");
    expect(response.headers.get("x-content-type-options")).toBe("nosniff");
  });

  test("is compressed for whoever takes that, with a tag of its own", async () => {
    const plain = await browse(path);
    const packed = await browse(path, { "accept-encoding": "br, gzip" });
    expect(packed.headers.get("content-encoding")).toBe("gzip");
    expect(packed.headers.get("vary")).toBe("accept-encoding");
    expect(packed.headers.get("etag")).not.toBe(plain.headers.get("etag"));
    expect(new TextDecoder().decode(Bun.gunzipSync(await packed.arrayBuffer()))).toBe(await plain.text());
    for (const refused of ["gzip;q=0", "identity", "gzipped"]) {
      const response = await browse(path, { "accept-encoding": refused });
      expect({ refused, encoding: response.headers.get("content-encoding") }).toEqual({ refused, encoding: null });
    }
  });
});
