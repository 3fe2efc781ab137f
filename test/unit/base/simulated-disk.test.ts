import { describe, expect, test } from "bun:test";
import { publish, readWhole, type DiskFile } from "../../../src/base/disk.ts";
import { isSternwayError } from "../../../src/base/errors.ts";
import { SimulatedDisk, type SimulatedDiskOptions } from "../../../src/base/simulated-disk.ts";
import { Simulation } from "../../../src/base/simulation.ts";

const SEEDS = 200;

interface World {
  simulation: Simulation;
  disk: SimulatedDisk;
}

async function world(
  seed: number,
  body: (world: World) => Promise<void>,
  options: SimulatedDiskOptions = {},
): Promise<World> {
  const simulation = new Simulation(seed);
  const disk = new SimulatedDisk(simulation, options);
  await simulation.run(() => body({ simulation, disk }));
  return { simulation, disk };
}

/** Runs a body with each seed, cuts the power, and counts what was seen afterwards. */
async function outcomes(
  body: (world: World) => Promise<void>,
  look: (disk: SimulatedDisk) => string,
  options: SimulatedDiskOptions = {},
): Promise<Map<string, number>> {
  const counts = new Map<string, number>();
  for (let seed = 0; seed < SEEDS; seed++) {
    const { simulation, disk } = await world(seed, body, options);
    const seen = look(disk.crashed(simulation.rebooted()));
    counts.set(seen, (counts.get(seen) ?? 0) + 1);
  }
  return counts;
}

const outcomeNames = (counts: Map<string, number>): string[] => [...counts.keys()].sort();

/** A file of a size, synced, with its name. */
async function synced(disk: SimulatedDisk, path: string, size: number, fill: number): Promise<DiskFile> {
  const file = await disk.open(path, "create");
  await file.write(new Uint8Array(size).fill(fill), 0);
  await file.sync();
  await disk.syncDir(path.slice(0, path.lastIndexOf("/")));
  return file;
}

async function codeOf(work: Promise<unknown>): Promise<unknown> {
  try {
    await work;
  } catch (error) {
    if (isSternwayError(error)) return error.facts["code"];
    throw error;
  }
  return "ok";
}

/** Which fills the sectors of a file hold: `1122`; `x` for a mixed one. */
function sectors(bytes: Uint8Array | undefined): string {
  if (bytes === undefined) return "none";
  let text = "";
  for (let at = 0; at < bytes.length; at += 512) {
    const sector = bytes.subarray(at, at + 512);
    text += sector.every((byte) => byte === sector[0]) ? String(sector[0]) : "x";
  }
  return text;
}

describe("a power cut", () => {
  test("synced data and names always survive", async () => {
    const counts = await outcomes(
      async ({ disk }) => void (await synced(disk, "/a", 2048, 7)),
      (disk) => sectors(disk.peek("/a")),
    );
    expect(outcomeNames(counts)).toEqual(["7777"]);
  });

  test("unsynced data survives wholly, torn at 512 bytes, or not at all", async () => {
    const counts = await outcomes(
      async ({ disk }) => (await synced(disk, "/a", 2048, 1)).write(new Uint8Array(2048).fill(2), 0),
      (disk) => sectors(disk.peek("/a")),
    );
    expect(counts.get("1111")).toBeGreaterThan(SEEDS / 5);
    expect(counts.get("2222")).toBeGreaterThan(SEEDS / 5);
    expect(outcomeNames(counts).filter((name) => name.includes("1") && name.includes("2")).length).toBeGreaterThan(5);
    expect(outcomeNames(counts).some((name) => name.includes("x"))).toBe(false);
  });

  test("an unaligned write is torn at sectors of the file, not of the write", async () => {
    const counts = await outcomes(
      async ({ disk }) => (await synced(disk, "/a", 2048, 1)).write(new Uint8Array(1000).fill(2), 300),
      (disk) => {
        const bytes = disk.peek("/a")!;
        return [300, 511, 512, 1023, 1024, 1299].map((at) => bytes[at]).join("");
      },
    );
    // Bytes 300 to 511 are in one sector, so they live or die together; likewise the other two pairs.
    for (const seen of counts.keys()) expect(seen).toMatch(/^(11|22){3}$/);
    expect(counts.size).toBe(8);
  });

  test("a later write may survive without an earlier one", async () => {
    const counts = await outcomes(
      async ({ disk }) => {
        const file = await synced(disk, "/a", 1024, 1);
        await file.write(new Uint8Array(512).fill(2), 0);
        await file.write(new Uint8Array(512).fill(3), 512);
      },
      (disk) => sectors(disk.peek("/a")),
    );
    expect(outcomeNames(counts)).toEqual(["11", "13", "21", "23"]);
  });

  test("a size that grew without sync may stay, grow with data, or grow with zeroes", async () => {
    const counts = await outcomes(
      async ({ disk }) => (await synced(disk, "/a", 512, 1)).write(new Uint8Array(512).fill(2), 512),
      (disk) => sectors(disk.peek("/a")),
    );
    expect(outcomeNames(counts)).toEqual(["1", "10", "12"]);
  });

  test("a finished write-through write survives, one in flight may be torn", async () => {
    const finished = await outcomes(
      async ({ disk }) => {
        await synced(disk, "/a", 4096, 1);
        await (await disk.open("/a", "write-through")).write(disk.allocate(4096).fill(2), 0);
      },
      (disk) => sectors(disk.peek("/a")),
    );
    expect(outcomeNames(finished)).toEqual(["22222222"]);
    const inFlight = await outcomes(
      async ({ disk }) => {
        await synced(disk, "/a", 4096, 1);
        const file = await disk.open("/a", "write-through");
        void file.write(disk.allocate(4096).fill(2), 0);
      },
      (disk) => sectors(disk.peek("/a")),
    );
    expect(inFlight.get("11111111")).toBeGreaterThan(0);
    expect(inFlight.get("22222222")).toBeGreaterThan(0);
    expect(inFlight.size).toBeGreaterThan(10);
  });

  test("an older buffered write does not come back over a write-through one", async () => {
    const counts = await outcomes(
      async ({ disk }) => {
        const buffered = await synced(disk, "/a", 12_288, 1);
        await buffered.write(new Uint8Array(12_288).fill(2), 0);
        await (await disk.open("/a", "write-through")).write(disk.allocate(4096).fill(3), 4096);
      },
      (disk) => sectors(disk.peek("/a")).slice(8, 16),
    );
    expect(outcomeNames(counts)).toEqual(["33333333"]);
  });

  test("a sync covers what had finished when it began, not what was under way", async () => {
    const counts = await outcomes(
      async ({ disk }) => {
        const file = await synced(disk, "/a", 1024, 1);
        await file.write(new Uint8Array(512).fill(2), 0);
        const late = file.write(new Uint8Array(512).fill(3), 512);
        disk.latency = { minMicros: 1e6, maxMicros: 2e6, tailOneIn: 0, tailFactor: 1 };
        // The write ends long before the sync does.
        await Promise.all([late, file.sync()]);
      },
      (disk) => sectors(disk.peek("/a")),
    );
    expect(outcomeNames(counts)).toEqual(["21", "23"]);
  });

  test("a name is lost or kept until its directory is synced, also of a synced file", async () => {
    const counts = await outcomes(
      async ({ disk }) => {
        const file = await disk.open("/a", "create");
        await file.write(new Uint8Array(512).fill(4), 0);
        await file.sync();
      },
      (disk) => sectors(disk.peek("/a")),
    );
    expect(outcomeNames(counts)).toEqual(["4", "none"]);
  });

  test("what lies in a directory is lost with the directory's own name", async () => {
    const counts = await outcomes(
      async ({ disk }) => {
        await disk.mkdir("/d");
        await synced(disk, "/d/a", 512, 1);
      },
      (disk) => disk.paths().join(),
    );
    expect(outcomeNames(counts)).toEqual(["", "/d/a"]);
  });

  test("a rename without syncDir holds the old or the new content, never neither", async () => {
    const counts = await outcomes(
      async ({ disk }) => {
        await synced(disk, "/a", 512, 1);
        await synced(disk, "/b", 512, 2);
        await disk.rename("/b", "/a");
      },
      (disk) => `${sectors(disk.peek("/a"))} ${disk.paths().join()}`,
    );
    expect(outcomeNames(counts)).toEqual(["1 /a,/b", "2 /a"]);
  });

  test("a rename between directories is never half done", async () => {
    const counts = await outcomes(
      async ({ disk }) => {
        await disk.mkdir("/x");
        await disk.mkdir("/y");
        await disk.syncDir("/");
        await synced(disk, "/x/a", 512, 1);
        await disk.rename("/x/a", "/y/a");
      },
      (disk) => disk.paths().join(),
    );
    expect(outcomeNames(counts)).toEqual(["/x/a", "/y/a"]);
  });

  test("a rename between directories takes with it what came before in the other", async () => {
    const counts = await outcomes(
      async ({ disk }) => {
        await disk.mkdir("/x");
        await disk.mkdir("/y");
        await disk.syncDir("/");
        await synced(disk, "/x/a", 512, 1);
        await disk.open("/x/b", "create");
        await disk.rename("/x/a", "/y/a");
        await disk.syncDir("/y");
      },
      (disk) => disk.paths().join(),
    );
    expect(outcomeNames(counts)).toEqual(["/x/b,/y/a"]);
  });

  test("what is asked for after stop() never happens, not even by chance", async () => {
    for (let seed = 0; seed < 30; seed++) {
      const { simulation, disk } = await world(seed, async ({ disk: each }) => {
        await synced(each, "/a", 512, 1);
      });
      const file = await simulation.run(() => disk.open("/a", "write"));
      simulation.stop();
      void file.write(new Uint8Array(512).fill(2), 0);
      void disk.rename("/a", "/b");
      expect(sectors(disk.crashed(new Simulation(seed)).peek("/a"))).toBe("1");
    }
  });

  test("unsynced names survive in order within a directory by default, in any order on request", async () => {
    const body = async ({ disk }: World): Promise<void> => {
      for (const name of ["1", "2", "3"]) await disk.open(`/${name}`, "create");
    };
    const look = (disk: SimulatedDisk): string => disk.paths().join("");
    expect(outcomeNames(await outcomes(body, look))).toEqual(["", "/1", "/1/2", "/1/2/3"]);
    expect((await outcomes(body, look, { directoryOrder: "any-order" })).size).toBe(8);
  });

  test("a removal without syncDir may be undone", async () => {
    const counts = await outcomes(
      async ({ disk }) => {
        await synced(disk, "/a", 512, 1);
        await disk.remove("/a");
      },
      (disk) => sectors(disk.peek("/a")),
    );
    expect(outcomeNames(counts)).toEqual(["1", "none"]);
  });

  test("a change of names in flight may have happened", async () => {
    const counts = await outcomes(
      async ({ disk }) => {
        await synced(disk, "/a", 512, 1);
        void disk.rename("/a", "/b");
      },
      (disk) => disk.paths().join(),
    );
    expect(outcomeNames(counts)).toEqual(["/a", "/b"]);
  });

  test("publish() cut at every step leaves all of the old or all of the new", async () => {
    const seen = new Set<string>();
    for (let seed = 0; seed < 20; seed++) {
      const simulation = new Simulation(seed);
      const disk = new SimulatedDisk(simulation);
      let begun = false;
      const main = async (): Promise<void> => {
        await publish(disk, "/m", [new Uint8Array(1024).fill(1)]);
        begun = true;
        await publish(disk, "/m", [new Uint8Array(512).fill(2), new Uint8Array(512).fill(3)]);
      };
      await simulation.run(main, {
        afterStep: () => {
          if (begun) seen.add(sectors(disk.crashed(new Simulation(simulation.stepCount + seed * 1000)).peek("/m")));
        },
      });
      expect(sectors(disk.crashed(simulation.rebooted()).peek("/m"))).toBe("23");
    }
    expect([...seen].sort()).toEqual(["11", "23"]);
  });

  test("crashed() leaves the disk it was taken from as it was", async () => {
    const { simulation, disk } = await world(1, async ({ disk: each }) => {
      await (await each.open("/a", "create")).write(new Uint8Array(2048).fill(5), 0);
    });
    for (let seed = 0; seed < 50; seed++) {
      const other = new Simulation(seed);
      const copy = disk.crashed(other);
      await other.run(async () => {
        await copy.remove("/a");
        const file = await copy.open("/a", "create");
        await file.write(new Uint8Array(9000).fill(9), 0);
      });
    }
    expect(sectors(disk.peek("/a"))).toBe("5555");
    expect(simulation.stopped).toBe(false);
    expect(sectors(disk.shutDown(new Simulation(1)).peek("/a"))).toBe("5555");
  });
});

describe("faults", () => {
  test("inject() fails the operations it names, as often as it says, until healed", async () => {
    await world(1, async ({ disk }) => {
      const fault = disk.inject({ effect: "EIO", operations: ["write"], path: /^\/a/, skip: 1, times: 2 });
      const a = await disk.open("/a", "create");
      const b = await disk.open("/b", "create");
      const one = new Uint8Array(1);
      expect(await codeOf(b.write(one, 0))).toBe("ok");
      const codes: unknown[] = [];
      for (let i = 0; i < 4; i++) codes.push(await codeOf(a.write(one, 0)));
      expect(codes).toEqual(["ok", "EIO", "EIO", "ok"]);
      expect(fault.hits).toBe(2);
      const full = disk.inject({ effect: "ENOSPC", times: Infinity });
      expect(await codeOf(disk.rename("/a", "/c"))).toBe("ENOSPC");
      expect(await codeOf(disk.mkdir("/d"))).toBe("ENOSPC");
      full.heal();
      expect(await codeOf(disk.rename("/a", "/c"))).toBe("ok");
      expect(disk.logText()).toContain("rename /a -> /c @0+0 ENOSPC");
      await a.close();
      await b.close();
    });
  });

  test("after a failed sync the next one succeeds, and the data may be gone", async () => {
    const counts = await outcomes(
      async ({ disk }) => {
        const file = await synced(disk, "/a", 512, 1);
        disk.inject({ effect: "EIO", operations: ["sync"] });
        await file.write(new Uint8Array(512).fill(2), 0);
        expect(await codeOf(file.sync())).toBe("EIO");
        expect(await codeOf(file.sync())).toBe("ok");
      },
      (disk) => sectors(disk.peek("/a")),
    );
    expect(outcomeNames(counts)).toEqual(["1", "2"]);
  });

  test("after a failed sync readers see the data or not", async () => {
    const seen = new Set<string>();
    for (let seed = 0; seed < SEEDS; seed++) {
      const { disk } = await world(seed, async ({ disk: each }) => {
        const file = await synced(each, "/a", 512, 1);
        each.inject({ effect: "EIO", operations: ["sync"] });
        await file.write(new Uint8Array(512).fill(2), 0);
        expect(await codeOf(file.sync())).toBe("EIO");
      });
      // Every pairing of what is read and what a crash leaves, but for old content read over new on the medium.
      seen.add(`${sectors(disk.peek("/a"))} ${sectors(disk.crashed(new Simulation(seed)).peek("/a"))}`);
    }
    expect([...seen].sort()).toEqual(["1 1", "2 1", "2 2"]);
  });

  test("a failed write may have arrived in part", async () => {
    const seen = new Set<string>();
    for (let seed = 0; seed < SEEDS; seed++) {
      const { disk } = await world(seed, async ({ disk: each }) => {
        const file = await synced(each, "/a", 1024, 1);
        each.inject({ effect: "EIO", operations: ["write"] });
        expect(await codeOf(file.write(new Uint8Array(1024).fill(2), 0))).toBe("EIO");
      });
      seen.add(sectors(disk.peek("/a")));
    }
    expect([...seen].sort()).toEqual(["11", "12", "21", "22"]);
  });

  test("a capacity gives ENOSPC, and removing gives space back when the last handle closes", async () => {
    const options = { capacityBytes: 16 * 4096 };
    await world(
      1,
      async ({ disk }) => {
        const a = await disk.open("/a", "create");
        // Written zeroes count: a prewritten file has its space for good.
        await a.write(new Uint8Array(12 * 4096), 0);
        expect(await disk.space("/")).toEqual({ freeBytes: 4 * 4096, totalBytes: 16 * 4096 });
        const b = await disk.open("/b", "create");
        expect(await codeOf(b.write(new Uint8Array(8 * 4096), 0))).toBe("ENOSPC");
        expect(await codeOf(a.write(new Uint8Array(12 * 4096).fill(1), 0))).toBe("ok");
        await b.close();
        await disk.remove("/b");
        await disk.remove("/a");
        expect(disk.usedBytes).toBe(12 * 4096);
        await a.close();
        expect(disk.usedBytes).toBe(0);
      },
      options,
    );
  });

  test("a rename over a file gives its space back", async () => {
    await world(1, async ({ disk }) => {
      await (await synced(disk, "/a", 8192, 1)).close();
      await (await synced(disk, "/b", 4096, 2)).close();
      await disk.rename("/b", "/a");
      expect(disk.usedBytes).toBe(4096);
      expect(disk.crashed(new Simulation(1)).usedBytes).toBeGreaterThan(0);
    });
  });

  test("stale, misdirected and ignored operations report success", async () => {
    for (let seed = 0; seed < 50; seed++) {
      const { simulation, disk } = await world(seed, async ({ disk: each }) => {
        for (const name of ["/stale", "/mis", "/ign"]) {
          const file = await synced(each, name, 4096, 1);
          await file.close();
          const through = await each.open(name, "write-through");
          const effect = name === "/stale" ? "stale" : name === "/mis" ? "misdirected" : "ignored";
          const fault = each.inject({ effect, path: name });
          await through.write(each.allocate(4096).fill(2), 0);
          expect(fault.hits).toBe(1);
        }
      });
      const after = disk.crashed(simulation.rebooted());
      expect(sectors(after.peek("/stale"))).toMatch(/^(?=2*12*$).{8}$/);
      expect(sectors(after.peek("/mis"))).toMatch(/^1+2{8}$/);
      expect(sectors(after.peek("/ign"))).toBe("11111111");
    }
  });

  test("an ignored sync leaves the data to chance", async () => {
    const counts = await outcomes(
      async ({ disk }) => {
        const file = await synced(disk, "/a", 512, 1);
        await file.write(new Uint8Array(512).fill(2), 0);
        disk.inject({ effect: "ignored", operations: ["sync"] });
        await file.sync();
      },
      (disk) => sectors(disk.peek("/a")),
    );
    expect(outcomeNames(counts)).toEqual(["1", "2"]);
  });

  test("flipBit() and scribble() are seen at once and survive", async () => {
    const { disk } = await world(1, async ({ disk: each }) => void (await synced(each, "/a", 512, 0)));
    disk.flipBit("/a", 100, 3);
    disk.scribble("/a", 200, new Uint8Array([1, 2]));
    for (const each of [disk, disk.crashed(new Simulation(2))]) {
      const bytes = each.peek("/a")!;
      expect([bytes[99], bytes[100], bytes[200], bytes[201]]).toEqual([0, 8, 1, 2]);
    }
  });
});

test("write() catches a caller that changes its buffer before the write is done", async () => {
  const broken = world(1, async ({ disk }) => {
    const file = await disk.open("/a", "create");
    const data = new Uint8Array(100);
    const write = file.write(data, 0);
    data[5] = 1;
    await write;
  });
  await expect(broken).rejects.toThrow("nobody changes the data");
});

test("latency decides how long operations take", async () => {
  const { simulation } = await world(
    1,
    async ({ disk }) => {
      await disk.sizeOf("/a");
    },
    { latency: { minMicros: 5_000_000, maxMicros: 5_000_001, tailOneIn: 0, tailFactor: 1 } },
  );
  expect(simulation.nowMicros).toBe(5_000_000);
});

test("log() is bounded", async () => {
  const { disk } = await world(1, async ({ disk: each }) => {
    for (let i = 0; i < 5_000; i++) await each.sizeOf("/a");
  });
  expect(disk.log().length).toBeLessThanOrEqual(4_000);
  expect(disk.operationCount).toBe(5_000);
});

/** What the middle one of many takes: a stall is not in it. */
function middleMs(work: (round: number) => unknown): number {
  const times = Array.from({ length: 5 }, (_, round) => {
    const from = performance.now();
    work(round);
    return performance.now() - from;
  });
  return times.toSorted((a, b) => a - b)[2]!;
}

test("a 64 MiB file of written zeroes takes no memory to speak of and reads back whole", async () => {
  await world(1, async ({ disk }) => {
    const file = await disk.open("/j", "create");
    const chunk = new Uint8Array(2 ** 20);
    for (let i = 0; i < 64; i++) {
      await file.write(chunk, i * chunk.length);
      await file.sync();
    }
    expect(disk.usedBytes).toBe(64 * 2 ** 20);
    await file.close();
    expect((await readWhole(disk, "/j")).length).toBe(64 * 2 ** 20);
    // Crashed copies share their bytes: to copy those alone would take longer.
    const bytes = new Uint8Array(64 * 2 ** 20).fill(1);
    const crashMs = middleMs((seed) => disk.crashed(new Simulation(seed)));
    expect(crashMs).toBeLessThan(middleMs(() => bytes.slice()) / 4);
  });
});
