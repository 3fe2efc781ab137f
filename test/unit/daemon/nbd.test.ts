import { expect, test } from "bun:test";
import { mkdtempSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { AuditFacts } from "../../../src/audit/audit.ts";
import { micros } from "../../../src/base/units.ts";
import { configSchema } from "../../../src/config/schema.ts";
import { doorsOf } from "../../../src/daemon/doors.ts";
import { attaching, refusals, startNbdServers } from "../../../src/daemon/nbd.ts";
import { createLog } from "../../../src/observe/log.ts";

const nobody = (): undefined => undefined;
const refuse = (): Promise<never> => Promise.reject(new Error("nobody asks"));
const MINUTE = 60_000_000;

test("refused connections by the thousand cost the audit one entry, and one that counts them", () => {
  const kept: AuditFacts[] = [];
  let now = 1_000;
  const onRefused = refusals({ append: (facts) => Promise.resolve(void kept.push(facts) as never) }, () => micros(now));
  const refuse = (port: number): void => {
    const peer = { address: `0.0.0.0:10809 from 192.0.2.7:${port}` };
    onRefused({ ...attaching(peer, "-", nobody, { reason: "TLS is required" }), result: "refused" });
  };
  for (let port = 20_000; port < 25_000; port++) refuse(port);
  expect(kept).toMatchObject([{ from: "192.0.2.7", action: "nbd-attach", subject: "-" }]);
  now += MINUTE;
  refuse(25_000);
  expect(kept.length).toBe(3);
  expect(kept[1]).toMatchObject({ from: "192.0.2.7", detail: { again: 4_999 } });
});

test("the socket for local users is open to all of them, and stays closed where they cannot be told apart", async () => {
  const dir = mkdtempSync(join(tmpdir(), "sternway-doors-"));
  const config = configSchema.parse({ nbd: { localSocket: join(dir, "run/nbd.sock") } }).nbd;
  const none = { list: async () => [], describe: refuse, open: refuse };
  for (const knowsPeers of [false, true]) {
    const closed: string[] = [];
    const servers = await startNbdServers({
      ownSocket: join(dir, "nbd.sock"),
      config,
      exports: none,
      granted: { ...none, openedBy: () => undefined, isStranger: () => true },
      nameOf: nobody,
      knowsPeers,
      onClosed: (reason) => closed.push(reason),
      authority: async () => undefined,
      audit: { append: refuse },
      onRefused() {},
      log: createLog({ level: "error", format: "json", write() {} }),
    });
    try {
      const doors = doorsOf("own", config, servers);
      if (knowsPeers) {
        expect(doors.localSocketPath).toBe(config.localSocket!);
        expect(statSync(config.localSocket!).mode & 0o777).toBe(0o666);
        expect(closed).toEqual([]);
      } else {
        expect(doors).toEqual({ socketPath: "own", nbd: [] });
        expect(closed).toEqual([expect.stringContaining("nbd.localSocket stays closed")]);
      }
      expect(statSync(join(dir, "nbd.sock")).mode & 0o777).toBe(0o600);
    } finally {
      await Promise.all(servers.map((server) => server.stop({ graceMs: 0 })));
    }
  }
  rmSync(dir, { recursive: true, force: true });
});

test("the audit says from where a client came, of any family, and that of a socket of this machine is here", () => {
  const far = { address: "[::]:10809 from 2001:db8::7:50000" };
  expect(attaching(far, "web1", nobody, {}).from).toBe("2001:db8::7");
  const here = { address: "unix:/srv/sternway/nbd.sock" };
  expect(attaching(here, "web1", nobody, {})).toMatchObject({ who: "-", from: "", by: "socket", detail: {} });
});

test("the audit says which user and process of this machine a client is, by name where it is known", () => {
  const peer = { address: "unix:/run/sternway/nbd.sock", process: { uid: 107, gid: 110, pid: 4711 } };
  const names = (uid: number): string | undefined => (uid === 107 ? "libvirt-qemu" : undefined);
  const detail = { readOnly: true, uid: 107, pid: 4711 };
  expect(attaching(peer, "web1", names, { readOnly: true })).toMatchObject({
    who: "libvirt-qemu",
    by: "socket",
    detail,
  });
  expect(attaching(peer, "web1", nobody, {}).who).toBe("uid 107");
});
