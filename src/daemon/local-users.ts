/** The users of the appliance's own system: who somebody at a socket is, and to whom every disk is open without a credential. */
import { readFileSync } from "node:fs";
import { errorText, SternwayError } from "../base/errors.ts";
import { UID_MAX } from "../contract/credentials.ts";

/** A directory service that answers at all answers in less. */
const LOOK_UP_MS_MAX = 5_000;
/** getent(1): no such entry. */
const NOT_FOUND = 2;
/** overflowuid, as every distribution leaves it (proc_sys_kernel(5)). */
const OVERFLOW_UID = 65_534;

export interface LocalUsers {
  /** Root and the daemon's own user, who can read the vaults' files as well. */
  isOwner(uid: number): boolean;
  /** Whether the kernel shows more than one user by this number, so that no right can be given to it. */
  isAmbiguous(uid: number): boolean;
  /** The name of an owner, where it is known. */
  nameOf(uid: number): string | undefined;
  /**
   * Looks a user up, once.
   * @param text - a name or a number; a number needs no entry, for users of containers have none
   * @throws not_found: nobody has this name; invalid: no credential can be for this user; unavailable: it cannot be told
   */
  find(text: string): Promise<{ uid: number; user: string }>;
}

/** @param uidMap - how users of the whole machine are mapped into the daemon's name space of users (user_namespaces(7)) */
export function localUsers(uidMap = readFileSync("/proc/self/uid_map", "utf8")): LocalUsers {
  const ownUid = process.getuid?.() ?? 0;
  const ownName = ownUid === 0 ? "root" : nameInPasswd(ownUid);
  const isPartial = mappedCount(uidMap) < UID_MAX;
  const isOwner = (uid: number): boolean => uid === 0 || uid === ownUid;
  const isAmbiguous = (uid: number): boolean => isPartial && uid === OVERFLOW_UID;
  return {
    isOwner,
    isAmbiguous,
    nameOf: (uid) => (uid === 0 ? "root" : uid === ownUid ? ownName : undefined),
    async find(text) {
      const found = await lookUp(text);
      if (isOwner(found.uid)) {
        throw new SternwayError("invalid", `${found.user} needs no credential: every disk is open to this user`);
      }
      if (isAmbiguous(found.uid)) {
        const why = "here the kernel shows everybody whom it has no number for by this one";
        throw new SternwayError("invalid", `${found.user} (uid ${found.uid}) can have no credential: ${why}`);
      }
      return found;
    },
  };
}

/** From the system's own file alone, which is there at the start of the machine; the environment could say anything. */
function nameInPasswd(uid: number): string | undefined {
  const entries = readFileSync("/etc/passwd", "utf8").split("\n");
  return entries.map((line) => line.split(":")).find((entry) => entry[2] === String(uid))?.[0];
}

/** How many users are mapped, of {@link UID_MAX} + 1. */
function mappedCount(uidMap: string): number {
  const lines = uidMap.split("\n").filter((line) => line.trim() !== "");
  return lines.reduce((sum, line) => sum + Number(line.trim().split(/\s+/)[2] ?? 0), 0);
}

async function lookUp(text: string): Promise<{ uid: number; user: string }> {
  const number = /^\d+$/.test(text) ? Number(text) : undefined;
  if (number !== undefined && number > UID_MAX) {
    throw new SternwayError("invalid", `${text} is no user's number: they end at ${UID_MAX}`);
  }
  const { code, line } = await passwdEntry(text);
  const [user, , uid] = line.split(":");
  if (code === 0 && user && uid !== undefined && /^\d+$/.test(uid)) return { uid: Number(uid), user };
  if (code !== NOT_FOUND) {
    throw new SternwayError(
      "unavailable",
      `who ${text} is cannot be told (getent ended with ${code}): try again, or give the number`,
    );
  }
  if (number !== undefined) return { uid: number, user: String(number) };
  throw new SternwayError(
    "not_found",
    `the appliance's system has no user ${text}: see \`getent passwd\`, or give a number`,
  );
}

/** By the system's own program, in a process of its own: a directory service may take its time, and is asked about in ways that files do not tell. */
async function passwdEntry(text: string): Promise<{ code: number; line: string }> {
  try {
    const child = Bun.spawn(["getent", "passwd", text], {
      stdin: "ignore",
      stdout: "pipe",
      stderr: "ignore",
      timeout: LOOK_UP_MS_MAX,
      killSignal: "SIGKILL",
    });
    const [out, code] = await Promise.all([child.stdout.text(), child.exited]);
    return { code, line: out.split("\n", 1)[0] ?? "" };
  } catch (cause) {
    throw new SternwayError("unavailable", `who ${text} is cannot be told: ${errorText(cause)}`, {}, { cause });
  }
}
