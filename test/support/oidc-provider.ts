/** A provider of OpenID Connect on loopback: discovery, keys, authorization that lets everybody in, at once or from a page, and tokens signed with RS256. */
import { createHash } from "node:crypto";

export interface OidcProvider extends Disposable {
  issuer: string;
  /** What the next ID tokens say besides the usual. */
  claims: Record<string, unknown>;
  /** Signs with a key that it does not publish. */
  forges: boolean;
  /** What the authorization answers instead of a code. */
  refuses: boolean;
  /** Shows a page with a link first, as a provider does that asks for a password: then the browser comes back from another site. */
  asks: boolean;
  /** Answers nothing but 503. */
  isDown: boolean;
  /** How often a code was given out for tokens. */
  exchanges: number;
  /** Follows the browser's way from here: @returns where it is sent back to */
  authorize(location: string): Promise<URL>;
}

const CLIENT = { id: "sternway", secret: "a client's secret" };
export const OIDC_CLIENT = CLIENT;

const encoded = (value: object): string => Buffer.from(JSON.stringify(value)).toString("base64url");

async function newKey() {
  const algorithm = {
    name: "RSASSA-PKCS1-v1_5",
    modulusLength: 2048,
    publicExponent: new Uint8Array([1, 0, 1]),
    hash: "SHA-256",
  };
  return await crypto.subtle.generateKey(algorithm, true, ["sign", "verify"]);
}

interface Grant {
  nonce: string;
  challenge: string;
  redirectUri: string;
}

export async function startOidcProvider(): Promise<OidcProvider> {
  const published = await newKey();
  const forged = await newKey();
  const jwk = { ...(await crypto.subtle.exportKey("jwk", published.publicKey)), kid: "1", use: "sig", alg: "RS256" };
  const grants = new Map<string, Grant>();

  const idToken = async (nonce: string): Promise<string> => {
    const now = Math.floor(Date.now() / 1000);
    const usual = { iss: provider.issuer, aud: CLIENT.id, iat: now, exp: now + 300, nonce };
    const text = `${encoded({ alg: "RS256", kid: "1" })}.${encoded({ ...usual, ...provider.claims })}`;
    const key = (provider.forges ? forged : published).privateKey;
    const signature = await crypto.subtle.sign("RSASSA-PKCS1-v1_5", key, new TextEncoder().encode(text));
    return `${text}.${Buffer.from(signature).toString("base64url")}`;
  };

  const authorization = (query: URLSearchParams): Response => {
    const redirectUri = query.get("redirect_uri") ?? "";
    const back = new URL(redirectUri);
    back.searchParams.set("state", query.get("state") ?? "");
    if (provider.refuses) {
      back.searchParams.set("error", "access_denied");
    } else {
      const code = crypto.randomUUID();
      const challenge = query.get("code_challenge_method") === "S256" ? (query.get("code_challenge") ?? "") : "";
      grants.set(code, { nonce: query.get("nonce") ?? "", challenge, redirectUri });
      back.searchParams.set("code", code);
    }
    if (!provider.asks) return Response.redirect(back.href, 302);
    const link = `<a href="${back.href.replaceAll("&", "&amp;")}">Let me in</a>`;
    return new Response(`<!doctype html><title>Provider</title><link rel="icon" href="data:,">${link}`, {
      headers: { "content-type": "text/html" },
    });
  };

  const token = async (request: Request): Promise<Response> => {
    const form = new URLSearchParams(await request.text());
    const basic = Buffer.from((request.headers.get("authorization") ?? "").slice(6), "base64").toString();
    const [id, secret] = basic.split(":").map((part) => decodeURIComponent(part.replaceAll("+", " ")));
    const grant = grants.get(form.get("code") ?? "");
    const challenge = createHash("sha256")
      .update(form.get("code_verifier") ?? "")
      .digest("base64url");
    if (id !== CLIENT.id || secret !== CLIENT.secret)
      return Response.json({ error: "invalid_client" }, { status: 401 });
    if (!grant || grant.challenge !== challenge || grant.redirectUri !== form.get("redirect_uri")) {
      return Response.json({ error: "invalid_grant" }, { status: 400 });
    }
    provider.exchanges++;
    return Response.json({ access_token: "x", token_type: "Bearer", id_token: await idToken(grant.nonce) });
  };

  const server = Bun.serve({
    hostname: "127.0.0.1",
    port: 0,
    async fetch(request) {
      const { pathname, searchParams } = new URL(request.url);
      const { issuer } = provider;
      if (provider.isDown) return new Response(null, { status: 503 });
      if (pathname === "/jwks") return Response.json({ keys: [jwk] });
      if (pathname === "/authorize") return authorization(searchParams);
      if (pathname === "/token") return await token(request);
      if (pathname !== "/.well-known/openid-configuration") return new Response(null, { status: 404 });
      return Response.json({
        issuer,
        authorization_endpoint: `${issuer}/authorize`,
        token_endpoint: `${issuer}/token`,
        jwks_uri: `${issuer}/jwks`,
        response_types_supported: ["code"],
        subject_types_supported: ["public"],
        id_token_signing_alg_values_supported: ["RS256"],
        code_challenge_methods_supported: ["S256"],
      });
    },
  });
  const provider: OidcProvider = {
    issuer: `http://127.0.0.1:${server.port}`,
    claims: { sub: "1234", preferred_username: "Carl", groups: ["storage-admins"] },
    forges: false,
    refuses: false,
    asks: false,
    isDown: false,
    exchanges: 0,
    async authorize(location) {
      const answer = await fetch(location, { redirect: "manual" });
      return new URL(answer.headers.get("location") ?? "");
    },
    [Symbol.dispose]: () => void server.stop(true),
  };
  return provider;
}
