/**
 * Long work that goes on in slices, each begun from outside: between them it stands still wherever it last breathed. At most one slice runs
 * at a time. A crash leaves of it what any unfinished file does; giving it up ends it where it stands, by its own clean-up.
 */
import type { Breathe } from "./breathe.ts";

/** Thrown inside work that is given up. */
class GivenUp extends Error {}

export class Slices<Result> {
  private readonly done: Promise<Result>;
  /** What the slice at hand may still pass. */
  private left = 0;
  /** Lets the work go on, when it stands still. */
  private resume: PromiseWithResolvers<void> | undefined;
  /** Settles when the slice at hand is used up. */
  private paused = Promise.withResolvers<void>();
  private isGivenUp = false;

  /** @param work - begins with the first slice */
  constructor(work: (breathe: Breathe) => Promise<Result>) {
    this.done = this.start(work);
    // Its error belongs to the slice that meets it.
    this.done.catch(() => undefined);
  }

  /**
   * Goes on for about so many entries.
   * @returns what came of it, once all is done; undefined: more is to do
   * @throws what the work throws; it is over then
   */
  async more(entries: number): Promise<{ result: Result } | undefined> {
    this.left = entries;
    this.paused = Promise.withResolvers();
    this.resume?.resolve();
    this.resume = undefined;
    return await Promise.race([this.done.then((result) => ({ result })), this.paused.promise.then(() => undefined)]);
  }

  /** Ends it, whatever was done by now. */
  async giveUp(): Promise<void> {
    this.isGivenUp = true;
    this.resume?.resolve();
    await this.done.then(
      () => undefined,
      // Whatever it ended with: nobody asks for it any more.
      () => undefined,
    );
  }

  private async start(work: (breathe: Breathe) => Promise<Result>): Promise<Result> {
    await this.wait();
    return await work((entries) => {
      this.left -= entries;
      return this.left > 0 && !this.isGivenUp ? undefined : this.wait();
    });
  }

  private async wait(): Promise<void> {
    if (!this.isGivenUp) {
      this.resume = Promise.withResolvers();
      const next = this.resume.promise;
      this.paused.resolve();
      await next;
    }
    if (this.isGivenUp) throw new GivenUp("the work was given up");
  }
}
