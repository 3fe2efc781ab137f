/**
 * Two machines and a cable: network namespaces with a veth pair between them, and two ways to cut it. Whatever runs in one reaches the other by address alone. Needs
 * root. The kernels that tests run on have no netem everywhere, so delay and loss are not among the cuts.
 */
import { execute, succeed } from "./daemon-process.ts";

/** What {@link TierNetwork} needs of the machine. */
export const NETWORK_TOOLS = ["root", "ip"] as const;

type Side = "a" | "b";
const ADDRESS: Record<Side, string> = { a: "10.211.0.1", b: "10.211.0.2" };
const CABLE = "cable";

export class TierNetwork implements AsyncDisposable {
  readonly #names: Record<Side, string>;

  private constructor(names: Record<Side, string>) {
    this.#names = names;
  }

  static async make(): Promise<TierNetwork> {
    const network = new TierNetwork({ a: `swa-${process.pid}`, b: `swb-${process.pid}` });
    await using undo = new AsyncDisposableStack();
    undo.use(network);
    const { a, b } = network.#names;
    for (const name of [a, b]) {
      await succeed(["ip", "netns", "add", name]);
      await succeed(["ip", "-n", name, "link", "set", "lo", "up"]);
    }
    await succeed(["ip", "-n", a, "link", "add", CABLE, "type", "veth", "peer", "name", CABLE, "netns", b]);
    for (const side of ["a", "b"] as const) {
      await succeed(["ip", "-n", network.#names[side], "address", "add", `${ADDRESS[side]}/24`, "dev", CABLE]);
      await succeed(["ip", "-n", network.#names[side], "link", "set", CABLE, "up"]);
    }
    undo.move();
    return network;
  }

  address(side: Side): string {
    return ADDRESS[side];
  }

  /** The words that run a command on one machine. */
  runner(side: Side): string[] {
    return ["ip", "netns", "exec", this.#names[side]];
  }

  /** Pulls the cable: who sends learns nothing. */
  async pull(): Promise<void> {
    await succeed(["ip", "-n", this.#names.b, "link", "set", CABLE, "down"]);
  }

  async plug(): Promise<void> {
    await succeed(["ip", "-n", this.#names.b, "link", "set", CABLE, "up"]);
  }

  /** B's answers no longer find their way, and what A sends still arrives: requests are done and nobody learns of it. */
  async silenceB(): Promise<void> {
    await succeed(["ip", "-n", this.#names.b, "route", "add", "blackhole", `${ADDRESS.a}/32`]);
  }

  async unsilenceB(): Promise<void> {
    await succeed(["ip", "-n", this.#names.b, "route", "del", "blackhole", `${ADDRESS.a}/32`]);
  }

  /** Takes both machines away; what still runs there is its starter's. */
  async [Symbol.asyncDispose](): Promise<void> {
    for (const name of Object.values(this.#names)) await execute(["ip", "netns", "del", name]);
  }
}
