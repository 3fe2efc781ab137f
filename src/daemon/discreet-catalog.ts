/**
 * The catalog as the appliance uses it: what is told of an encrypted vault's volumes reaches `catalog.db` without their names. An entry that
 * names one is kept with its vault as the subject and a text that tells no more; what it said is remembered in memory, for the newest entries, and
 * shown until the appliance stops. So the file gives away kinds, times and vaults, and neither volumes nor bookmarks.
 */
import type { Catalog, CatalogEvent, Job } from "../catalog/catalog.ts";

/** Entries of each kind whose own words are remembered. */
const REMEMBERED_MAX = 1000;

/** A word as names are made of; sentences end in some of their letters. */
const WORDS = /[A-Za-z0-9._-]+/g;
const SENTENCE_END = /[.-]+$/;

/** @param vaultNaming - the encrypted vault that has, or had, a volume of this name */
export function discreetCatalog(catalog: Catalog, vaultNaming: (word: string) => string | undefined): Catalog {
  const events = new Remembered<Pick<CatalogEvent, "subject" | "message">>();
  const subjects = new Remembered<string>();
  const errors = new Remembered<string>();
  const vaultIn = (...texts: string[]): string | undefined => {
    for (const text of texts) {
      for (const [word] of text.matchAll(WORDS)) {
        const vault = vaultNaming(word) ?? vaultNaming(word.replace(SENTENCE_END, ""));
        if (vault !== undefined) return vault;
      }
    }
    return undefined;
  };
  /** A job is known by its subject: its error may hold a bookmark's name and not the volume's. */
  const vaultOfJob = new Remembered<string>();
  const inFull = (job: Job): Job => ({
    ...job,
    subject: subjects.get(job.id) ?? job.subject,
    error: errors.get(job.id) ?? job.error,
  });
  return {
    get inMemory() {
      return catalog.inMemory;
    },
    accounts: catalog.accounts,
    sessions: catalog.sessions,
    tokens: catalog.tokens,
    credentials: catalog.credentials,
    // Tells volumes by number.
    signals: catalog.signals,
    startJob(kind, subject, askedBy) {
      const vault = vaultIn(subject);
      if (vault === undefined) return catalog.startJob(kind, subject, askedBy);
      const id = catalog.startJob(kind, `vault ${vault}`, askedBy);
      subjects.set(id, subject);
      vaultOfJob.set(id, vault);
      return id;
    },
    progressJob: (id, progress) => catalog.progressJob(id, progress),
    finishJob(id, error, state) {
      if (error === undefined || (vaultOfJob.get(id) ?? vaultIn(error)) === undefined)
        return catalog.finishJob(id, error, state);
      errors.set(id, error);
      catalog.finishJob(id, "it failed; the vault is encrypted, so the log alone says how", state);
    },
    job(id) {
      const job = catalog.job(id);
      return job && inFull(job);
    },
    jobs: (page) => catalog.jobs(page).map(inFull),
    addEvent(event) {
      const vault = vaultIn(event.subject, event.message);
      if (vault === undefined) return catalog.addEvent(event);
      const { subject, message } = event;
      catalog.addEvent({
        ...event,
        subject: `vault ${vault}`,
        message: "the vault is encrypted: the log alone says more",
      });
      const [kept] = catalog.events({ limit: 1 });
      if (kept) events.set(kept.id, { subject, message });
    },
    events: (page) => catalog.events(page).map((event) => ({ ...event, ...events.get(event.id) })),
    eventsBetween: (range) => {
      const kept = catalog.eventsBetween(range);
      return range.asKept ? kept : kept.map((event) => ({ ...event, ...events.get(event.id) }));
    },
    jobsBetween: (range) => (range.asKept ? catalog.jobsBetween(range) : catalog.jobsBetween(range).map(inFull)),
    lastDone: () => catalog.lastDone(),
    // Who listens carries it out of the house, or back into the file: only what the file may hold.
    onEvent: (listener) => catalog.onEvent(listener),
    notify: catalog.notify,
    growth: catalog.growth,
    // These refer to volumes without their names.
    machines: catalog.machines,
    schedules: catalog.schedules,
    frozen: catalog.frozen,
    close: () => catalog.close(),
  };
}

/** The newest values by id. */
class Remembered<Value> {
  private readonly values = new Map<number, Value>();

  get(id: number): Value | undefined {
    return this.values.get(id);
  }

  set(id: number, value: Value): void {
    this.values.set(id, value);
    const [oldest] = this.values.keys();
    if (this.values.size > REMEMBERED_MAX && oldest !== undefined) this.values.delete(oldest);
  }
}
