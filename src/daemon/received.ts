/**
 * The places that this appliance keeps for others, and who may use them:
 *
 *     DATA/received.json    places, quotas, and of each token what recognizes it (security/peer-token.ts); the truth, replaced as a whole
 *     DATA/received/NAME/   the objects of each (received-place.ts)
 *     DATA/peer.pem         this appliance's key and certificate for its peers; made when first needed, and then kept: tokens name it
 *
 * All of mode 0600 in a folder of mode 0700. A place's folder is there before the list names it, and the list has forgotten a place before its folder is deleted: a
 * crash in between leaves a folder that nobody can reach, which `add` takes up again. If the list or the certificate is damaged, the appliance serves its own volumes all
 * the same; its peers find nobody, and every command here says why.
 */
import { rm } from "node:fs/promises";
import { z } from "zod";
import type { PeerPlaces, ReceivedAdmin } from "../api/app.ts";
import type { Clock } from "../base/clock.ts";
import { publish, readWhole, type Disk } from "../base/disk.ts";
import { errorText, isSternwayError, SternwayError } from "../base/errors.ts";
import type { Random } from "../base/random.ts";
import { formatTime, micros } from "../base/units.ts";
import { nameSchema } from "../contract/fields.ts";
import type { WireReceived, WireReceivedList, WireReceivedToken } from "../contract/received.ts";
import { makeCertificate, parseCertificate, type OwnCertificate } from "../security/certificate.ts";
import { formatPeerToken, keptTokenOf, makePeerToken, TOKEN_ID, type PeerToken } from "../security/peer-token.ts";
import { KeptPlace } from "./received-place.ts";

const PLACES_MAX = 256;
const hex32 = z.string().regex(/^[0-9a-f]{64}$/);
const listSchema = z.strictObject({
  version: z.literal(1),
  places: z
    .array(
      z.strictObject({
        name: nameSchema,
        createdAt: z.int().min(0),
        quotaBytes: z.int().min(1).optional(),
        token: z.strictObject({ id: z.string().regex(TOKEN_ID), credentialHash: hex32, proofKey: hex32 }),
      }),
    )
    .max(PLACES_MAX),
});
type Listed = z.output<typeof listSchema>["places"][number];

export interface ReceivedOptions {
  disk: Disk;
  clock: Clock;
  random: Random;
  dataDir: string;
  /** What must stay free on the disks of places. */
  reserveBytes: number;
}

export class Received implements PeerPlaces, ReceivedAdmin {
  /** Where peers reach it, HOST:PORT; undefined: nowhere. */
  listen: string | undefined;
  /** Why peers find nobody although there may be places. */
  trouble: SternwayError | undefined;
  private readonly options: ReceivedOptions;
  private readonly listed = new Map<string, Listed>();
  private readonly places = new Map<string, KeptPlace>();
  private own: OwnCertificate | undefined;
  /** Changes of the list, one after the other. */
  private tail: Promise<unknown> = Promise.resolve();

  private constructor(options: ReceivedOptions, listed: readonly Listed[], trouble: SternwayError | undefined) {
    this.options = options;
    this.trouble = trouble;
    for (const each of listed) this.take(each);
  }

  /** Never fails for what is damaged: see `trouble`. @throws unavailable: the disk */
  static async open(options: ReceivedOptions): Promise<Received> {
    const path = `${options.dataDir}/received.json`;
    try {
      return new Received(options, await readList(options.disk, path), undefined);
    } catch (error) {
      if (!isSternwayError(error, "corrupt")) throw error;
      return new Received(options, [], error);
    }
  }

  placeOf(id: string): KeptPlace | undefined {
    for (const place of this.places.values()) if (place.token.id === id) return place;
    return undefined;
  }

  /** This appliance's certificate for its peers, made now if there is none. @throws corrupt: it is damaged */
  async certificate(): Promise<OwnCertificate> {
    return await this.inTurn(() => this.ownCertificate());
  }

  async list(): Promise<WireReceivedList> {
    this.check();
    const places = [...this.listed.values()].sort((a, b) => (a.name < b.name ? -1 : 1));
    const wire = await Promise.all(places.map((each) => this.wire(each)));
    return { places: wire, ...this.reached() };
  }

  async add(name: string, quotaBytes: number | undefined): Promise<WireReceivedToken> {
    return await this.inTurn(async () => {
      this.check();
      if (this.listed.has(name)) {
        const message = `there is a place ${name} already: \`sternway receive renew ${name}\` makes another token for it`;
        throw new SternwayError("conflict", message, { name });
      }
      if (this.listed.size >= PLACES_MAX) throw new SternwayError("conflict", `there are ${PLACES_MAX} places already`);
      const { disk, clock, random, dataDir } = this.options;
      await disk.mkdir(this.dirOf(name));
      await disk.syncDir(`${dataDir}/received`);
      await disk.syncDir(dataDir);
      const token = makePeerToken(random, (await this.ownCertificate()).fingerprint);
      const entry: Listed = {
        name,
        createdAt: clock.wall(),
        token: keptTokenOf(token),
        ...(quotaBytes === undefined ? {} : { quotaBytes }),
      };
      await this.write([...this.listed.values(), entry]);
      this.take(entry);
      return this.told(name, token);
    });
  }

  async renew(name: string): Promise<WireReceivedToken> {
    return await this.inTurn(async () => {
      const { entry, place } = this.known(name);
      const token = makePeerToken(this.options.random, (await this.ownCertificate()).fingerprint);
      const renewed = { ...entry, token: keptTokenOf(token) };
      await this.write([...this.listed.values()].map((each) => (each.name === name ? renewed : each)));
      this.listed.set(name, renewed);
      place.token = renewed.token;
      return this.told(name, token);
    });
  }

  async remove(name: string): Promise<void> {
    await this.inTurn(async () => {
      const { place } = this.known(name);
      await this.write([...this.listed.values()].filter((each) => each.name !== name));
      this.listed.delete(name);
      this.places.delete(name);
      await place.close();
      const dir = this.dirOf(name);
      try {
        await rm(dir, { recursive: true, force: true });
      } catch (cause) {
        const { code = "UNKNOWN" } = cause as NodeJS.ErrnoException;
        const message = `place ${name} is struck off the list, but not all of ${dir} could be deleted: delete it by hand`;
        throw new SternwayError("unavailable", message, { code }, { cause });
      }
    });
  }

  async stop(): Promise<void> {
    await Promise.all([...this.places.values()].map((place) => place.close()));
  }

  private dirOf(name: string): string {
    return `${this.options.dataDir}/received/${name}`;
  }

  private take(entry: Listed): void {
    const { disk, clock, random, reserveBytes } = this.options;
    const { name, token, quotaBytes } = entry;
    this.listed.set(name, entry);
    this.places.set(
      name,
      new KeptPlace({ disk, clock, random, name, dir: this.dirOf(name), token, quotaBytes, reserveBytes }),
    );
  }

  private known(name: string): { entry: Listed; place: KeptPlace } {
    this.check();
    const [entry, place] = [this.listed.get(name), this.places.get(name)];
    if (entry && place) return { entry, place };
    throw new SternwayError("not_found", `there is no place ${name}: \`sternway receive list\` shows those there are`, {
      name,
    });
  }

  private check(): void {
    if (this.trouble) throw this.trouble;
  }

  private reached(): { listen?: string } {
    return this.listen === undefined ? {} : { listen: this.listen };
  }

  private told(name: string, token: PeerToken): WireReceivedToken {
    return { name, token: formatPeerToken(token), ...this.reached() };
  }

  private async wire({ name, createdAt, quotaBytes }: Listed): Promise<WireReceived> {
    const { place } = this.known(name);
    const quota = quotaBytes === undefined ? {} : { quotaBytes };
    const fixed = { name, createdAt: formatTime(micros(createdAt)), ...quota };
    try {
      const identity = await place.identify();
      return { ...fixed, usedBytes: await place.usedBytes(), ...(identity === undefined ? {} : { identity }) };
    } catch (error) {
      return { ...fixed, usedBytes: 0, reason: errorText(error) };
    }
  }

  private async ownCertificate(): Promise<OwnCertificate> {
    if (this.own) return this.own;
    const { disk, clock, random, dataDir } = this.options;
    const path = `${dataDir}/peer.pem`;
    const text = await textOf(disk, path);
    if (text !== undefined) return (this.own = parseCertificate(text, path));
    const made = makeCertificate(clock.wall(), random);
    await publish(disk, path, [new TextEncoder().encode(made.keyPem + made.certificatePem)]);
    return (this.own = made);
  }

  private async write(places: readonly Listed[]): Promise<void> {
    const { disk, dataDir } = this.options;
    const text = `${JSON.stringify({ version: 1, places }, undefined, 2)}\n`;
    await publish(disk, `${dataDir}/received.json`, [new TextEncoder().encode(text)]);
  }

  private async inTurn<Result>(work: () => Promise<Result>): Promise<Result> {
    const mine = this.tail.then(work, work);
    this.tail = mine.catch(() => undefined);
    return await mine;
  }
}

async function textOf(disk: Disk, path: string): Promise<string | undefined> {
  try {
    return new TextDecoder().decode(await readWhole(disk, path));
  } catch (error) {
    if (isSternwayError(error, "not_found")) return undefined;
    throw error;
  }
}

async function readList(disk: Disk, path: string): Promise<Listed[]> {
  const text = await textOf(disk, path);
  if (text === undefined) return [];
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw new SternwayError("corrupt", `${path} is damaged: it is not JSON`, { path }, { cause });
  }
  const parsed = listSchema.safeParse(value);
  if (parsed.success) return parsed.data.places;
  const issue = parsed.error.issues[0];
  throw new SternwayError(
    "corrupt",
    `${path} is damaged at ${issue?.path.join(".") ?? "?"}: ${issue?.message ?? "?"}`,
    { path },
  );
}
