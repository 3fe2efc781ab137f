import { expect, test } from "bun:test";
import type { AuditFacts } from "../../../src/audit/audit.ts";
import { micros } from "../../../src/base/units.ts";
import { attaching, refusals } from "../../../src/daemon/nbd.ts";

const MINUTE = 60_000_000;

test("refused connections by the thousand cost the audit one entry, and one that counts them", () => {
  const kept: AuditFacts[] = [];
  let now = 1_000;
  const onRefused = refusals({ append: (facts) => Promise.resolve(void kept.push(facts) as never) }, () => micros(now));
  const refuse = (port: number): void => {
    const peer = { address: `0.0.0.0:10809 from 192.0.2.7:${port}` };
    onRefused({ ...attaching(peer, "-"), result: "refused", detail: { reason: "TLS is required" } });
  };
  for (let port = 20_000; port < 25_000; port++) refuse(port);
  expect(kept).toMatchObject([{ from: "192.0.2.7", action: "nbd-attach", subject: "-" }]);
  now += MINUTE;
  refuse(25_000);
  expect(kept.length).toBe(3);
  expect(kept[1]).toMatchObject({ from: "192.0.2.7", detail: { again: 4_999 } });
});

test("the audit says from where a client came, of any family, and that of a socket of this machine is here", () => {
  expect(attaching({ address: "[::]:10809 from 2001:db8::7:50000" }, "web1").from).toBe("2001:db8::7");
  expect(attaching({ address: "unix:/srv/sternway/nbd.sock" }, "web1")).toMatchObject({ from: "", by: "socket" });
});
