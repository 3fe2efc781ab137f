/** Reads server-sent events (HTML Living Standard, 9.2.6) as our appliance writes them: `id`, `event`, `data` of one line, comments. */
import { systemClock } from "../base/clock.ts";
import { SternwayError } from "../base/errors.ts";
import { splitLines, type Call } from "./transport.ts";

/** Four of the appliance's signs of life. */
const SILENCE_MS = 60_000;

export interface ServerEvent {
  id: number;
  name: string;
  data: string;
}

/** Yields each event. @throws unavailable with `facts.broken`: the connection broke, or was silent for a minute */
export async function* serverEvents(body: ReadableStream<Uint8Array> | null, call: Call): AsyncGenerator<ServerEvent> {
  let id = 0;
  let name = "";
  for await (const line of splitLines(body && whileAlive(body), call)) {
    const colon = line.indexOf(":");
    const value = line.slice(colon + 1).replace(/^ /, "");
    switch (line.slice(0, colon)) {
      case "id":
        id = Number(value);
        break;
      case "event":
        name = value;
        break;
      case "data":
        // Ours comes last, so the event is whole.
        yield { id, name, data: value };
        break;
      default:
      // Comments have an empty name; other fields are of later versions.
    }
  }
  throw new SternwayError("unavailable", `${call.method} ${call.path}: the events stopped`, { broken: true });
}

/** The stream, failing when nothing comes for a while. */
function whileAlive(body: ReadableStream<Uint8Array>): ReadableStream<Uint8Array> {
  const reader = body.getReader();
  return new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        const silent = Promise.withResolvers<never>();
        const timer = systemClock.timer(SILENCE_MS, () => silent.reject(new Error("nothing came for a minute")));
        try {
          const { done, value } = await Promise.race([reader.read(), silent.promise]);
          if (done) controller.close();
          else controller.enqueue(value);
        } catch (error) {
          // What is left of a connection that hangs is of use to nobody.
          await reader.cancel(error).catch(() => undefined);
          throw error;
        } finally {
          timer.cancel();
        }
      },
      cancel: (reason) => reader.cancel(reason),
    },
    { highWaterMark: 0 },
  );
}
