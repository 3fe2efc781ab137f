/** Requests as no well-behaved client would write them, over TLS. */
import { connect } from "node:tls";

/** Writes bytes, and gives what came back once `enough` says so or the server closed. */
export function rawTls(
  port: number,
  parts: readonly (string | Uint8Array)[],
  enough: (text: string) => boolean = () => false,
): Promise<string> {
  return new Promise((resolve, reject) => {
    let text = "";
    const socket = connect({ host: "127.0.0.1", port, rejectUnauthorized: false });
    const finish = (): void => {
      socket.destroy();
      resolve(text);
    };
    socket.on("secureConnect", () => {
      for (const part of parts) socket.write(part);
    });
    socket.on("data", (bytes: Uint8Array) => {
      text += Buffer.from(bytes).toString("latin1");
      if (enough(text)) finish();
    });
    socket.on("end", finish);
    socket.on("close", finish);
    socket.on("error", (error) => (text === "" ? reject(error) : finish()));
  });
}
