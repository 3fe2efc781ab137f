/** With which certificate HTTP is spoken: the configured one; on a door that is open to the network else one of the appliance's own authority; on loopback none. */
import { readFile } from "node:fs/promises";
import { createPrivateKey, X509Certificate } from "node:crypto";
import type { HttpTls } from "../api/app.ts";
import { errorText, SternwayError } from "../base/errors.ts";
import { isLoopback, type Config } from "../config/config.ts";
import type { OwnAuthority } from "./own-authority.ts";

/**
 * @param authority - opens the appliance's own; asked only when it is needed
 * @returns undefined: plain HTTP @throws invalid: a file cannot be read, or key and certificate do not belong together
 */
export async function httpTls(
  { listen, tls }: Pick<Config["http"], "listen" | "tls" | "names">,
  authority: () => Promise<OwnAuthority>,
): Promise<HttpTls | undefined> {
  if (tls !== undefined && tls !== "own") return await readPair(tls);
  if (listen.kind === "off" || (tls === undefined && isLoopback(listen.host))) return undefined;
  return (await authority()).server();
}

async function readPair({ certFile, keyFile }: { certFile: string; keyFile: string }): Promise<HttpTls> {
  try {
    const [cert, key] = await Promise.all([readFile(certFile, "utf8"), readFile(keyFile, "utf8")]);
    if (new X509Certificate(cert).checkPrivateKey(createPrivateKey(key))) return { cert, key };
  } catch (cause) {
    const why = errorText(cause);
    throw new SternwayError("invalid", `http.tls: ${certFile} and ${keyFile} cannot be used: ${why}`, {}, { cause });
  }
  throw new SternwayError("invalid", `http.tls: the key in ${keyFile} is not that of the certificate in ${certFile}`);
}
