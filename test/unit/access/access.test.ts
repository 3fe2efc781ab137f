import { describe, expect, test } from "bun:test";
import { join } from "node:path";
import { readFileSync } from "node:fs";
import type { RequestFacts } from "../../../src/access/access.ts";
import type { Role } from "../../../src/contract/rights.ts";
import { ROLES } from "../../../src/contract/rights.ts";
import { isRoleWithin } from "../../../src/access/roles.ts";
import { networkOf } from "../../../src/access/lockout.ts";
import { browser, failure, FROM, openAccessBed, PASSWORD, signingIn, type AccessBed } from "./access-bed.ts";

async function bedWith(...accounts: [name: string, role: Role, machines?: string[]][]): Promise<AccessBed> {
  const bed = await openAccessBed();
  for (const [name, role, machines = []] of accounts) {
    await bed.access.accounts.add({ name, role, machines, password: PASSWORD });
  }
  return bed;
}

const asking = (headers: Headers, method = "GET", secure = false): RequestFacts => ({
  method,
  headers,
  secure,
  from: FROM,
});
const bearer = (token: string): Headers => new Headers({ authorization: `Bearer ${token}` });

describe("sessions", () => {
  test("a cookie tells who asks, and what changes something needs the CSRF token as well", async () => {
    using bed = await bedWith(["anna", "operator"]);
    const { access } = bed;
    const { session } = await access.signIn(signingIn("anna"));
    const { cookie, csrf } = session;
    expect(await access.authenticate(asking(browser(cookie)))).toMatchObject({
      principal: { name: "anna", role: "operator", by: "session" },
    });
    const post = (token?: string): ReturnType<typeof access.authenticate> =>
      access.authenticate(asking(browser(cookie, token === undefined ? {} : { "x-sternway-csrf": token }), "POST"));
    expect(await post(csrf)).toMatchObject({ principal: { name: "anna" } });
    for (const token of [undefined, "", "wrong", csrf.slice(1), `${csrf}x`]) {
      expect(await post(token)).toMatchObject({ refused: { kind: "denied" } });
    }
    const other = await access.signIn(signingIn("anna"));
    expect(await post(other.session.csrf)).toMatchObject({ refused: { kind: "denied" } });
    for (const method of ["PUT", "PATCH", "DELETE", "PROPFIND"]) {
      expect(await access.authenticate(asking(browser(cookie), method))).toMatchObject({ refused: { kind: "denied" } });
    }
  });

  test("are over after signing out: a cookie that somebody copied is worth nothing", async () => {
    using bed = await bedWith(["anna", "operator"]);
    const { access } = bed;
    const { cookie } = (await access.signIn(signingIn("anna"))).session;
    const taken = access.sessions.close(access.sessions.find(browser(cookie), false), false);
    expect(taken).toContain("Max-Age=0");
    expect(await access.authenticate(asking(browser(cookie)))).toBeUndefined();
  });

  test("a planted cookie never becomes somebody's session", async () => {
    using bed = await bedWith(["anna", "operator"], ["eve", "auditor"]);
    const { access } = bed;
    const planted = "A".repeat(43);
    const first = await access.signIn({ ...signingIn("anna"), headers: browser(`sternway=${planted}`) });
    expect(first.session.cookie).not.toContain(planted);
    expect(await access.authenticate(asking(browser(`sternway=${planted}`)))).toBeUndefined();
    // Signing in as somebody else ends what the browser had.
    const eve = (await access.signIn(signingIn("eve"))).session;
    await access.signIn({ ...signingIn("anna"), headers: browser(eve.cookie) });
    expect(await access.authenticate(asking(browser(eve.cookie)))).toBeUndefined();
  });

  test("end when they are idle, when they are old, and when the clock was set back", async () => {
    using bed = await bedWith(["anna", "operator"]);
    const { access } = bed;
    const open = async (): Promise<RequestFacts> =>
      asking(browser((await access.signIn(signingIn("anna"))).session.cookie));
    const idle = await open();
    bed.pass(1799);
    expect(await access.authenticate(idle)).toBeDefined();
    bed.pass(1799);
    expect(await access.authenticate(idle)).toBeDefined();
    bed.pass(1801);
    expect(await access.authenticate(idle)).toBeUndefined();
    const busy = await open();
    for (let minutes = 0; minutes < 719; minutes++) {
      bed.pass(60);
      expect(await access.authenticate(busy)).toBeDefined();
    }
    bed.pass(61);
    expect(await access.authenticate(busy)).toBeUndefined();
    const future = await open();
    bed.pass(-3600);
    expect(await access.authenticate(future)).toBeUndefined();
  });

  test("end with the account, its password and its role", async () => {
    using bed = await bedWith(["root2", "administrator"], ["anna", "operator"]);
    const { access } = bed;
    const open = async (): Promise<RequestFacts> =>
      asking(browser((await access.signIn(signingIn("anna"))).session.cookie));
    const one = await open();
    access.accounts.change("anna", { role: "auditor" });
    expect(await access.authenticate(one)).toBeUndefined();
    const two = await open();
    access.accounts.change("anna", { role: "auditor" });
    expect(await access.authenticate(two)).toMatchObject({ principal: { role: "auditor" } });
    await access.accounts.setPassword("anna", PASSWORD);
    expect(await access.authenticate(two)).toBeUndefined();
    const three = await open();
    access.accounts.remove("anna");
    expect(await access.authenticate(three)).toBeUndefined();
    await access.accounts.add({ name: "anna", role: "administrator", machines: [], password: PASSWORD });
    expect(await access.authenticate(three)).toBeUndefined();
  });

  test("changing one's password needs the old one, ends the others and opens this one anew", async () => {
    using bed = await bedWith(["anna", "operator"]);
    const { access } = bed;
    const mine = (await access.signIn(signingIn("anna"))).session;
    const stolen = (await access.signIn(signingIn("anna"))).session;
    const request = { headers: browser(mine.cookie), secure: false, from: FROM };
    const change = (password: string): ReturnType<typeof access.changePassword> =>
      access.changePassword("anna", { password, newPassword: "another sentence" }, request);
    expect(await failure(change("wrong password!"))).toMatchObject({ facts: { status: 401 } });
    const { session } = await change(PASSWORD);
    for (const { cookie } of [mine, stolen]) expect(await access.authenticate(asking(browser(cookie)))).toBeUndefined();
    expect(await access.authenticate(asking(browser(session.cookie)))).toBeDefined();
    expect(await failure(access.signIn(signingIn("anna")))).toMatchObject({ kind: "denied" });
  });

  test("over TLS only the cookie that no neighbour can plant counts", async () => {
    using bed = await bedWith(["anna", "operator"]);
    const { access } = bed;
    const { cookie } = (await access.signIn({ ...signingIn("anna"), secure: true })).session;
    expect(cookie).toMatch(/^__Host-sternway=[\w-]{43}; Path=\/; HttpOnly; SameSite=Strict; Secure; Max-Age=43200$/);
    expect(await access.authenticate(asking(browser(cookie), "GET", true))).toBeDefined();
    const plain = browser(cookie.replace("__Host-", ""));
    expect(await access.authenticate(asking(plain, "GET", true))).toBeUndefined();
    expect(await access.authenticate(asking(browser(cookie)))).toBeUndefined();
    // Two of one name: one of them is not ours.
    const [pair] = cookie.split(";") as [string];
    const two = new Headers({ cookie: `${pair}; ${pair.split("=")[0]}=${"B".repeat(43)}` });
    expect(await access.authenticate(asking(two, "GET", true))).toBeUndefined();
  });

  test("an account has a bounded number of them", async () => {
    using bed = await bedWith(["anna", "operator"]);
    const first = (await bed.access.signIn(signingIn("anna"))).session;
    for (let i = 0; i < 32; i++) await bed.access.signIn(signingIn("anna"));
    expect(bed.catalog.sessions.ofAccount("anna")).toHaveLength(32);
    expect(await bed.access.authenticate(asking(browser(first.cookie)))).toBeUndefined();
  });
});

describe("API tokens", () => {
  test("let programs in until they expire or are removed", async () => {
    using bed = await bedWith(["anna", "operator"]);
    const { access } = bed;
    const { token, kept } = access.addToken(access.accounts.get("anna"), { name: "backup", days: 2 });
    expect(token).toMatch(/^swt_[\w-]{43}$/);
    expect(await access.authenticate(asking(bearer(token), "POST"))).toEqual({
      principal: { name: "anna", role: "operator", machines: [], by: "token" },
    });
    expect(access.tokens.find(kept.id)?.usedAt).not.toBeNull();
    bed.pass(2 * 86_400 - 1);
    expect(await access.authenticate(asking(bearer(token)))).toMatchObject({ principal: { name: "anna" } });
    bed.pass(1);
    expect(await access.authenticate(asking(bearer(token)))).toMatchObject({ refused: { facts: { status: 401 } } });
    const other = access.addToken(access.accounts.get("anna"), { name: "other" });
    expect(access.tokens.list("anna").map(({ name }) => name)).toEqual(["other"]);
    access.tokens.remove(other.kept.id);
    expect(await access.authenticate(asking(bearer(other.token)))).toMatchObject({ refused: { kind: "denied" } });
  });

  test("what is not one is refused, whatever cookie comes along", async () => {
    using bed = await bedWith(["anna", "operator"]);
    const { access } = bed;
    const { cookie } = (await access.signIn(signingIn("anna"))).session;
    const { kept } = access.addToken(access.accounts.get("anna"), { name: "t" });
    for (const authorization of [
      "Bearer",
      "Bearer x",
      `Bearer swt_${"A".repeat(43)}`,
      "Basic YTpi",
      kept.hash,
      `Bearer ${kept.hash}`,
      "",
    ]) {
      const found = await access.authenticate(asking(browser(cookie, { authorization })));
      expect([authorization, found?.refused?.facts]).toEqual([authorization, { status: 401 }]);
    }
  });

  test("go with the account, and never do more than it may", async () => {
    using bed = await bedWith(["root2", "administrator"], ["anna", "administrator"]);
    const { access } = bed;
    const all = access.addToken(access.accounts.get("anna"), { name: "all" }).token;
    const few = access.addToken(access.accounts.get("anna"), { name: "few", role: "auditor" }).token;
    expect(access.accounts.change("anna", { role: "auditor" }).tokensRemoved).toBe(1);
    expect(await access.authenticate(asking(bearer(all)))).toMatchObject({ refused: { kind: "denied" } });
    expect(await access.authenticate(asking(bearer(few)))).toMatchObject({ principal: { role: "auditor" } });
    for (const role of ["administrator", "operator", "self-service"] as const) {
      const wish = { name: "more", role };
      expect(await failure(() => access.addToken(access.accounts.get("anna"), wish))).toMatchObject({ kind: "denied" });
    }
    // Whatever else lowers the role: what it may now is asked at each use.
    bed.catalog.accounts.update("anna", { role: "operator" });
    expect(await access.authenticate(asking(bearer(few)))).toMatchObject({ refused: { kind: "denied" } });
    bed.catalog.accounts.update("anna", { role: "auditor" });
    access.accounts.remove("anna");
    expect(await access.authenticate(asking(bearer(few)))).toMatchObject({ refused: { kind: "denied" } });
    expect(access.tokens.list()).toEqual([]);
    await access.accounts.add({ name: "anna", role: "administrator", machines: [], password: PASSWORD });
    expect(await access.authenticate(asking(bearer(few)))).toMatchObject({ refused: { kind: "denied" } });
  });

  test("count no more than a session does while their administrator lacks the second factor that is asked for", async () => {
    using bed = await openAccessBed({ administratorsNeedSecondFactor: true });
    const { access } = bed;
    const wish = { role: "administrator", machines: [], password: PASSWORD } as const;
    const anna = await access.accounts.add({ ...wish, name: "anna" });
    bed.catalog.accounts.update("anna", { totpSecret: "JBSWY3DPEHPK3PXP" });
    const { token } = access.addToken(access.accounts.get(anna.name), { name: "robot" });
    expect(await access.authenticate(asking(bearer(token)))).toMatchObject({ principal: { role: "administrator" } });
    access.secondFactor.turnOff("anna");
    expect(await access.authenticate(asking(bearer(token)))).toMatchObject({
      refused: { kind: "denied", facts: { status: 401 } },
    });
  });

  test("are limited to machines that are the account's at the moment", async () => {
    using bed = await bedWith(["sam", "self-service", ["web", "db"]], ["olga", "operator"]);
    const { access } = bed;
    const add = (name: string, wish: object): ReturnType<typeof access.addToken> =>
      access.addToken(access.accounts.get(name), { name: "t", ...wish });
    const both = add("sam", { machines: ["web", "db"] }).token;
    const theirs = add("sam", {}).token;
    expect(await failure(() => add("sam", { machines: ["mail"] }))).toMatchObject({ kind: "denied" });
    expect(await failure(() => add("olga", { machines: ["web"] }))).toMatchObject({ kind: "invalid" });
    expect(await failure(() => add("olga", { role: "self-service" }))).toMatchObject({ kind: "invalid" });
    const lent = add("olga", { role: "self-service", machines: ["mail"] }).token;
    expect(await access.authenticate(asking(bearer(lent)))).toMatchObject({ principal: { machines: ["mail"] } });
    access.accounts.change("sam", { machines: ["web", "cache"] });
    expect(await access.authenticate(asking(bearer(both)))).toMatchObject({ principal: { machines: ["web"] } });
    expect(await access.authenticate(asking(bearer(theirs)))).toMatchObject({
      principal: { machines: ["cache", "web"] },
    });
    access.accounts.change("olga", { role: "self-service", machines: ["web"] });
    expect(await access.authenticate(asking(bearer(lent)))).toMatchObject({ principal: { machines: [] } });
  });
});

describe("accounts", () => {
  test("one administrator with a password always stays", async () => {
    using bed = await bedWith(["anna", "administrator"], ["boris", "administrator"], ["olga", "operator"]);
    const { accounts } = bed.access;
    const provided = { identity: '["i","s"]', name: "carl", role: "administrator", machines: [] } as const;
    accounts.fromProvider(provided);
    const done = await Promise.allSettled(
      ["anna", "boris"].map(async (name) => {
        await Promise.resolve();
        accounts.remove(name);
      }),
    );
    expect(done.map(({ status }) => status)).toEqual(["fulfilled", "rejected"]);
    expect(await failure(() => accounts.change("boris", { role: "operator" }))).toMatchObject({ kind: "conflict" });
    expect(accounts.change("boris", { role: "administrator" }).account.role).toBe("administrator");
    accounts.change("olga", { role: "administrator" });
    accounts.remove("boris");
    expect(await failure(() => accounts.remove("olga"))).toMatchObject({ kind: "conflict" });
    accounts.remove("carl");
  });

  test("names are taken once, in whatever case, and root is nobody's", async () => {
    using bed = await bedWith(["anna", "operator"]);
    const add = (name: string): Promise<unknown> =>
      failure(bed.access.accounts.add({ name, role: "auditor", machines: [], password: PASSWORD }));
    expect(await add("anna")).toMatchObject({ kind: "conflict" });
    expect(await add("root")).toMatchObject({ kind: "invalid" });
    const both = await Promise.all([add("twin"), add("twin")]);
    expect(both.filter((error) => error !== undefined)).toHaveLength(1);
  });

  test("weak passwords are not taken, and never repeated in the refusal", async () => {
    using bed = await bedWith(["anna", "operator"]);
    for (const password of ["short", "aaaaaaaaaaaaaa", "annaanna12", "x".repeat(257), "abcd".repeat(5)]) {
      const error = await failure(bed.access.accounts.setPassword("anna", password));
      expect([password, error]).toMatchObject([password, { kind: "invalid" }]);
      expect(String(error)).not.toContain(password);
    }
  });

  test("only self-service has machines", async () => {
    using bed = await bedWith(["sam", "self-service", ["web", "web"]], ["anna", "administrator"]);
    const { accounts } = bed.access;
    expect(accounts.get("sam").machines).toEqual(["web"]);
    expect(await failure(() => accounts.change("anna", { machines: ["web"] }))).toMatchObject({ kind: "invalid" });
    expect(accounts.change("sam", { role: "operator" }).account.machines).toEqual([]);
  });

  test("nothing that lets anybody in is kept as it is", async () => {
    using bed = await bedWith(["anna", "administrator"]);
    const { access } = bed;
    const { cookie, csrf } = (await access.signIn(signingIn("anna"))).session;
    const { token } = access.addToken(access.accounts.get("anna"), { name: "t" });
    const id = /=([^;]+)/.exec(cookie)![1]!;
    const files = ["catalog.db", "catalog.db-wal"].map((name) => readFileSync(join(bed.dir, name), "latin1")).join("");
    expect(files).toContain("anna");
    for (const secret of [PASSWORD, id, csrf, token, token.slice(4)]) {
      expect(files).not.toContain(secret);
      expect(bed.logged.join("")).not.toContain(secret);
    }
  });
});

test("isRoleWithin() lets nobody hand on more than he has", () => {
  const within = ROLES.map((limit) => [limit, ROLES.filter((role) => isRoleWithin(role, limit))]);
  expect(Object.fromEntries(within)).toEqual({
    administrator: ["administrator", "operator", "self-service", "auditor"],
    operator: ["operator", "self-service"],
    "self-service": ["self-service"],
    auditor: ["auditor"],
  });
});

test("networkOf() takes an IPv6 network of 64 bits for one address", () => {
  expect(networkOf("192.0.2.1")).toBe("192.0.2.1");
  expect(networkOf("::ffff:192.0.2.1")).toBe("192.0.2.1");
  expect(networkOf("2001:db8:0:1::5")).toBe(networkOf("2001:DB8::1:aaaa:bbbb:cccc:dddd"));
  expect(networkOf("2001:db8:0:1::5")).not.toBe(networkOf("2001:db8:0:2::5"));
  expect(networkOf("fe80::1%eth0")).toBe(networkOf("fe80::2"));
  expect(networkOf("::1")).toBe("0:0:0:0");
});
