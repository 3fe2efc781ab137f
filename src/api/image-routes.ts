/** Routes of images and extents. */
import type { OpenAPIHono } from "@hono/zod-openapi";
import type { Context } from "hono";
import { SternwayError } from "../base/errors.ts";
import { formatTime, SECTOR_SIZE } from "../base/units.ts";
import {
  IMAGE_LSN_HEADER,
  IMAGE_TIME_HEADER,
  LINES_TYPE,
  problemOf,
  routes,
  type ExtentLine,
} from "../contract/contract.ts";
import { parseMoment } from "../volume/moment.ts";
import type { PastDevice } from "../volume/volumes.ts";
import type { ApiContext, ApiEnv } from "./appliance.ts";
import { imageStream, walkExtents } from "./image-stream.ts";
import { lineStream } from "./line-stream.ts";
import { respond } from "./problems.ts";
import { parseRange } from "./range.ts";
import { wireMoment } from "./wire.ts";

/** Each holds up to two reads of 1 MiB and a pinned moment. */
const STREAMS_MAX = 64;

export function registerImageRoutes(app: OpenAPIHono<ApiEnv>, context: ApiContext): void {
  let streams = 0;

  /** Opens a device that counts as a stream until it is closed. */
  async function open(name: string, at: string | undefined): Promise<PastDevice> {
    const moment = parseMoment(at ?? "now");
    if (streams >= STREAMS_MAX) {
      throw new SternwayError("unavailable", `${STREAMS_MAX} images are being read already`, {
        streamsMax: STREAMS_MAX,
      });
    }
    streams++;
    try {
      return counted(await context.volumes.openAt(name, moment), () => streams--);
    } catch (error) {
      streams--;
      throw error;
    }
  }

  app.openapi(routes.getImage, async (c) => {
    const device = await open(c.req.valid("param").name, c.req.valid("query").at);
    let handedOver = false;
    try {
      const answer = imageAnswer(c, device);
      if (answer.kind === "done") return answer.response;
      handedOver = true;
      const body = imageStream(device, answer.start, answer.end, context.log);
      return new Response(body, { status: answer.status, headers: answer.headers });
    } finally {
      if (!handedOver) await device.close();
    }
  });

  app.openapi(routes.listExtents, async (c) => {
    const { at, offset, length } = c.req.valid("query");
    const device = await open(c.req.valid("param").name, at);
    let handedOver = false;
    try {
      const start = offset ?? 0;
      const end = Math.min(start + (length ?? device.sizeBytes), device.sizeBytes);
      if (start % SECTOR_SIZE !== 0 || end % SECTOR_SIZE !== 0 || start >= end) {
        const text = `offset and length must be multiples of ${SECTOR_SIZE} within ${device.sizeBytes} bytes`;
        throw new SternwayError("invalid", text, { offset: start, sizeBytes: device.sizeBytes });
      }
      handedOver = true;
      return c.body(await lineStream(extentLines(device, start, end), context.log), 200, {
        "content-type": LINES_TYPE,
      });
    } finally {
      if (!handedOver) await device.close();
    }
  });
}

type ImageAnswer =
  | { kind: "done"; response: Response }
  | { kind: "stream"; start: number; end: number; status: 200 | 206; headers: Record<string, string> };

/** Preconditions and range (RFC 9110, 13.2.2) against one resolved moment. */
function imageAnswer(c: Context<ApiEnv>, device: PastDevice): ImageAnswer {
  const { sizeBytes, moment } = device;
  const etag = `"lsn-${moment.lsn}"`;
  const headers: Record<string, string> = {
    "content-type": "application/octet-stream",
    "accept-ranges": "bytes",
    // A moment's bytes never change, but `now` is another moment each time.
    "cache-control": "no-cache",
    etag,
    [IMAGE_LSN_HEADER]: String(moment.lsn),
    [IMAGE_TIME_HEADER]: formatTime(moment.time),
  };
  const done = (response: Response): ImageAnswer => ({ kind: "done", response });
  const ifMatch = c.req.header("if-match");
  if (ifMatch !== undefined && !names(ifMatch, etag, "strong")) {
    const error = new SternwayError("conflict", `the image is at lsn ${moment.lsn}, not at what If-Match names`);
    return done(respond(problemOf(error, { status: 412 }), { etag }));
  }
  const ifNoneMatch = c.req.header("if-none-match");
  if (ifNoneMatch !== undefined && names(ifNoneMatch, etag, "weak"))
    return done(new Response(null, { status: 304, headers }));
  // HEAD ignores Range (14.2); so does a GET whose If-Range names another version.
  const isHead = c.req.raw.method === "HEAD";
  const ifRange = c.req.header("if-range");
  const fresh = ifRange === undefined || ifRange.trim() === etag;
  const wanted = parseRange(!isHead && fresh ? c.req.header("range") : undefined, sizeBytes);
  if (wanted.kind === "unsatisfiable") {
    const error = new SternwayError("invalid", `the image has ${sizeBytes} bytes; the range lies past its end`, {
      sizeBytes,
    });
    return done(respond(problemOf(error, { status: 416 }), { "content-range": `bytes */${sizeBytes}`, etag }));
  }
  const { start, end } = wanted.kind === "range" ? wanted : { start: 0, end: sizeBytes };
  headers["content-length"] = String(end - start);
  if (isHead) return done(new Response(null, { status: 200, headers }));
  if (wanted.kind === "whole") return { kind: "stream", start, end, status: 200, headers };
  headers["content-range"] = `bytes ${start}-${end - 1}/${sizeBytes}`;
  return { kind: "stream", start, end, status: 206, headers };
}

/** True when a list of entity tags holds this one, or is `*`. Compared weakly, a weak tag counts as well: If-None-Match does, If-Match does not (8.8.3.2). */
function names(list: string, etag: string, how: "weak" | "strong"): boolean {
  return list
    .split(",")
    .map((tag) => (how === "weak" ? tag.trim().replace(/^W\//, "") : tag.trim()))
    .some((tag) => tag === "*" || tag === etag);
}

async function* extentLines(device: PastDevice, start: number, end: number): AsyncGenerator<ExtentLine> {
  try {
    let dataBytes = 0;
    for await (const extent of walkExtents(device, start, end)) {
      if (extent.kind === "data") dataBytes += extent.length;
      yield { line: "extent", ...extent };
    }
    yield { line: "end", sizeBytes: device.sizeBytes, dataBytes, moment: wireMoment(device.moment) };
  } finally {
    await device.close();
  }
}

/** The device, telling once when it was closed. */
function counted(device: PastDevice, onClose: () => void): PastDevice {
  let open = true;
  return {
    sizeBytes: device.sizeBytes,
    moment: device.moment,
    read: (offset, length) => device.read(offset, length),
    extents: (offset, length) => device.extents(offset, length),
    async close() {
      if (open) onClose();
      open = false;
      await device.close();
    },
  };
}
