/**
 * A reader that follows: one appliance writes to a tier, another one shows what came there, by itself and while it is read from; when a third one takes the vault over, it
 * goes along; and when the tier cannot be reached, it says so and how old is what it shows.
 */
import { afterAll, expect } from "bun:test";
import { mkdirSync, renameSync } from "node:fs";
import { join } from "node:path";
import { connectNbd } from "../../src/nbd/client.ts";
import { DaemonProcess, removeScratch, scratchFolder, sternway } from "../support/daemon-process.ts";
import { testWith } from "../support/require-tool.ts";
import {
  expectNoComplaints,
  expectSame,
  fioVerifies,
  fioWrites,
  imageOf,
  tierCatchesUp,
  TIER_CONFIG,
  within,
} from "../support/tier-appliance.ts";

const SIZE_MIB = 16;
const TIMEOUT_MS = 240_000;
const CATCH_UP_MS = 60_000;

const folder = scratchFolder();
const at = (name: string): string => join(folder, name);
afterAll(() => removeScratch(folder), TIMEOUT_MS);

const start = (name: string): Promise<DaemonProcess> => DaemonProcess.start(at(name), { config: TIER_CONFIG });

/** The reader knows a bookmark, without anybody having asked it to look. */
async function shows(reader: DaemonProcess, bookmark: string): Promise<void> {
  await within(CATCH_UP_MS, `the reader shows bookmark ${bookmark}`, async () =>
    (await reader.client.bookmarks("disk")).some(({ name }) => name === bookmark),
  );
}

testWith(
  ["fio", "nbdcopy", "cmp"],
  "a vault that is read from a tier goes along with its writer and with whoever takes it over, and what is being read stays as it was",
  async () => {
    mkdirSync(at("place"));
    const url = `file://${at("place")}`;
    await using writer = await start("writer");
    await writer.command("volume", "create", "disk", `${SIZE_MIB}M`);
    await writer.command("tier", "add", "default", url, "--name", "away");
    expect(await fioWrites(writer.uri("disk"), { sizeMib: SIZE_MIB, seed: 1 })).toMatchObject({ code: 0 });
    await writer.command("bookmark", "create", "disk", "first");
    await tierCatchesUp(writer, "default", "away");
    const first = await imageOf(writer, "disk@bookmark:first", at("first"));

    await using reader = await start("reader");
    await reader.command("vault", "open", url, "--name", "look", "--follow", "1s");
    await shows(reader, "first");
    // A client that stays connected.
    const client = await connectNbd(reader.blocks, "disk@now");
    const before = (await client.read(0, 65_536)).slice();

    expect(await fioWrites(writer.uri("disk"), { sizeMib: SIZE_MIB, seed: 2 })).toMatchObject({ code: 0 });
    await writer.command("bookmark", "create", "disk", "second");
    await shows(reader, "second");
    await fioVerifies(reader.uri("disk@bookmark:second"), { sizeMib: SIZE_MIB, seed: 2 });
    await expectSame(reader, "disk@bookmark:first", first);
    expect(Buffer.compare(await client.read(0, 65_536), before)).toBe(0);

    await using heir = await start("heir");
    await heir.command("vault", "open", url, "--name", "v", "--take-over");
    expect(await fioWrites(heir.uri("disk"), { sizeMib: SIZE_MIB, seed: 3 })).toMatchObject({ code: 0 });
    await heir.command("bookmark", "create", "disk", "third");
    await shows(reader, "third");
    await fioVerifies(reader.uri("disk@bookmark:third"), { sizeMib: SIZE_MIB, seed: 3 });
    await expectSame(reader, "disk@bookmark:first", first);
    expect(Buffer.compare(await client.read(0, 65_536), before)).toBe(0);
    await client.close();

    const { follow } = (await reader.client.vaultNamed("look")).status!;
    expect(follow?.everySeconds).toBe(1);
    const shown = await sternway(reader.dataDir, "vault", "show", "look");
    expect(shown.out).toMatch(/its tier as of 20\S+Z, looks every 1 s/);
    const listed = await sternway(reader.dataDir, "vault", "list");
    expect(listed.out).toMatch(/read only, as its tier was at 20\S+Z; newest write 20\S+Z/);
    expectNoComplaints(reader, heir);

    await heir.stop();
    renameSync(at("place"), at("gone"));
    const reason = await within(CATCH_UP_MS, "the reader says that it cannot look", async () => {
      const vault = await reader.client.vaultNamed("look");
      return vault.status?.follow?.reason ?? false;
    });
    expect(reason).not.toBe("");
    await within(CATCH_UP_MS, "an event says so", async () =>
      (await reader.client.events()).events.some(
        ({ kind, subject }) => kind === "tier-offline" && subject === "look/origin",
      ),
    );
    renameSync(at("gone"), at("place"));
    await within(CATCH_UP_MS, "it follows again", async () =>
      (await reader.client.events()).events.some(
        ({ kind, subject }) => kind === "tier-online" && subject === "look/origin",
      ),
    );
  },
  TIMEOUT_MS,
);
