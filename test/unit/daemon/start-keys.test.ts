import { expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { startKeys } from "../../../src/daemon/start-keys.ts";

test("startKeys() takes what config.json names, else systemd's credentials, else nothing", () => {
  const dir = mkdtempSync(join(tmpdir(), "sternway-credentials-"));
  try {
    writeFileSync(join(dir, "vault.a.key"), "bytes");
    writeFileSync(join(dir, "vault.b.key"), "bytes");
    writeFileSync(join(dir, "vault.c.passphrase"), "two words \n");
    const keys = startKeys({ a: { keyFile: "/etc/a.key" }, b: {} }, { CREDENTIALS_DIRECTORY: dir });
    expect(keys("a")).toEqual({ keyFile: "/etc/a.key" });
    expect(keys("b")).toEqual({ keyFile: join(dir, "vault.b.key") });
    expect(keys("c")).toEqual({ passphrase: "two words " });
    expect(keys("d")).toBeUndefined();
    expect(startKeys({}, {})("b")).toBeUndefined();
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
});
