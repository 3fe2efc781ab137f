/**
 * What can be configured: every key, its range and its default. `config.ts` reads it from the file, the environment and
 * the flags. Sizes are integers of bytes or text such as `64MiB`.
 */
import { z } from "zod";
import { parseSize } from "../base/units.ts";
import { parseHttpListen, parseNbdListen, parsePeerListen, parseSocketPath } from "./listen.ts";
import { parseIssuer, parseRedirectUrl } from "./oidc.ts";

/** A size within a range, as a number of bytes or as people write it. */
function size(minBytes: number, maxBytes: number, defaultText: string) {
  const fallback = parseSize(defaultText) ?? minBytes;
  return z
    .union([z.int(), z.string()], { error: "must be a size such as 64MiB, or bytes" })
    .transform((value, context) => {
      const bytes = typeof value === "number" ? value : parseSize(value);
      if (bytes !== undefined && bytes >= minBytes && bytes <= maxBytes) return bytes;
      context.addIssue({ code: "custom", message: `must be a size from ${text(minBytes)} to ${text(maxBytes)}` });
      return z.NEVER;
    })
    .prefault(fallback);
}

function text(bytes: number): string {
  for (const [unit, name] of [
    [2 ** 40, "TiB"],
    [2 ** 30, "GiB"],
    [2 ** 20, "MiB"],
    [2 ** 10, "KiB"],
  ] as const) {
    if (bytes >= unit && bytes % unit === 0) return `${bytes / unit}${name}`;
  }
  return `${bytes}B`;
}

/** A string that a function reads; the function's sentence is the error. */
function readBy<Value>(read: (text: string) => Value | { error: string }) {
  return z.string().transform((value, context) => {
    const result = read(value);
    if (typeof result === "object" && result !== null && "error" in result) {
      context.addIssue({ code: "custom", message: result.error });
      return z.NEVER;
    }
    return result as Exclude<Value, { error: string }>;
  });
}

const file = z.string().min(1, "must be a path");

const tlsSchema = z
  .strictObject({
    /** PEM, with the chain. */
    certFile: file,
    /** PEM. */
    keyFile: file,
    /** PEM: who signs clients' certificates. */
    caFile: file.optional(),
    /** Nobody gets in without TLS. */
    required: z.boolean().default(true),
    /** `require`: only clients with a certificate signed by caFile. */
    clientCertificates: z.enum(["ignore", "require"]).default("ignore"),
  })
  .refine((tls) => tls.clientCertificates === "ignore" || tls.caFile !== undefined, {
    path: ["caFile"],
    message: 'must be set when clientCertificates is "require"',
  });

/**
 * So many requests at once, and so many a second from then on. The least lets the console load a page, so that nobody shuts himself out.
 * @param least - of both
 */
function rate(least: { burst: number; perSecond: number }, usual: { burst: number; perSecond: number }) {
  return z
    .strictObject({
      burst: z.int().min(least.burst).max(100_000).default(usual.burst),
      perSecond: z.number().min(least.perSecond).max(100_000).default(usual.perSecond),
    })
    .prefault({});
}
const REQUESTS_LEAST = { burst: 50, perSecond: 5 };

const oidcSchema = z.strictObject({
  /** As the provider names itself; its metadata lies at ISSUER/.well-known/openid-configuration. */
  issuer: readBy(parseIssuer),
  clientId: z.string().min(1, "must not be empty").max(256),
  /** Absolute path of a file that holds nothing but the secret. */
  clientSecretFile: file.regex(/^\//, "must be an absolute path"),
  /** This appliance's /v1/oidc/callback, as browsers reach it and the provider knows it. */
  redirectUrl: readBy(parseRedirectUrl),
  /** The claim of the ID token that says what somebody may do: text, or a list of texts. */
  roleClaim: z.string().min(1, "must not be empty").max(256),
  /** Roles by the claim's values; whoever has none of them is not let in. */
  roles: z.record(z.string(), z.enum(["administrator", "operator", "self-service", "auditor"])),
  /** The claim that lists the machines of somebody with the role self-service. */
  machinesClaim: z.string().min(1, "must not be empty").max(256).optional(),
});

export const configSchema = z.strictObject({
  nbd: z
    .strictObject({
      /** Beside the socket nbd.sock in the data folder, which is always there. */
      listen: z.array(readBy(parseNbdListen)).max(16).default([]),
      /**
       * A socket for the users of this machine: root and the daemon's user open every disk there, others those of machines that have a credential for
       * them. Its folder must be one that they can enter and not write to, such as /run/sternway; left out: there is none.
       */
      localSocket: readBy(parseSocketPath).optional(),
      tls: tlsSchema.optional(),
      /** Without `tls`: where clients need a machine's credential, over TLS of the appliance's own authority: on what is open to the network, or on every TCP address. */
      credentials: z.enum(["network", "always"]).default("network"),
      /** Sessions at a time on each address; a further one is turned away. */
      sessionsMax: z.int().min(1).max(4096).default(256),
    })
    .prefault({}),
  http: z
    .strictObject({
      /** On anything but loopback it is HTTPS; `off` leaves the control socket alone. */
      listen: readBy(parseHttpListen).prefault("127.0.0.1:7480"),
      /** PEM files, the certificate with its chain, or `own`: a certificate of the appliance's own authority. Left out: `own`, and no TLS on loopback. */
      tls: z
        .union([z.literal("own"), z.strictObject({ certFile: file, keyFile: file })], {
          error: 'must be "own", or certFile and keyFile',
        })
        .optional(),
      /** Further names by which this machine is reached, for its own certificate. */
      names: z
        .array(z.string().regex(/^[A-Za-z0-9.:-]{1,253}$/, "must be a host's name or address"))
        .max(32)
        .default([]),
      /** Connections at a time; a further one is closed. An idle one costs some 20 KiB. */
      connectionsMax: z.int().min(16).max(16_384).default(1_024),
      /** Of one address (of IPv6: one network of 64 bits), from which several people may come, each with a browser that opens six. */
      connectionsPerAddressMax: z.int().min(8).max(16_384).default(256),
      /** Requests; what comes above is answered with 429. Nobody is limited over the control socket. */
      rates: z
        .strictObject({
          /** Of one account, or of one address from which nobody has signed in. */
          requests: rate(REQUESTS_LEAST, { burst: 400, perSecond: 100 }),
          /** Of one address, whoever asks: several people may share one. */
          address: rate(REQUESTS_LEAST, { burst: 1_600, perSecond: 400 }),
          /** Of one address, to sign in: each costs a hash that is slow by intention. */
          signIn: rate({ burst: 1, perSecond: 0.01 }, { burst: 20, perSecond: 0.5 }),
        })
        .prefault({}),
    })
    .prefault({}),
  peers: z
    .strictObject({
      /** Where other appliances bring what they keep here, over HTTPS and with a token; `off`: nowhere. */
      listen: readBy(parsePeerListen).prefault("off"),
      /** Their connections at a time; a further one is turned away. */
      connectionsMax: z.int().min(1).max(1024).default(64),
    })
    .prefault({}),
  storage: z
    .strictObject({
      /** For a vault that is made anew; an existing one keeps its own. */
      journalFileBytes: size(4 * 2 ** 20, 2 ** 30, "64MiB"),
      /** Two are the least: one fills while one is sealed. */
      journalFilesMax: z.int().min(2).max(1024).default(32),
      /** The most that is written to the journal at once. */
      groupBytesMax: size(2 ** 20, 4 * 2 ** 20, "4MiB"),
      /** How long a lone plain write may wait for company before it is written to disk. */
      groupLingerMs: z.number().min(0).max(1000).default(5),
      frameCacheBytes: size(4 * 2 ** 20, 2 ** 40, "64MiB"),
      pageCacheBytes: size(4 * 2 ** 20, 2 ** 40, "64MiB"),
      /** Memory for finding duplicates, for each TiB of unique data (and at least once); 3 GiB are the most for a vault. */
      fingerprintBytesPerTiB: size(2 ** 20, 3 * 2 ** 30, "256MiB"),
      /** What merging layers may read and write a second, in each vault, while clients write; more only when it has fallen behind. */
      mergeBytesPerSecond: size(2 ** 20, 2 ** 40, "64MiB"),
      /** What giving back space (collecting) may read and write a second, in each vault, while clients write. */
      collectBytesPerSecond: size(2 ** 20, 2 ** 40, "64MiB"),
      /** Collecting begins by itself when this share of the blocks that are stored may have lost what refers to them, 0.01 to 1. */
      collectDroppedShare: z.number().min(0.01).max(1).default(0.125),
      /** Below this much free space writes are refused, so that what was answered can still be sealed. */
      freeSpaceReserveBytes: size(64 * 2 ** 20, 2 ** 40, "1GiB"),
    })
    .prefault({}),
  retention: z
    .strictObject({
      /** How often policies are carried out. */
      intervalMinutes: z.number().min(1).max(1440).default(15),
      /** Whose hours, days, weeks and months count; left out: the machine's own. */
      timeZone: z.string().min(1).optional(),
    })
    .prefault({}),
  scrub: z
    .strictObject({
      /** In so many days everything that is stored is read once. */
      cycleDays: z.number().min(1).max(365).default(30),
    })
    .prefault({}),
  accounts: z
    .strictObject({
      /** Administrators with a password get at nothing until they have a second factor. */
      administratorsNeedSecondFactor: z.boolean().default(false),
    })
    .prefault({}),
  /** Signing in through a provider of OpenID Connect; left out: nobody does. */
  oidc: oidcSchema.optional(),
  /** By vault's name. */
  vaults: z
    .record(
      z.string(),
      z.strictObject({
        /** Absolute path of the key file with which this vault is unlocked at the start. */
        keyFile: file.regex(/^\//, "must be an absolute path").optional(),
      }),
    )
    .default({}),
  log: z
    .strictObject({
      level: z.enum(["debug", "info", "warn", "error"]).default("info"),
      /** `auto`: pretty on a terminal, JSON lines otherwise. */
      format: z.enum(["auto", "json", "pretty"]).default("auto"),
    })
    .prefault({}),
});

export type Config = z.output<typeof configSchema>;
export type TlsConfig = z.output<typeof tlsSchema>;
