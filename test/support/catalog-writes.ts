/** Writes into a catalog, one after the other, for tests that watch the system calls of a process that does it. */
import { writeSync } from "node:fs";
import { systemClock } from "../../src/base/clock.ts";
import { realDisk } from "../../src/base/real-disk.ts";
import { micros } from "../../src/base/units.ts";
import { openCatalog, type Catalog } from "../../src/catalog/catalog.ts";

const at = micros(1_795_000_000_123_456);

const account = {
  name: "anna",
  role: "auditor" as const,
  machines: [],
  passwordHash: "x",
  identity: null,
  createdAt: at,
};
const session = { id: "1", account: "anna", createdAt: at, seenAt: at, from: "", browser: "" };
const token = { id: "t", hash: "h", account: "anna", name: "n", role: "auditor" as const, machines: null };
const schedule = {
  name: "nightly",
  key: "k",
  description: "",
  task: { kind: "check" as const, quick: true },
  timing: { kind: "interval" as const, everySeconds: 3600, jitterSeconds: 0 },
  missed: "run" as const,
  state: "active" as const,
  createdAt: at,
  handledAt: at,
};
const credential = {
  machine: "web",
  name: "n",
  fingerprint: "f",
  readOnly: true,
  createdBy: "anna",
  createdAt: at,
  expiresAt: at,
  uid: null,
  user: null,
};
const settings = { name: "ops", settings: "{}", createdAt: at };
const found = { script: "thaw", machine: "web", volumes: [], timeoutSeconds: 1, since: at };
const passing = { level: "info" as const, kind: "k", subject: "s", message: "m" };

/** By name: `kept:` what no power cut may undo, `noted:` what one may. */
function stepsOn(catalog: Catalog): Record<string, () => unknown> {
  const { accounts, sessions, tokens, credentials, machines, schedules, notify, frozen } = catalog;
  return {
    "kept: account added": () => accounts.insert(account),
    "kept: role changed": () => accounts.update("anna", { role: "operator" }),
    "kept: recovery code used up": () => accounts.update("anna", { recoveryHashes: ["left"], failedCount: 0 }),
    "kept: code used up": () => accounts.useTotpStep("anna", 7),
    "noted: wrong password": () => accounts.update("anna", { failedCount: 1, failedAt: at }),
    "noted: signed in": () => accounts.update("anna", { signedInAt: at }),
    "noted: session opened": () =>
      ["a", "b", "c"].forEach((idHash) => sessions.insert({ ...session, id: idHash, idHash })),
    "noted: session used": () => sessions.seen("a", at),
    "kept: session ended": () => sessions.delete("a"),
    "kept: all sessions ended": () => sessions.deleteOfAccount("anna"),
    "kept: token made": () => tokens.insert({ ...token, createdAt: at, expiresAt: at }),
    "noted: token used": () => tokens.used("t", at),
    "kept: token removed": () => tokens.delete("t"),
    "kept: credential made": () => credentials.add(credential),
    "kept: credential removed": () => credentials.remove("web", 1),
    "kept: another credential made": () => credentials.add(credential),
    "kept: credentials removed": () => credentials.removeAll("web"),
    "kept: machine made": () =>
      machines.add({ name: "web", description: "", createdAt: at, scripts: null, volumes: [] }),
    "kept: machine changed": () => machines.change("web", { description: "d" }),
    "kept: machine removed": () => machines.remove("web"),
    "kept: schedule made": () => schedules.add(schedule),
    "kept: schedule paused": () => schedules.change("nightly", { state: "paused" }),
    "noted: schedule seen to": () => schedules.change("nightly", { handledAt: micros(at + 1) }),
    "kept: schedule removed": () => schedules.remove("nightly"),
    "kept: channel set": () => notify.putChannel({ ...settings, secret: null }),
    "kept: channel removed": () => notify.deleteChannel("ops"),
    "kept: rule set": () => notify.putRule(settings),
    "kept: rule removed": () => notify.deleteRule("ops"),
    "kept: something is frozen": () => frozen.add(found),
    "noted: it is thawed": () => frozen.remove(1),
    "noted: job": () => catalog.finishJob(catalog.startJob("check", "vault")),
    "noted: event": () => catalog.addEvent(passing),
    "kept: account removed": () => accounts.delete("anna"),
  };
}

/** Says `step NAME` on standard output before each, and `step end` at the end. @param dir - of a catalog that is made there */
export async function writeStepByStep(dir: string): Promise<void> {
  const catalog = await openCatalog({ disk: realDisk, dir, clock: systemClock });
  for (const [name, step] of Object.entries(stepsOn(catalog))) {
    writeSync(1, `step ${name}\n`);
    step();
  }
  writeSync(1, "step end\n");
  catalog.close();
}
