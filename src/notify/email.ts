/**
 * Mails by SMTP. The server's certificate is verified always; a password goes over TLS alone. Every step has a time limit, for a server that says nothing
 * must not hold up the others' mails.
 */
import { createTransport } from "nodemailer";
import { SternwayError, errorText } from "../base/errors.ts";
import type { ChannelSettings } from "../contract/notify.ts";
import type { Message } from "./message.ts";

export type EmailSettings = Extract<ChannelSettings, { kind: "email" }>;

const CONNECT_MS = 15_000;
const SILENCE_MS = 30_000;
/** All of it: what nodemailer's own limits do not cover, such as a server that drips. */
const WHOLE_MS = 90_000;

/**
 * Sends one mail to all recipients.
 * @param id - the same at each try, so that whoever gets it twice can tell
 * @returns what the server answered; where it refused some of the recipients, who they are. That is no failure: another try would come to the others again
 * @throws unavailable: why nobody gets it, without the password
 */
export async function sendEmail(
  settings: EmailSettings,
  password: string | undefined,
  message: Message,
  id: string,
): Promise<string> {
  const { host, port, security, user, serverName, ca, from, to } = settings;
  const transport = createTransport({
    host,
    port,
    secure: security === "tls",
    requireTLS: security === "starttls",
    ignoreTLS: security === "none",
    ...(user === undefined ? {} : { auth: { user, pass: password ?? "" } }),
    tls: {
      rejectUnauthorized: true,
      minVersion: "TLSv1.2",
      servername: serverName ?? host,
      ...(ca === undefined ? {} : { ca }),
    },
    connectionTimeout: CONNECT_MS,
    greetingTimeout: CONNECT_MS,
    dnsTimeout: CONNECT_MS,
    socketTimeout: SILENCE_MS,
    // Nothing in a message may make it read files or fetch addresses.
    disableFileAccess: true,
    disableUrlAccess: true,
  });
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`it took longer than ${WHOLE_MS / 1000} s`)), WHOLE_MS);
  });
  try {
    const sending = transport.sendMail({
      from,
      to,
      subject: message.subject,
      text: message.text,
      html: message.html,
      messageId: `<${id}@${from.slice(from.indexOf("@") + 1)}>`,
      headers: { "Auto-Submitted": "auto-generated" },
      attachments: message.attachments.map(({ name, type, content }) => ({
        filename: name,
        contentType: type,
        content,
      })),
    });
    const { response, rejected } = await Promise.race([sending, late]);
    return rejected.length === 0 ? response : `${response}; not taken for ${rejected.map(String).join(", ")}`;
  } catch (error) {
    throw new SternwayError("unavailable", `mail server ${host}:${port}: ${withoutSecret(errorText(error), password)}`);
  } finally {
    clearTimeout(timer);
    transport.close();
  }
}

/** Servers may repeat what they were sent, also as it was encoded. */
export function withoutSecret(text: string, secret: string | undefined): string {
  if (secret === undefined || secret === "") return text;
  return [secret, Buffer.from(secret).toString("base64"), encodeURIComponent(secret)].reduce(
    (rest, form) => rest.replaceAll(form, "(secret)"),
    text,
  );
}
