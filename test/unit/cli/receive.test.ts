import { expect, test } from "bun:test";
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { ReceivedAdmin } from "../../../src/api/app.ts";
import { SternwayError } from "../../../src/base/errors.ts";
import { openCliFixture } from "./cli-fixture.ts";

const TOKEN = "swp1.0123456789abcdef.secret.print";

function appliance() {
  const asked: unknown[][] = [];
  const received: ReceivedAdmin = {
    list: async () => ({
      listen: "0.0.0.0:7482",
      places: [
        {
          name: "berlin",
          createdAt: "2026-11-20T12:00:00.000000Z",
          usedBytes: 2 ** 30,
          quotaBytes: 2 ** 41,
          identity: "feed",
        },
        { name: "rome", createdAt: "2026-11-20T12:00:00.000000Z", usedBytes: 0, reason: "its folder does not exist" },
      ],
    }),
    async add(name, quotaBytes) {
      asked.push(["add", name, quotaBytes]);
      if (name === "taken") throw new SternwayError("conflict", "there is a place taken already");
      return { name, token: TOKEN, listen: "0.0.0.0:7482" };
    },
    async renew(name) {
      asked.push(["renew", name]);
      return { name, token: TOKEN };
    },
    remove: async (name) => void asked.push(["remove", name]),
  };
  return { asked, received };
}

test("sternway receive adds, lists, renews, and removes only with --yes", async () => {
  const { asked, received } = appliance();
  await using fixture = await openCliFixture({ received });
  const added = await fixture.run("receive", "add", "berlin", "--quota", "2TiB");
  expect(added.out).toContain(`\n${TOKEN}\n`);
  expect(added.out).toContain("https://THIS-HOST:7482/berlin");
  expect((await fixture.run("receive", "renew", "berlin")).out).toContain("No peer can reach it yet");
  const { out } = await fixture.run("receive", "list");
  expect(out).toMatch(/^berlin +feed +1 GiB +2 TiB$/m);
  expect(out).toMatch(/^rome +none yet +0 B +its folder does not exist$/m);
  expect((await fixture.run("receive", "remove", "berlin")).err).toContain("add --yes");
  expect((await fixture.run("receive", "remove", "berlin", "--yes")).code).toBe(0);
  expect((await fixture.run("receive", "add", "rome", "--quota", "much")).err).toContain("is no size");
  expect(asked).toEqual([
    ["add", "berlin", 2 * 2 ** 40],
    ["renew", "berlin"],
    ["remove", "berlin"],
  ]);
});

test("sternway receive writes the token into a new private file, shows it nowhere, and leaves none when it fails", async () => {
  const { asked, received } = appliance();
  const dir = mkdtempSync(join(tmpdir(), "sternway-token-"));
  try {
    await using fixture = await openCliFixture({ received });
    const path = join(dir, "berlin.token");
    const added = await fixture.run("receive", "add", "berlin", "--token-file", path, "--json");
    expect(added.out + added.err).not.toContain(TOKEN);
    expect(readFileSync(path, "utf8")).toBe(`${TOKEN}\n`);
    expect(statSync(path).mode & 0o777).toBe(0o600);
    expect((await fixture.run("receive", "renew", "berlin", "--token-file", path)).code).not.toBe(0);
    expect(asked).toEqual([["add", "berlin", undefined]]);
    const none = join(dir, "taken.token");
    expect((await fixture.run("receive", "add", "taken", "--token-file", none)).err).toContain("already");
    expect(existsSync(none)).toBe(false);
  } finally {
    rmSync(dir, { recursive: true });
  }
});
