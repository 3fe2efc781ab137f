/**
 * Queries on machines. A machine names its volumes by where and when they were made and not by their names, which in an encrypted vault are
 * nobody's to read: the vault's name, the LSN of the volume's making and its time belong to one volume alone, for ever.
 */
import { asc, eq } from "drizzle-orm";
import type { BunSQLiteDatabase } from "drizzle-orm/bun-sqlite";
import { SternwayError } from "../base/errors.ts";
import type { Micros } from "../base/units.ts";
import type { BookmarkScripts } from "../contract/scripts.ts";
import type { RunQuery } from "./accounts.ts";
import { machines, machineVolumes, NEXT_ID } from "./schema.ts";
import type { VolumeReference } from "./stored-task.ts";

export interface Machine {
  name: string;
  description: string;
  createdAt: Micros;
  scripts: BookmarkScripts | null;
  /** In the order in which they were given. */
  volumes: VolumeReference[];
}

export type MachineChange = Partial<Pick<Machine, "description" | "scripts" | "volumes">>;

/** Every method throws SternwayError "unavailable" when SQLite cannot do it. */
export interface MachineTable {
  /** By name. */
  list(): Machine[];
  /** @throws conflict: the name is taken, or a volume belongs to another machine */
  add(machine: Machine): void;
  /** @throws not_found; conflict: a volume belongs to another machine */
  change(name: string, change: MachineChange): void;
  /** @throws not_found */
  remove(name: string): void;
}

export function machineTable(db: BunSQLiteDatabase, run: RunQuery, keep: RunQuery): MachineTable {
  return {
    list: () => run(() => selectMachines(db)),
    add: (machine) => keep(() => insertMachine(db, machine)),
    change: (name, change) => keep(() => updateMachine(db, name, change)),
    remove: (name) => keep(() => deleteMachine(db, name)),
  };
}

function selectMachines(db: BunSQLiteDatabase): Machine[] {
  const members = Map.groupBy(
    db.select().from(machineVolumes).orderBy(asc(machineVolumes.id)).all(),
    ({ machine }) => machine,
  );
  return db
    .select()
    .from(machines)
    .orderBy(asc(machines.name))
    .all()
    .map((row) => ({
      ...row,
      volumes: (members.get(row.name) ?? []).map(({ vault, createdLsn, createdAt }) => ({
        vault,
        createdLsn,
        createdAt,
      })),
    }));
}

function insertMachine(db: BunSQLiteDatabase, { volumes, ...machine }: Machine): void {
  db.transaction((tx) => {
    const taken = tx.select({ name: machines.name }).from(machines).where(eq(machines.name, machine.name)).get();
    if (taken)
      throw new SternwayError("conflict", `there is a machine ${machine.name} already`, { machine: taken.name });
    tx.insert(machines).values(machine).run();
    insertMembers(tx, machine.name, volumes);
  });
}

function updateMachine(db: BunSQLiteDatabase, name: string, { volumes, ...change }: MachineChange): void {
  db.transaction((tx) => {
    requireMachine(tx, name);
    if (Object.keys(change).length > 0) tx.update(machines).set(change).where(eq(machines.name, name)).run();
    if (!volumes) return;
    tx.delete(machineVolumes).where(eq(machineVolumes.machine, name)).run();
    insertMembers(tx, name, volumes);
  });
}

function deleteMachine(db: BunSQLiteDatabase, name: string): void {
  db.transaction((tx) => {
    requireMachine(tx, name);
    tx.delete(machineVolumes).where(eq(machineVolumes.machine, name)).run();
    tx.delete(machines).where(eq(machines.name, name)).run();
  });
}

type Transaction = Pick<BunSQLiteDatabase, "select" | "insert">;

function requireMachine(tx: Transaction, name: string): void {
  if (tx.select({ name: machines.name }).from(machines).where(eq(machines.name, name)).get()) return;
  throw new SternwayError("not_found", `there is no machine ${name}`, { machine: name });
}

function insertMembers(tx: Transaction, machine: string, volumes: readonly VolumeReference[]): void {
  const others = tx.select().from(machineVolumes).all();
  for (const volume of volumes) {
    const owner = others.find((other) => isSameVolume(other, volume))?.machine;
    // Whoever asked for it puts the volume's name to this.
    if (owner !== undefined) {
      throw new SternwayError("conflict", `a volume belongs to machine ${owner} already`, { machine: owner });
    }
    const { vault, createdLsn, createdAt } = volume;
    tx.insert(machineVolumes).values({ id: NEXT_ID, machine, vault, createdLsn, createdAt }).run();
  }
}

function isSameVolume(a: VolumeReference, b: VolumeReference): boolean {
  return a.vault === b.vault && a.createdLsn === b.createdLsn && a.createdAt === b.createdAt;
}
