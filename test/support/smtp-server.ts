/** A mail server for tests, on a socket of its own: EHLO, STARTTLS, AUTH PLAIN and LOGIN, MAIL, RCPT, DATA. It can refuse and hang up as told. */
import { createServer, type Server, type Socket } from "node:net";
import { createSecureContext, TLSSocket } from "node:tls";

export interface Mail {
  from: string;
  to: string[];
  /** As it came after DATA. */
  raw: string;
  /** The header's unfolded lines. */
  headers: string[];
  overTls: boolean;
  user: string | undefined;
}

export interface SmtpServer {
  port: number;
  mails: Mail[];
  /** What the next commands are answered with instead: by command, such as `MAIL`. */
  refuse: Map<string, string>;
  /** Every line that came in the clear. */
  clear: string[];
  stop(): Promise<void>;
}

/** @param tls - offers STARTTLS with it @param login - asks for this user and password */
export async function startSmtpServer(
  options: { tls?: { key: string; cert: string }; login?: { user: string; password: string } } = {},
): Promise<SmtpServer> {
  const sockets = new Set<Socket>();
  const state: Omit<SmtpServer, "port" | "stop"> = { mails: [], refuse: new Map(), clear: [] };
  const server: Server = createServer((socket) => {
    sockets.add(socket);
    socket.on("close", () => sockets.delete(socket));
    socket.on("error", () => undefined);
    socket.write("220 test ESMTP\r\n");
    converse(socket, false, options, state);
  });
  await new Promise<void>((resolve) => void server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("the mail server has no port");
  return {
    ...state,
    port: address.port,
    async stop() {
      for (const socket of sockets) socket.destroy();
      await new Promise<void>((resolve) => void server.close(() => resolve()));
    },
  };
}

function converse(
  socket: Socket | TLSSocket,
  overTls: boolean,
  options: Parameters<typeof startSmtpServer>[0] & object,
  state: Omit<SmtpServer, "port" | "stop">,
): void {
  let mail = { from: "", to: [] as string[] };
  let user: string | undefined;
  let login: string[] | undefined;
  let data: string[] | undefined;
  let rest = "";
  const answer = (line: string): void => void socket.write(`${line}\r\n`);
  const isRight = (name: string, password: string): boolean =>
    name === options.login?.user && password === options.login.password;
  const signIn = (name: string, password: string): void => {
    if (isRight(name, password)) user = name;
    answer(isRight(name, password) ? "235 welcome" : `535 wrong: ${password}`);
  };
  const onLine = (line: string): void => {
    if (!overTls) state.clear.push(line);
    if (data) {
      if (line !== ".") return void data.push(line.startsWith("..") ? line.slice(1) : line);
      const raw = data.join("\r\n");
      const headers = raw
        .split("\r\n\r\n")[0]!
        .replaceAll(/\r\n[ \t]+/g, " ")
        .split("\r\n");
      state.mails.push({ ...mail, raw, headers, overTls, user });
      data = undefined;
      mail = { from: "", to: [] };
      return answer("250 taken");
    }
    if (login) {
      login.push(Buffer.from(line, "base64").toString());
      const [name, password] = login;
      if (password === undefined) return answer("334 UGFzc3dvcmQ6");
      login = undefined;
      return signIn(name!, password);
    }
    const command = line.slice(0, 4).toUpperCase();
    const refusal = state.refuse.get(command);
    if (refusal !== undefined) return refusal === "" ? void socket.destroy() : answer(refusal);
    if (command === "EHLO") {
      const extras = [...(options.tls && !overTls ? ["STARTTLS"] : []), ...(options.login ? ["AUTH PLAIN LOGIN"] : [])];
      return answer([...extras.map((extra) => `250-${extra}`), "250 8BITMIME"].join("\r\n"));
    }
    if (command === "STAR" && options.tls) {
      answer("220 go on");
      socket.removeAllListeners("data");
      const secure = new TLSSocket(socket, { isServer: true, secureContext: createSecureContext(options.tls) });
      secure.on("error", () => undefined);
      return converse(secure, true, options, state);
    }
    if (line.toUpperCase().startsWith("AUTH PLAIN")) {
      const [, name, password] = Buffer.from(line.slice(11), "base64").toString().split("\0");
      return signIn(name!, password!);
    }
    if (line.toUpperCase().startsWith("AUTH LOGIN")) {
      login = [];
      return answer("334 VXNlcm5hbWU6");
    }
    if (options.login && user === undefined && command === "MAIL") return answer("530 sign in first");
    if (command === "MAIL") mail.from = /<([^>]*)>/.exec(line)?.[1] ?? "";
    // Nobody has an address that begins with "gone".
    if (command === "RCPT" && line.includes("<gone")) return answer("550 nobody here");
    if (command === "RCPT") mail.to.push(/<([^>]*)>/.exec(line)?.[1] ?? "");
    if (command === "DATA") {
      data = [];
      return answer("354 go on");
    }
    if (command === "QUIT") {
      answer("221 bye");
      return void socket.end();
    }
    answer(["MAIL", "RCPT", "RSET", "NOOP"].includes(command) ? "250 ok" : "502 not here");
  };
  socket.on("data", (bytes: Buffer) => {
    rest += bytes.toString("latin1");
    for (let end = rest.indexOf("\r\n"); end >= 0; end = rest.indexOf("\r\n")) {
      const line = rest.slice(0, end);
      rest = rest.slice(end + 2);
      onLine(line);
    }
  });
}
