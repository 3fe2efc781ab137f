import { afterEach, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { realDisk } from "../../../src/base/real-disk.ts";
import {
  configWarnings,
  loadConfig,
  resolveConfig,
  type Config,
  type ConfigFlags,
} from "../../../src/config/config.ts";

function resolved(fileText?: string, environment: Record<string, string> = {}, flags: ConfigFlags = {}): Config {
  return resolveConfig({ fileText, filePath: "/data/config.json", environment, flags });
}

describe("resolveConfig()", () => {
  test("gives the defaults without file, environment or flags", () => {
    const config = resolved();
    expect(config.http.listen).toEqual({ kind: "tcp", host: "127.0.0.1", port: 7480 });
    expect(config.nbd.listen).toEqual([]);
    expect(config.storage).toMatchObject({
      journalFileBytes: 64 * 2 ** 20,
      journalFilesMax: 32,
      freeSpaceReserveBytes: 2 ** 30,
    });
    expect(config.log).toEqual({ level: "info", format: "auto" });
  });

  test("reads a file with comments, sizes as text and as bytes, and leaves the rest at its default", () => {
    const config = resolved(`{
      // beside the default socket
      "nbd": { "listen": ["unix:/run/x.sock", "0.0.0.0:10809", "[::1]:0"], },
      "storage": { "journalFileBytes": "128MiB", "frameCacheBytes": 8388608 },
    }`);
    expect(config.nbd.listen).toEqual([
      { kind: "unix", path: "/run/x.sock" },
      { kind: "tcp", host: "0.0.0.0", port: 10809 },
      { kind: "tcp", host: "::1", port: 0 },
    ]);
    expect(config.storage.journalFileBytes).toBe(2 ** 27);
    expect(config.storage.frameCacheBytes).toBe(2 ** 23);
    expect(config.storage.journalFilesMax).toBe(32);
  });

  test("says how much merging and collecting may take of the disk, and when collecting begins by itself", () => {
    expect(resolved().storage).toMatchObject({
      mergeBytesPerSecond: 2 ** 26,
      collectBytesPerSecond: 2 ** 26,
      collectDroppedShare: 0.125,
    });
    const { storage } = resolved('{"storage":{"collectBytesPerSecond":"16MiB","collectDroppedShare":0.5}}');
    expect(storage).toMatchObject({ collectBytesPerSecond: 2 ** 24, collectDroppedShare: 0.5 });
    expect(() => resolved('{"storage":{"collectDroppedShare":0}}')).toThrow("collectDroppedShare");
  });

  test("says how much HTTP takes, each figure alone, and never so little that the console cannot be used", () => {
    const usual = {
      requests: { burst: 400, perSecond: 100 },
      address: { burst: 1_600, perSecond: 400 },
      signIn: { burst: 20, perSecond: 0.5 },
    };
    expect(resolved().http).toMatchObject({ rates: usual, connectionsMax: 1_024, connectionsPerAddressMax: 256 });
    const { rates, connectionsMax } = resolved(
      '{"http":{"connectionsMax":4096,"rates":{"signIn":{"burst":5},"requests":{"perSecond":250.5}}}}',
    ).http;
    expect(connectionsMax).toBe(4096);
    expect(rates).toEqual({
      requests: { burst: 400, perSecond: 250.5 },
      address: usual.address,
      signIn: { burst: 5, perSecond: 0.5 },
    });
    for (const [wrong, at] of [
      ['"rates":{"requests":{"burst":1}}', "http.rates.requests.burst"],
      ['"rates":{"address":{"perSecond":0}}', "http.rates.address.perSecond"],
      ['"rates":{"signIn":{"burst":0.5}}', "http.rates.signIn.burst"],
      ['"rates":{"signIn":{"perSecond":1e9}}', "http.rates.signIn.perSecond"],
      ['"rates":{"signin":{}}', "did you mean http.rates.signIn"],
      ['"rates":{"signIn":{"brust":1}}', "did you mean http.rates.signIn.burst"],
      ['"connectionsMax":0', "http.connectionsMax"],
      ['"connectionsPerAddressMax":100000', "http.connectionsPerAddressMax"],
    ] as const) {
      expect(() => resolved(`{"http":{${wrong}}}`)).toThrow(at);
    }
  });

  test("flags beat the environment, the environment beats the file, each key alone", () => {
    const file =
      '{"http":{"listen":"127.0.0.1:1"},"nbd":{"listen":["unix:/a"],"sessionsMax":7},"log":{"level":"warn","format":"json"}}';
    const environment = { STERNWAY_HTTP: "127.0.0.1:2", STERNWAY_NBD: "unix:/b, unix:/c", STERNWAY_LOG_LEVEL: "" };
    const config = resolved(file, environment, { http: "off" });
    expect(config.http.listen).toEqual({ kind: "off" });
    expect(config.nbd.listen).toEqual([
      { kind: "unix", path: "/b" },
      { kind: "unix", path: "/c" },
    ]);
    expect(config.nbd.sessionsMax).toBe(7);
    expect(config.log).toEqual({ level: "warn", format: "json" });
  });

  const refused: [what: string, file: string, says: RegExp][] = [
    ["not JSON", "{", /config\.json is not JSON/],
    ["a list", "[]", /must hold one object/],
    [
      "an unknown key with a near one",
      '{"storage":{"journalFilesBytes":1}}',
      /storage\.journalFilesBytes is not known; did you mean storage\.journalFileBytes\?/,
    ],
    ["a key in the wrong case", '{"storage":{"framecachebytes":1}}', /did you mean storage\.frameCacheBytes/],
    ["an unknown key at the top", '{"ndb":{}}', /ndb is not known; did you mean nbd\?/],
    [
      "an unknown key like no other",
      '{"nbd":{"colour":"red"}}',
      /nbd\.colour is not known; known here: listen, localSocket, tls, credentials, sessionsMax/,
    ],
    [
      "a socket for users at no absolute path",
      '{"nbd":{"localSocket":"nbd.sock"}}',
      /localSocket is "nbd\.sock", but must be an abs/,
    ],
    [
      "one that is a folder",
      '{"nbd":{"localSocket":"/run/"}}',
      /localSocket is "\/run\/", but must be an absolute path/,
    ],
    ["one with too long a path", `{"nbd":{"localSocket":"/${"x".repeat(107)}"}}`, /localSocket is a path of 108 bytes/],
    [
      "an unknown key of tls",
      '{"nbd":{"tls":{"certFile":"a","keyFile":"b","caFiles":"c"}}}',
      /did you mean nbd\.tls\.caFile\?/,
    ],
    ["HTTP with a key and no certificate", '{"http":{"tls":{"keyFile":"/k"}}}', /http\.tls must be "own"/],
    ["a name that is none", '{"http":{"names":["a b"]}}', /http\.names/],
    ["HTTP without a port", '{"http":{"listen":"127.0.0.1"}}', /HOST:PORT/],
    ["a port too high", '{"nbd":{"listen":["127.0.0.1:65536"]}}', /nbd\.listen\[0\] .*HOST:PORT/],
    ["an empty socket path", '{"nbd":{"listen":["unix:"]}}', /unix:PATH/],
    ["a socket path too long", `{"nbd":{"listen":["unix:/${"x".repeat(120)}"]}}`, /121 bytes; the kernel takes 107/],
    [
      "a size too small",
      '{"storage":{"journalFileBytes":"1MiB"}}',
      /storage\.journalFileBytes must be a size from 4MiB to 1GiB/,
    ],
    ["a size that is none", '{"storage":{"frameCacheBytes":"lots"}}', /storage\.frameCacheBytes must be a size/],
    ["a size that is a list", '{"storage":{"frameCacheBytes":[]}}', /storage\.frameCacheBytes must be a size/],
    ["a count that is text", '{"storage":{"journalFilesMax":"32"}}', /storage\.journalFilesMax must be/],
    ["a section that is text", '{"storage":"big"}', /storage must be/],
    [
      "client certificates without a CA",
      '{"nbd":{"tls":{"certFile":"a","keyFile":"b","clientCertificates":"require"}}}',
      /nbd\.tls\.caFile must be set/,
    ],
    ["tls without a key", '{"nbd":{"tls":{"certFile":"a"}}}', /nbd\.tls\.keyFile/],
    ["an unknown level", '{"log":{"level":"loud"}}', /log\.level .*debug/],
  ];
  for (const [what, file, says] of refused) {
    test(`refuses ${what}`, () => {
      expect(() => resolved(file)).toThrow(says);
      try {
        resolved(file);
      } catch (error) {
        expect(error).toMatchObject({ name: "SternwayError", kind: "invalid" });
      }
    });
  }
});

describe("configWarnings()", () => {
  const tls = '"tls":{"certFile":"a","keyFile":"b","caFile":"c"';
  const table: [file: string, says: RegExp | undefined][] = [
    ['{"nbd":{"listen":["127.0.0.1:1"]}}', undefined],
    ['{"nbd":{"listen":["0.0.0.0:1"]}}', undefined],
    [`{"nbd":{"listen":["0.0.0.0:1"],${tls},"required":false}}}`, /may skip TLS/],
    [`{"nbd":{"listen":["0.0.0.0:1"],${tls}}}}`, /no client certificate/],
    [`{"nbd":{"listen":["0.0.0.0:1"],${tls},"clientCertificates":"require"}}}`, undefined],
  ];
  for (const [file, says] of table) {
    test(`${file} ${says ? `warns ${says}` : "warns of nothing"}`, () => {
      const warnings = configWarnings(resolved(file)).join("\n");
      if (says) expect(warnings).toMatch(says);
      else expect(warnings).toBe("");
    });
  }
});

describe("loadConfig()", () => {
  const dir = mkdtempSync(join(tmpdir(), "sternway-config-"));
  afterEach(() => rmSync(dir, { recursive: true, force: true }));

  test("reads config.json of the data folder, and does without", async () => {
    const load = () => loadConfig({ disk: realDisk, dataDir: dir, environment: {} });
    writeFileSync(join(dir, "config.json"), '{"log":{"level":"debug"}}');
    expect((await load()).log.level).toBe("debug");
    rmSync(join(dir, "config.json"));
    expect((await load()).log.level).toBe("info");
  });
});
