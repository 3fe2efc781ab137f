import { afterAll, expect, test } from "bun:test";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { systemClock } from "../../../src/base/clock.ts";
import { realDisk } from "../../../src/base/real-disk.ts";
import { openCatalog } from "../../../src/catalog/catalog.ts";
import { discreetCatalog } from "../../../src/daemon/discreet-catalog.ts";

const dir = mkdtempSync(join(tmpdir(), "sternway-discreet-"));
afterAll(() => rmSync(dir, { recursive: true, force: true }));
const vaultNaming = (word: string): string | undefined => (word === "planted" ? "pay" : undefined);
const open = async () => discreetCatalog(await openCatalog({ disk: realDisk, dir, clock: systemClock }), vaultNaming);
const written = (): string =>
  readdirSync(dir)
    .map((name) => readFileSync(join(dir, name), "latin1"))
    .join("");

test("discreetCatalog() keeps names of an encrypted vault's volumes out of the file, and shows them while it runs", async () => {
  const catalog = await open();
  catalog.addEvent({ level: "info", kind: "made", subject: "planted", message: "volume planted was made" });
  catalog.addEvent({ level: "alert", kind: "damage", subject: "pack 3", message: "it touches planted." });
  catalog.addEvent({ level: "info", kind: "made", subject: "web1", message: "volume web1 was made" });
  const hidden = catalog.startJob("restore", "planted@bookmark:before-planting");
  catalog.finishJob(hidden, "no room for before-planting");
  const plain = catalog.startJob("check", "vault");
  catalog.finishJob(plain, "it found planted: damaged");
  catalog.finishJob(catalog.startJob("check", "web1"), "it is away");
  expect(catalog.events({ limit: 9 })).toMatchObject([
    { subject: "web1" },
    { subject: "pack 3", message: "it touches planted." },
    { subject: "planted", message: "volume planted was made" },
  ]);
  expect(catalog.jobs({ limit: 9 })).toMatchObject([
    { subject: "web1", error: "it is away" },
    { subject: "vault", error: "it found planted: damaged" },
    { subject: "planted@bookmark:before-planting", error: "no room for before-planting" },
  ]);
  expect(written()).not.toContain("plant");
  catalog.close();
  expect(written()).not.toContain("plant");
  expect(written()).toContain("web1");
  const again = await open();
  expect(again.events({ limit: 9 })).toMatchObject([{}, { kind: "damage", subject: "vault pay" }, { kind: "made" }]);
  again.close();
});
