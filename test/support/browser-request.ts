/** Requests to the API's fixture as a browser sends them over TCP: with its cookie, its CSRF token, and JSON. */
import { LOOPBACK, type ApiFixture } from "./api-fixture.ts";

export interface BrowserRequest {
  body?: unknown;
  cookie?: string | undefined;
  csrf?: string | undefined;
  token?: string | undefined;
  userAgent?: string | undefined;
  /** Address from which it comes. */
  from?: string | undefined;
  secure?: boolean;
}

export interface BrowserReply {
  status: number;
  body: Record<string, unknown>;
  /** What it set, as the browser sends it back. */
  cookie: string | undefined;
  headers: Headers;
}

export async function askAsBrowser(
  { answer }: ApiFixture,
  method: string,
  path: string,
  { body, cookie, csrf, token, userAgent, from = "127.0.0.1", secure = false }: BrowserRequest = {},
): Promise<BrowserReply> {
  const request = new Request(`http://127.0.0.1${path}`, {
    method,
    headers: {
      host: "127.0.0.1",
      ...(body === undefined ? {} : { "content-type": "application/json" }),
      ...(cookie === undefined ? {} : { cookie }),
      ...(csrf === undefined ? {} : { "x-sternway-csrf": csrf }),
      ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
      ...(userAgent === undefined ? {} : { "user-agent": userAgent }),
    },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  const response = await answer(request, { ...LOOPBACK, from, secure });
  const text = await response.text();
  return {
    status: response.status,
    body: text === "" ? {} : (JSON.parse(text) as Record<string, unknown>),
    cookie: response.headers.get("set-cookie")?.split(";")[0],
    headers: response.headers,
  };
}
