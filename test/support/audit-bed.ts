/** An audit in a simulated world, and its bytes as text, for tests that tell stories about it. */
import { AuditTrail, type AuditFacts, type AuditOptions } from "../../src/audit/audit.ts";
import { seededRandom } from "../../src/base/random.ts";
import { SimulatedDisk } from "../../src/base/simulated-disk.ts";
import { Simulation } from "../../src/base/simulation.ts";

export const AUDIT_DIR = "/data/audit";

export const act = (subject: string, more: Partial<AuditFacts> = {}): AuditFacts => ({
  who: "ann",
  role: "operator",
  by: "session",
  from: "10.0.0.7",
  action: "createBookmark",
  subject,
  result: "done",
  ...more,
});

export interface AuditBed {
  trail: AuditTrail;
  /** What the trail told of. */
  told: string[];
}

export async function openAuditBed(
  sim: Simulation,
  disk: SimulatedDisk,
  options: Partial<AuditOptions> = {},
): Promise<AuditBed> {
  const told: string[] = [];
  await disk.mkdir("/data");
  await disk.syncDir("/");
  const trail = await AuditTrail.open({
    disk,
    clock: sim.clock,
    random: seededRandom(77),
    dir: AUDIT_DIR,
    tell: ({ kind }) => void told.push(kind),
    ...options,
  });
  return { trail, told };
}

/** Runs a story on a new disk, and gives the disk. */
export async function onDisk(
  seed: number,
  story: (sim: Simulation, disk: SimulatedDisk) => Promise<void>,
): Promise<{ sim: Simulation; disk: SimulatedDisk }> {
  const sim = new Simulation(seed);
  const disk = new SimulatedDisk(sim);
  await sim.run(() => story(sim, disk));
  return { sim, disk };
}

/** A small audit that was closed: some acts, and what the appliance adds. @returns its one file's bytes */
export async function smallAudit(acts: number): Promise<Uint8Array> {
  const { disk } = await onDisk(1, async (sim, each) => {
    const { trail } = await openAuditBed(sim, each);
    for (let i = 1; i <= acts; i++) await trail.append(act(`web${i}`));
    await trail.stop();
  });
  return disk.peek(`${AUDIT_DIR}/0001.jsonl`) ?? new Uint8Array(0);
}
