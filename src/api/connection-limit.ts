/**
 * How many connections a listener keeps: so many in all, and so many from one address, so that one client cannot take them all. A further one is closed without a
 * word, before any of it is read.
 */
import type { Server, Socket } from "node:net";
import { placeOf } from "./rates.ts";

export interface ConnectionLimits {
  total: number;
  /** Several people may come from one address, each with a browser that opens six. */
  perAddress: number;
}

/** Of the control socket; of others the configuration says (`http.connectionsMax`). An idle one costs some 20 KiB. */
const CONTROL_LIMITS: ConnectionLimits = { total: 1_024, perAddress: 256 };

/** @param isLocal - a socket file, where all come from the same place */
export function limitConnections(server: Server, isLocal: boolean, limits: ConnectionLimits = CONTROL_LIMITS): void {
  const counts = new Map<string, number>();
  let total = 0;
  server.on("connection", (socket: Socket) => {
    const place = isLocal ? "" : placeOf(socket.remoteAddress ?? "");
    const count = counts.get(place) ?? 0;
    if (total >= limits.total || (!isLocal && count >= limits.perAddress)) {
      socket.destroy();
      return;
    }
    total++;
    counts.set(place, count + 1);
    socket.once("close", () => {
      total--;
      const left = (counts.get(place) ?? 1) - 1;
      if (left === 0) counts.delete(place);
      else counts.set(place, left);
    });
  });
}
