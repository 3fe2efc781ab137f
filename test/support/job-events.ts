/** Follows the job that a request started, to its end. */
import { expect } from "bun:test";
import type { ApiFixture } from "./api-fixture.ts";

export interface SentEvent {
  id: number;
  name: string;
  data: Record<string, unknown>;
}

/** @param started - the answer that must be 202 @returns all events, and the `line` of each but the end */
export async function jobEvents(
  fixture: Pick<ApiFixture, "ask">,
  started: Response,
): Promise<{ events: SentEvent[]; lines: unknown[] }> {
  expect(started.status).toBe(202);
  const events = await eventsOf(await fixture.ask(`${started.headers.get("location")}/events`));
  return { events, lines: events.slice(0, -1).map(({ data }) => data["line"]) };
}

/** The events of a stream that ends. */
export async function eventsOf(response: Response): Promise<SentEvent[]> {
  expect(response.status).toBe(200);
  expect(response.headers.get("content-type")).toBe("text/event-stream");
  return parseEvents(await response.text());
}

export function parseEvents(text: string): SentEvent[] {
  const blocks = text.split("\n\n").filter((block) => block !== "" && !block.startsWith(":"));
  return blocks.map((block) => {
    const match = /^id: (\d+)\nevent: (\w+)\ndata: (.*)$/.exec(block);
    if (!match) throw new Error(`not an event: ${block}`);
    return { id: Number(match[1]), name: match[2] ?? "", data: JSON.parse(match[3] ?? "") as Record<string, unknown> };
  });
}
