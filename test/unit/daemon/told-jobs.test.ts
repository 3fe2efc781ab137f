import { expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { systemClock } from "../../../src/base/clock.ts";
import { realDisk } from "../../../src/base/real-disk.ts";
import { openCatalog } from "../../../src/catalog/catalog.ts";
import { EVENT_KINDS } from "../../../src/contract/event-kinds.ts";
import { discreetCatalog } from "../../../src/daemon/discreet-catalog.ts";
import { tellingJobs, tellInterrupted } from "../../../src/daemon/told-jobs.ts";

test("jobs tell how they end, also those that a stop cut off, and nothing of an encrypted vault's volumes", async () => {
  const dir = mkdtempSync(join(tmpdir(), "sternway-told-"));
  const open = () => openCatalog({ disk: realDisk, dir, clock: systemClock });
  const plain = tellingJobs(await open());
  const heard: string[] = [];
  plain.onEvent(({ kind, subject, message }) => heard.push(`${kind} ${subject}: ${message}`));
  const catalog = discreetCatalog(plain, (word) => (word === "secret1" ? "safe" : undefined));
  catalog.finishJob(catalog.startJob("check", "web1"));
  catalog.finishJob(catalog.startJob("import", "web1"), "the source went away");
  catalog.finishJob(catalog.startJob("rollback", "web1"));
  catalog.finishJob(catalog.startJob("restore", "secret1"), "secret1 is broken");
  catalog.startJob("scrub", "default");
  catalog.close();
  const since = systemClock.wall();
  const second = tellingJobs(await open());
  tellInterrupted(second, since);
  const [interrupted] = second.events({ limit: 1 });
  second.close();
  rmSync(dir, { recursive: true, force: true });
  expect(heard).toEqual([
    "check-done web1: check of web1 was completed",
    "import-failed web1: import of web1 failed: the source went away",
    "restore-failed vault safe: restore of vault safe failed: it failed; the vault is encrypted, so the log alone says how",
  ]);
  expect(interrupted).toMatchObject({ kind: "scrub-failed", subject: "default" });
  for (const line of [...heard, "scrub-failed "]) expect(EVENT_KINDS).toHaveProperty(line.split(" ")[0]!);
});
