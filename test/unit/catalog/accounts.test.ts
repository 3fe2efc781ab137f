import { Database } from "bun:sqlite";
import { expect, test } from "bun:test";
import { getTableConfig } from "drizzle-orm/sqlite-core";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { systemClock } from "../../../src/base/clock.ts";
import { realDisk } from "../../../src/base/real-disk.ts";
import { micros } from "../../../src/base/units.ts";
import { openCatalog } from "../../../src/catalog/catalog.ts";
import { migrate, MIGRATIONS } from "../../../src/catalog/migrations.ts";
import { accounts, sessions, tokens } from "../../../src/catalog/schema.ts";

const AT = micros(1_795_000_000_123_456);
const ANNA = {
  name: "anna",
  role: "administrator",
  machines: ["web"],
  passwordHash: null,
  identity: "i",
  createdAt: AT,
} as const;

test("the migrations make the tables of accounts, sessions and tokens as the schema knows them", () => {
  const database = new Database(":memory:");
  migrate(database);
  for (const table of [accounts, sessions, tokens]) {
    const { name, columns } = getTableConfig(table);
    const found = database
      .query<{ name: string; type: string; notnull: number; pk: number }, []>(`PRAGMA table_info(${name})`)
      .all();
    expect(found.map((c) => [c.name, c.type.toLowerCase(), c.notnull === 1, c.pk === 1])).toEqual(
      columns.map((c) => [c.name, c.getSQLType(), c.notNull, c.primary]),
    );
  }
});

test("an account keeps what it is over a restart, and takes its sessions and tokens along when it goes", async () => {
  const dir = mkdtempSync(join(tmpdir(), "sternway-accounts-"));
  try {
    const first = await openCatalog({ disk: realDisk, dir, clock: systemClock });
    expect(first.accounts.insert({ ...ANNA, machines: [...ANNA.machines] })).toBe(true);
    // Neither the name nor who it is at the provider is given twice.
    expect(first.accounts.insert({ ...ANNA, machines: [], identity: "j" })).toBe(false);
    expect(first.accounts.insert({ ...ANNA, machines: [], name: "eve" })).toBe(false);
    const session = { idHash: "s", id: "1", account: "anna", from: "192.0.2.1", browser: "" };
    first.sessions.insert({ ...session, createdAt: AT, seenAt: AT });
    const token = { id: "t", hash: "h", account: "anna", name: "n", role: "auditor", machines: null } as const;
    first.tokens.insert({ ...token, createdAt: AT, expiresAt: AT });
    first.close();
    const second = await openCatalog({ disk: realDisk, dir, clock: systemClock });
    expect(second.accounts.find("anna")).toMatchObject({
      machines: ["web"],
      createdAt: AT,
      totpStep: 0,
      failedCount: 0,
    });
    expect(second.accounts.useTotpStep("anna", 7)).toBe(true);
    expect(second.accounts.useTotpStep("anna", 7)).toBe(false);
    second.accounts.delete("anna");
    expect([second.sessions.find("s"), second.tokens.find("t"), second.accounts.count()]).toEqual([
      undefined,
      undefined,
      0,
    ]);
    second.close();
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
});

test("sessions from before they had names get one each, and go on", async () => {
  const dir = mkdtempSync(join(tmpdir(), "sternway-accounts-"));
  try {
    const old = new Database(join(dir, "catalog.db"), { create: true });
    const before = MIGRATIONS.findIndex((step) => step.includes("ALTER TABLE sessions ADD COLUMN id"));
    migrate(old, MIGRATIONS.slice(0, before));
    old.run(
      "INSERT INTO accounts (name, role, machines, created_at, totp_step, recovery_hashes, failed_count) VALUES ('anna', 'auditor', '[]', 1, 0, '[]', 0)",
    );
    for (const hash of ["s1", "s2"]) old.run("INSERT INTO sessions VALUES (?, 'anna', 1, 1, '192.0.2.1')", [hash]);
    old.close();
    const catalog = await openCatalog({ disk: realDisk, dir, clock: systemClock });
    const ids = catalog.sessions.ofAccount("anna").map(({ id }) => id);
    expect(new Set(ids).size).toBe(2);
    for (const id of ids) {
      expect(id).toMatch(/^[0-9a-f]{16}$/);
      expect(catalog.sessions.findById(id)).toMatchObject({ id, account: "anna", browser: "" });
    }
    catalog.close();
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
});
