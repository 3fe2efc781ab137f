/**
 * Webhooks: one POST of JSON, signed, so that whoever gets it can tell who sent it and when. The header is
 * `sternway-signature: t=SECONDS,v1=HEX`, where HEX is HMAC-SHA256, keyed with the channel's secret as text, of `SECONDS.BODY`. A receiver computes it
 * over the bytes as they came, compares in constant time, and refuses times that are more than five minutes off.
 *
 * Redirects are refused: the body would go where nobody configured it to go. Of the answer only the status counts.
 *
 * Addresses of the appliance's own network, loopback among them, are allowed: receivers stand there as often as not, and a name can be pointed there at any time anyway.
 * Whoever may set a channel is an administrator, who may do everything here; what can be learnt is whether something answers, and with which status.
 */
import { createHmac } from "node:crypto";
import { SternwayError, errorText } from "../base/errors.ts";
import type { Micros } from "../base/units.ts";
import type { ChannelSettings } from "../contract/notify.ts";
import { withoutSecret } from "./email.ts";
import type { Message } from "./message.ts";

export type WebhookSettings = Extract<ChannelSettings, { kind: "webhook" }>;

const SIGNATURE_HEADER = "sternway-signature";
/** The same at each try, so that a receiver can leave out what it has. */
const DELIVERY_HEADER = "sternway-delivery";
const WHOLE_MS = 15_000;

/** The header's value. @param seconds - since 1970 */
export function signature(secret: string, seconds: number, body: string): string {
  return `t=${seconds},v1=${createHmac("sha256", secret).update(`${seconds}.${body}`).digest("hex")}`;
}

/** @returns the status @throws unavailable: why it was not taken */
export async function callWebhook(
  settings: WebhookSettings,
  secret: string,
  message: Message,
  id: string,
  now: Micros,
): Promise<string> {
  const { origin } = new URL(settings.url);
  const body = JSON.stringify({ ...message.json, delivery: id });
  let response: Response;
  try {
    response = await fetch(settings.url, {
      method: "POST",
      body,
      redirect: "manual",
      headers: {
        "content-type": "application/json",
        "user-agent": "sternway",
        [SIGNATURE_HEADER]: signature(secret, Math.floor(now / 1e6), body),
        [DELIVERY_HEADER]: id,
      },
      signal: AbortSignal.timeout(WHOLE_MS),
      ...(settings.ca === undefined ? {} : { tls: { ca: settings.ca, rejectUnauthorized: true } }),
    } as RequestInit);
  } catch (error) {
    // Only the origin: paths of webhooks are secrets as often as not.
    throw failed(origin, withoutSecret(errorText(error), settings.url));
  }
  await response.body?.cancel();
  if (response.status >= 300 && response.status < 400)
    throw failed(origin, `it redirects (${response.status}), which is not followed: set the address that it means`);
  if (!response.ok) throw failed(origin, `it answered ${response.status}`);
  return `it answered ${response.status}`;
}

function failed(origin: string, why: string): SternwayError {
  return new SternwayError("unavailable", `webhook at ${origin}: ${why}`);
}
