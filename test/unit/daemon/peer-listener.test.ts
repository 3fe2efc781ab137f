import { afterEach, beforeEach, expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { systemClock, type Clock } from "../../../src/base/clock.ts";
import { systemRandom } from "../../../src/base/random.ts";
import { realDisk } from "../../../src/base/real-disk.ts";
import { resolveConfig, type Config } from "../../../src/config/config.ts";
import { startPeerListener } from "../../../src/daemon/peer-listener.ts";
import { Received } from "../../../src/daemon/received.ts";
import { createLog } from "../../../src/observe/log.ts";
import { PeerStore } from "../../../src/tiers/peer/peer-store.ts";
import { expectKind } from "../../support/store-expectations.ts";

let dataDir: string;
let logged: string[];
beforeEach(() => {
  dataDir = mkdtempSync(join(tmpdir(), "sternway-listener-"));
  logged = [];
});
afterEach(() => rmSync(dataDir, { recursive: true, force: true }));

const log = createLog({ level: "debug", format: "json", write: (line) => void logged.push(line) });
const open = (): Promise<Received> =>
  Received.open({ disk: realDisk, clock: systemClock, random: systemRandom, dataDir, reserveBytes: 0 });
const configOf = (peers?: object): Config["peers"] =>
  resolveConfig({ fileText: JSON.stringify(peers ? { peers } : {}), filePath: "c", environment: {}, flags: {} }).peers;
const LOOPBACK = { listen: "127.0.0.1:0" };

test("startPeerListener() listens nowhere unless it is told where", async () => {
  const received = await open();
  expect(await startPeerListener(configOf(), received, systemClock, log)).toBeUndefined();
  expect(received.listen).toBeUndefined();
});

test("startPeerListener() serves the places, and tells them where", async () => {
  const received = await open();
  const listener = await startPeerListener(configOf(LOOPBACK), received, systemClock, log);
  const { token, listen } = await received.add("web", undefined);
  expect(listen).toBe(listener!.address);
  const store = new PeerStore({ url: `https://${listen}/web`, token, clock: systemClock });
  await store.attach("vault-1");
  expect(await store.identify()).toBe("vault-1");
  await store.close();
  await listener!.stop(1000);
});

test("startPeerListener() stops with requests under way, after the time they are given", async () => {
  const received = await open();
  const listener = await startPeerListener(configOf(LOOPBACK), received, systemClock, log);
  const { token, listen } = await received.add("web", undefined);
  const store = new PeerStore({ url: `https://${listen}/web`, token, clock: systemClock });
  const gate = Promise.withResolvers<void>();
  let stopped: Promise<void> | undefined;
  const put = store.put("a", {
    sizeBytes: 4 * 2 ** 20,
    async read(offset, length) {
      if (offset > 0) {
        stopped ??= listener!.stop(50);
        await gate.promise;
      }
      return new Uint8Array(length);
    },
  });
  const failed = expectKind(put, "unavailable");
  while (stopped === undefined) await new Promise((resolve) => setImmediate(resolve));
  await stopped;
  gate.resolve();
  await failed;
  await store.close();
});

test("startPeerListener() leaves no timer behind when it has stopped: that would keep the process", async () => {
  const received = await open();
  let timers = 0;
  const clock: Clock = {
    ...systemClock,
    timer(delayMs, fire) {
      timers++;
      const timer = systemClock.timer(delayMs, fire);
      return {
        cancel() {
          timers--;
          timer.cancel();
        },
      };
    },
    sleep: () => Promise.reject(new Error("a sleep cannot be cancelled")),
  };
  const listener = await startPeerListener(configOf(LOOPBACK), received, clock, log);
  const { token, listen } = await received.add("web", undefined);
  const store = new PeerStore({ url: `https://${listen}/web`, token, clock });
  await store.attach("vault-1");
  await listener!.stop(60_000);
  await store.close();
  expect(timers).toBe(0);
});

test("startPeerListener() leaves the appliance to serve its own when the list or the certificate is damaged", async () => {
  for (const name of ["received.json", "peer.pem"]) {
    writeFileSync(join(dataDir, name), "nonsense");
    const received = await open();
    expect(await startPeerListener(configOf(LOOPBACK), received, systemClock, log)).toBeUndefined();
    expect(received.trouble?.kind).toBe("corrupt");
    expect(logged.at(-1)).toContain("peers cannot be served");
    rmSync(join(dataDir, name));
  }
});

test("peers.listen takes any address, and says what is wrong with none", () => {
  expect(configOf({ listen: "0.0.0.0:7482" })).toEqual({
    listen: { kind: "tcp", host: "0.0.0.0", port: 7482 },
    connectionsMax: 64,
  });
  expect(configOf({ listen: "[::]:7482" }).listen).toEqual({ kind: "tcp", host: "::", port: 7482 });
  expect(() => configOf({ listen: "7482" })).toThrow(
    'peers.listen is "7482", but must be HOST:PORT, [IPV6]:PORT or off',
  );
});
