import { describe, expect, test } from "bun:test";
import { createMetrics, type VolumeSample } from "../../../src/observe/metrics.ts";

describe("createMetrics()", () => {
  test("two appliances in one process do not meet", async () => {
    const [a, b] = [createMetrics(), createMetrics()];
    a.sealedBytes.inc({ vault: "x" }, 3);
    expect(await a.text()).toContain('sternway_sealed_bytes_total{vault="x"} 3');
    expect(await b.text()).not.toContain("sternway_sealed_bytes_total{");
  });

  test("samples volumes and the vault when read, and forgets a deleted volume", async () => {
    const metrics = createMetrics();
    const volume: VolumeSample = { name: "web1", sizeBytes: 512, lastLsn: 9, lastWriteAgeSeconds: 1.5, attached: 2 };
    const totals = { volume: "web1", writes: 5, writtenBytes: 20_480, clearedBytes: 0, readBytes: 1, flushes: 2 };
    let volumes = [volume];
    metrics.attach({
      volumes: () => volumes,
      totals: () => volumes.map(() => totals),
      vaults: () => [
        { vault: "default", journalUsedBytes: 77, writable: true },
        { vault: "locked", writable: false },
      ],
      tiers: () => [
        {
          vault: "default",
          tier: "offsite",
          online: true,
          lagSeconds: 1.5,
          lagBytes: 4096,
          attempts: 7,
          failures: 1,
          objectsPut: 3,
          bytesPut: 8192,
        },
      ],
      nbdSessions: () => 4,
      notifications: () => ({ waiting: 2, failures: 5, sent: 7, givenUp: 1 }),
      lastDone: () => [{ kind: "scrub", seconds: 1_795_000_000 }],
      spaceLeft: () => [{ vault: "default", daysLeft: 12.5 }],
    });
    const text = await metrics.text();
    for (const line of [
      'sternway_volume_last_lsn{volume="web1"} 9',
      'sternway_volume_last_write_age_seconds{volume="web1"} 1.5',
      'sternway_written_bytes_total{volume="web1"} 20480',
      'sternway_tier_online{vault="default",tier="offsite"} 1',
      'sternway_tier_lag_seconds{vault="default",tier="offsite"} 1.5',
      'sternway_tier_put_bytes_total{vault="default",tier="offsite"} 8192',
      'sternway_journal_used_bytes{vault="default"} 77',
      'sternway_vault_writable{vault="default"} 1',
      'sternway_vault_writable{vault="locked"} 0',
      "sternway_nbd_sessions 4",
      "sternway_notifications_waiting 2",
      "sternway_notification_failures_total 5",
      'sternway_job_last_success_timestamp_seconds{kind="scrub"} 1795000000',
      'sternway_space_left_days{vault="default"} 12.5',
    ]) {
      expect(text).toContain(line);
    }
    expect(await metrics.text()).toContain('sternway_writes_total{volume="web1"} 5');
    volumes = [];
    expect(await metrics.text()).not.toContain("web1");
  });

  test("every line is in the Prometheus text format and every metric has our prefix", async () => {
    const metrics = createMetrics();
    metrics.flushSeconds.observe(0.003);
    const lines = (await metrics.text()).split("\n").filter((line) => line !== "");
    for (const line of lines) expect(line).toMatch(/^(# (HELP|TYPE) sternway_\w+ .+|sternway_\w+(\{.*\})? \S+)$/);
    expect(lines).toContain('sternway_flush_seconds_bucket{le="0.0032"} 1');
  });
});
