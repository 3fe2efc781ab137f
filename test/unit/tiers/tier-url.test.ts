/** Addresses of tiers: what they mean, what is refused, and that no secret survives in one. */
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { isSternwayError } from "../../../src/base/errors.ts";
import { describeTierUrl, parseTierUrl, type TierUrl } from "../../../src/tiers/tier-url.ts";

/** The message of the refusal. */
function refusal(text: string): string {
  try {
    parseTierUrl(text);
  } catch (error) {
    if (isSternwayError(error, "invalid")) return error.message;
    throw error;
  }
  throw new Error(`expected ${text} to be refused`);
}

describe("parseTierUrl()", () => {
  test.each([
    ["file:///mnt/backup/web", "/mnt/backup/web"],
    ["FILE:///mnt/", "/mnt"],
    ["file:///mnt/my%20disk/100%25%23", "/mnt/my disk/100%#"],
    ["file:///mnt/my disk", "/mnt/my disk"],
    ["file:///srv/a@b/...", "/srv/a@b/..."],
    ["file:///srv/münchen", "/srv/münchen"],
  ])("reads the directory %s", (text, path) => {
    expect(parseTierUrl(text)).toEqual({ kind: "directory", path });
  });

  test("reads an S3 service with all that can be said of it", () => {
    const text =
      "s3://backups/web/1/?endpoint=http%3A%2F%2FCeph.example.org%3A7480/&region=eu-1&style=host&storage-class=STANDARD_IA&object-lock-days=30";
    expect(parseTierUrl(text)).toEqual({
      kind: "s3",
      bucket: "backups",
      prefix: "web/1",
      endpoint: "http://ceph.example.org:7480",
      region: "eu-1",
      pathStyle: false,
      storageClass: "STANDARD_IA",
      objectLockDays: 30,
    });
  });

  test("fills in what is not said: by path at an endpoint, by host at Amazon's", () => {
    const plain = {
      kind: "s3",
      bucket: "backups",
      prefix: "",
      storageClass: undefined,
      objectLockDays: undefined,
    } as const;
    expect(parseTierUrl("s3://backups?endpoint=https://[::1]:7480")).toEqual({
      ...plain,
      endpoint: "https://[::1]:7480",
      region: "us-east-1",
      pathStyle: true,
    });
    expect(parseTierUrl("s3://backups/?region=eu-central-1")).toEqual({
      ...plain,
      endpoint: "https://s3.eu-central-1.amazonaws.com",
      region: "eu-central-1",
      pathStyle: false,
    });
  });

  test.each([
    ["https://peer.example.org:7070/web", "https://peer.example.org:7070", "web"],
    ["https://Peer.example.org:443/web/", "https://peer.example.org", "web"],
    ["https://192.0.2.7:7070/web-1_a", "https://192.0.2.7:7070", "web-1_a"],
    ["https://[2001:db8::7]:7070/web", "https://[2001:db8::7]:7070", "web"],
  ])("reads the peer %s", (text, origin, name) => {
    expect(parseTierUrl(text)).toEqual({ kind: "peer", origin, name });
  });

  test.each([
    ["a relative path", "backup/web", "use file:///path"],
    ["a path alone", "/mnt/backup", "file:///path"],
    ["a relative file", "file:backup", "use file:///path"],
    ["a file of another host", "file://server/share", "three slashes"],
    ["the root", "file:///", "root directory"],
    ["dots", "file:///mnt/../etc", 'without "."'],
    ["dots in disguise", "file:///mnt/%2e%2e/etc", 'without "."'],
    ["a slash in disguise", "file:///mnt/a%2Fb", 'without "."'],
    ["a zero byte", "file:///mnt/a%00b", 'without "."'],
    ["slashes too many", "file:///mnt//a", "a slash too many"],
    ["a broken escape", "file:///mnt/100%", "%25"],
    ["a backslash", "file:///mnt\\a", "%5C"],
    ["a fragment", "file:///mnt/a#b", "%23"],
    ["a directory's parameter", "file:///mnt?mode=fast", '"mode" is no parameter of it: this kind of address has none'],
    ["no service", "s3://backups/web", "add endpoint=https://HOST"],
    ["no bucket", "s3:///web?region=eu-1", "write the bucket"],
    ["a bucket that none can be", "s3://Back_ups/web?region=eu-1", "write the bucket"],
    ["a prefix that climbs", "s3://backups/../web?region=eu-1", "prefix"],
    [
      "an unknown parameter",
      "s3://backups?region=eu-1&colour=red",
      '"colour" is no parameter of it: there are endpoint',
    ],
    ["a parameter twice", "s3://backups?region=eu-1&region=eu-2", '"region" comes twice'],
    ["a parameter without a value", "s3://backups?region=", "region= wants"],
    ["another style", "s3://backups?region=eu-1&style=virtual", "path or host"],
    ["an endpoint with a path", "s3://backups?endpoint=https://s3.example.org/x", "nothing after it"],
    ["an endpoint without a scheme", "s3://backups?endpoint=s3.example.org", "endpoint is https://HOST"],
    ["an endpoint with an impossible port", "s3://backups?endpoint=https://s3.example.org:70000", "65535"],
    ["days that are none", "s3://backups?region=eu-1&object-lock-days=0", "1 to 36500"],
    ["days without end", "s3://backups?region=eu-1&object-lock-days=99999", "1 to 36500"],
    ["a peer without TLS", "http://peer.example.org/web", "https://"],
    ["a peer without a name", "https://peer.example.org:7070/", "https://host:port/name"],
    ["a peer with a path", "https://peer.example.org:7070/a/b", "https://host:port/name"],
    ["a peer without a host", "https:///web", "https://host:port/name"],
    ["a peer's host in disguise", "https://pe%65r.example.org/web", "https://host:port/name"],
    ["user info", "s3://me:mine@backups?region=eu-1", "--secret-file"],
    ["user info of an endpoint", "s3://backups?endpoint=https://me:mine@s3.example.org", "--secret-file"],
    ["a secret as a parameter", "s3://backups?region=eu-1&secret-access-key=mine", "--secret-file"],
    ["a token as a parameter", "https://peer.example.org/web?token=mine", "--secret-file"],
    ["another scheme", "ftp://example.org/web", "use file:///path"],
    ["nothing", "", "use file:///path"],
    ["too much", `file:///${"a".repeat(1024)}`, "at most 1024"],
    ["too much once it is written out", `file:///${"ü".repeat(500)}`, "at most 1024"],
  ])("refuses %s, and says what to write", (_, text, hint) => {
    expect(refusal(text)).toContain(hint);
  });

  test("a secret is refused wherever it is put, and not repeated", () => {
    const secret = fc.stringMatching(/^[A-Za-z0-9]{16,40}$/);
    const places = [
      (word: string) => `s3://AKIA:${word}@backups/web?region=eu-1`,
      (word: string) => `s3://${word}@backups?region=eu-1`,
      (word: string) => `https://me:${word}@peer.example.org/web`,
      (word: string) => `https:me:${word}@peer.example.org/web`,
      (word: string) => `s3://backups?endpoint=https://me:${word}@s3.example.org`,
      (word: string) => `s3://backups?region=eu-1&secret-key=${word}`,
      (word: string) => `s3://backups?region=eu-1&accessKeyId=${word}`,
      (word: string) => `s3://backups?region=eu-1&X-Amz-Security-Token=${word}`,
      (word: string) => `s3://backups?region=eu-1&${word}`,
      (word: string) => `s3://backups?region=eu-1&password=${word}&password=${word}`,
      (word: string) => `https://peer.example.org/web?token=${word}`,
      (word: string) => `https://peer.example.org/web#${word}`,
      (word: string) => `https://peer.example.org/web/${word}`,
    ];
    fc.assert(
      fc.property(secret, fc.constantFrom(...places), (word, place) => {
        expect(refusal(place(word))).not.toContain(word);
      }),
    );
  });
});

const segment = fc
  .string({ unit: "grapheme", minLength: 1, maxLength: 12 })
  .filter((part) => !/[/\u0000-\u001f\u007f]/.test(part) && part !== "." && part !== "..");
const origin = fc
  .tuple(
    fc.constantFrom("s3.example.org", "192.0.2.7", "[2001:db8::7]", "localhost"),
    fc.option(fc.integer({ min: 1, max: 65_535 }).filter((port) => port !== 443 && port !== 80)),
  )
  .map(([host, port]) => (port === null ? host : `${host}:${port}`));

const directory: fc.Arbitrary<TierUrl> = fc
  .array(segment, { minLength: 1, maxLength: 4 })
  .map((parts) => ({ kind: "directory", path: `/${parts.join("/")}` }));
const peer: fc.Arbitrary<TierUrl> = fc.record({
  kind: fc.constant("peer"),
  origin: origin.map((host) => `https://${host}`),
  name: fc.stringMatching(/^[A-Za-z0-9][A-Za-z0-9_-]{0,62}$/),
});
const s3: fc.Arbitrary<TierUrl> = fc.record({
  kind: fc.constant("s3"),
  bucket: fc.stringMatching(/^[a-z0-9][a-z0-9-]{1,30}[a-z0-9]$/),
  prefix: fc
    .array(fc.stringMatching(/^[A-Za-z0-9_-][A-Za-z0-9._-]{0,10}$/), { maxLength: 4 })
    .map((parts) => parts.join("/")),
  endpoint: fc.tuple(fc.constantFrom("http", "https"), origin).map(([scheme, host]) => `${scheme}://${host}`),
  region: fc.stringMatching(/^[A-Za-z0-9][A-Za-z0-9_-]{0,39}$/),
  pathStyle: fc.boolean(),
  storageClass: fc.option(fc.stringMatching(/^[A-Za-z0-9][A-Za-z0-9_-]{0,20}$/), { nil: undefined }),
  objectLockDays: fc.option(fc.integer({ min: 1, max: 36_500 }), { nil: undefined }),
});

describe("describeTierUrl()", () => {
  test("gives what is read back as the same", () => {
    fc.assert(
      fc.property(fc.oneof(directory, peer, s3), (url) => {
        expect(parseTierUrl(describeTierUrl(url))).toEqual(url);
      }),
      { numRuns: 500 },
    );
  });

  test("of whatever was accepted is accepted again, and means the same", () => {
    const pieces = fc.constantFrom(
      ..."file:// s3:// https:// / . .. a backups %20 %2e %25 ü ? & = # @ : [::1] 443 endpoint=https://s3.example.org region=eu-1 style=path object-lock-days=7 storage-class=COLD".split(
        " ",
      ),
    );
    const text = fc.oneof(
      fc.array(pieces, { maxLength: 12 }).map((parts) => parts.join("")),
      fc.webUrl(),
      fc.string({ unit: "binary" }),
    );
    fc.assert(
      fc.property(text, (given) => {
        let url: TierUrl;
        try {
          url = parseTierUrl(given);
        } catch (error) {
          if (isSternwayError(error, "invalid")) return;
          throw error;
        }
        expect(parseTierUrl(describeTierUrl(url))).toEqual(url);
        expect(describeTierUrl(parseTierUrl(describeTierUrl(url)))).toBe(describeTierUrl(url));
      }),
      { numRuns: 3_000 },
    );
  });
});
