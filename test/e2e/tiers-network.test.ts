/**
 * Two appliances on two machines: one keeps the other's vault over HTTPS, in synchronous mode, and the network between them is cut in two ways while a client writes. The
 * client is held up no longer than it takes to give the peer up, and both are equal again by themselves.
 */
import { afterAll, expect } from "bun:test";
import { join } from "node:path";
import { DaemonProcess, removeScratch, scratchFolder, sternway } from "../support/daemon-process.ts";
import { testWith } from "../support/require-tool.ts";
import {
  expectNoComplaints,
  expectSame,
  fioVerifies,
  fioWrites,
  imageOf,
  tierCatchesUp,
  tierComesTo,
  tierOf,
  TIER_CONFIG,
  within,
} from "../support/tier-appliance.ts";
import { NETWORK_TOOLS, TierNetwork } from "../support/tier-network.ts";

const PORT = 7482;
const SIZE_MIB = 32;
const TIMEOUT_MS = 300_000;
/** Ten attempts with their pauses and time limits. */
const GIVEN_UP_MS_MAX = 120_000;

const folder = scratchFolder();
const at = (name: string): string => join(folder, name);
afterAll(() => removeScratch(folder), TIMEOUT_MS);

const startKeeper = (network: TierNetwork): Promise<DaemonProcess> =>
  DaemonProcess.start(at("keeper"), {
    config: { ...TIER_CONFIG, peers: { listen: `${network.address("b")}:${PORT}` } },
    runner: network.runner("b"),
  });

testWith(
  ["fio", "nbdcopy", "cmp", ...NETWORK_TOOLS],
  "two appliances that are cut apart while a client writes synchronously are equal again when they are healed",
  async () => {
    await using network = await TierNetwork.make();
    await using undo = new AsyncDisposableStack();
    let keeper = undo.use(await startKeeper(network));
    await keeper.command("receive", "add", "web", "--token-file", at("token"));
    const url = `https://${network.address("b")}:${PORT}/web`;
    const cuts: Record<string, { cut: () => Promise<void>; heal: () => Promise<void> }> = {
      pulled: { cut: () => network.pull(), heal: () => network.plug() },
      silent: { cut: () => network.silenceB(), heal: () => network.unsilenceB() },
    };
    {
      await using writer = await DaemonProcess.start(at("writer"), {
        config: TIER_CONFIG,
        runner: network.runner("a"),
      });
      await writer.command("volume", "create", "disk", `${SIZE_MIB}M`);
      await writer.command(
        "tier",
        "add",
        "default",
        url,
        "--name",
        "peer",
        "--mode",
        "sync",
        "--secret-file",
        at("token"),
      );
      await tierComesTo(writer, { tier: "peer", states: ["online"] });
      const writes = (seed: number) => fioWrites(writer.uri("disk"), { sizeMib: SIZE_MIB, seed, mibPerSecond: 16 });
      const keep = async (name: string): Promise<void> => {
        await writer.command("bookmark", "create", "disk", name);
        await imageOf(writer, `disk@bookmark:${name}`, at(name));
        await tierCatchesUp(writer, "default", "peer");
      };
      const written = async (): Promise<number> => (await writer.client.vaultNamed("default")).status?.lastLsn ?? 0;

      for (const [i, [name, { cut, heal }]] of Object.entries(cuts).entries()) {
        const before = await written();
        const writing = writes(i + 1);
        await within(30_000, "the client writes", async () => (await written()) > before + 200);
        await cut();
        // Its flushes wait for the peer.
        await within(60_000, "the peer lags", async () => (await tierOf(writer, "default", "peer")).lagSeconds > 4);
        await heal();
        const healed = performance.now();
        expect(await writing).toMatchObject({ code: 0 });
        console.log(
          `${name}: the client was done ${(performance.now() - healed).toFixed(0)} ms after the network was healed`,
        );
        await tierComesTo(writer, { tier: "peer", states: ["online"], timeMsMax: GIVEN_UP_MS_MAX });
        await keep(name);
      }

      const writing = writes(3);
      await keeper.kill();
      const killed = performance.now();
      await tierComesTo(writer, { tier: "peer", states: ["offline"], timeMsMax: GIVEN_UP_MS_MAX });
      console.log(`the peer was given up after ${(performance.now() - killed).toFixed(0)} ms`);
      expect(await writing).toMatchObject({ code: 0 });
      keeper = undo.use(await startKeeper(network));
      await tierComesTo(writer, { tier: "peer", states: ["online"], timeMsMax: GIVEN_UP_MS_MAX });
      await keep("killed");
      expect(await sternway(writer.dataDir, "tier", "verify", "default", "peer")).toMatchObject({ code: 0 });
      expectNoComplaints(writer, keeper);
      await writer.kill();
    }
    await using heir = await DaemonProcess.start(at("heir"), { config: TIER_CONFIG, runner: network.runner("a") });
    await heir.command("vault", "open", url, "--name", "v", "--secret-file", at("token"));
    for (const [i, name] of ["pulled", "silent", "killed"].entries()) {
      await expectSame(heir, `disk@bookmark:${name}`, at(name));
      await fioVerifies(heir.uri(`disk@bookmark:${name}`), { sizeMib: SIZE_MIB, seed: i + 1 });
    }
    expectNoComplaints(heir, keeper);
  },
  TIMEOUT_MS,
);
