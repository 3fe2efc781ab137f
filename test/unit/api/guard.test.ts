import { describe, expect, test } from "bun:test";
import { refuse } from "../../../src/api/guard.ts";
import { CONTROL, LOOPBACK, openApiFixture } from "../../support/api-fixture.ts";

describe("refuse()", () => {
  for (const host of ["127.0.0.1:7480", "localhost", "localhost:1", "LOCALHOST:80", "[::1]:7480", "127.8.9.1"]) {
    test(`takes the host ${host}`, () => expect(refuse("GET", new Headers({ host }))).toBeUndefined());
  }
  for (const host of [
    "",
    "evil.example",
    "127.0.0.1.evil.example",
    "localhost.evil.example:80",
    "10.0.0.1",
    "[::2]",
    "127.0.0.999",
    "a@127.0.0.1",
    "0.0.0.0",
  ]) {
    test(`refuses the host ${JSON.stringify(host)}`, () =>
      expect(refuse("GET", new Headers({ host }))?.kind).toBe("denied"));
  }

  const host = "127.0.0.1:7480";
  test("lets a page of our own change things, and programs", () => {
    expect(refuse("POST", new Headers({ host, origin: `http://${host}` }))).toBeUndefined();
    expect(refuse("DELETE", new Headers({ host }))).toBeUndefined();
  });
  for (const origin of ["http://evil.example", "null", "http://127.0.0.1:9999", "https://127.0.0.1:7480"]) {
    test(`refuses a change from ${origin}, not a read`, () => {
      expect(refuse("POST", new Headers({ host, origin }))?.kind).toBe("denied");
      expect(refuse("GET", new Headers({ host, origin }))).toBeUndefined();
    });
  }
  test("takes any host over TLS, where the certificate vouches for it, and pages of the same origin alone", () => {
    expect(
      refuse("POST", new Headers({ host: "backup.example:7480", origin: "https://backup.example:7480" }), true),
    ).toBe(undefined);
    expect(refuse("POST", new Headers({ host, origin: `http://${host}` }), true)?.kind).toBe("denied");
  });
  test("refuses a change that the browser calls cross-site", () => {
    expect(refuse("DELETE", new Headers({ host, "sec-fetch-site": "cross-site" }))?.kind).toBe("denied");
  });
});

test("the guard stands before every route on TCP, and not on the control socket", async () => {
  using fixture = await openApiFixture();
  for (const path of ["/v1/volumes", "/healthz", "/metrics", "/openapi.json", "/nothing"]) {
    const request = new Request(`http://localhost${path}`, { headers: { host: "evil.example" } });
    const refused = await fixture.answer(request, LOOPBACK);
    expect(refused.status).toBe(403);
    expect(await refused.json()).toMatchObject({ kind: "denied" });
    expect((await fixture.answer(request, CONTROL)).status).not.toBe(403);
  }
});
