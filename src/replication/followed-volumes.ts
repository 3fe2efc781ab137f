/**
 * The volumes of a vault that follows its tier: each call goes to the newest view, and pins it until it is done. An open moment goes along to newer views, where its
 * blocks are found wherever merging and collecting at the writer put them; a moment that the newest view does not have stays with the one that does.
 */
import type { WritableDevice } from "../base/device.ts";
import { isSternwayError, SternwayError } from "../base/errors.ts";
import { formatTime } from "../base/units.ts";
import type { DiffRange, Moment, PastDevice, Volumes } from "../volume/volumes.ts";
import type { View } from "./view.ts";

/** The parameters after a volume's name. */
type Tail<Method extends (name: string, ...rest: never[]) => unknown> = Method extends (
  name: string,
  ...rest: infer Rest
) => unknown
  ? Rest
  : never;

export class FollowedVolumes implements Volumes {
  private readonly current: () => View;
  private readonly open = new Set<FollowedDevice>();

  /** @param current - the newest view */
  constructor(current: () => View) {
    this.current = current;
  }

  /** Takes open moments along to the newest view, where that has them. */
  async moveOpen(): Promise<void> {
    for (const device of [...this.open]) await device.moveTo(this.current());
  }

  list(): ReturnType<Volumes["list"]> {
    return this.current().volumes.list();
  }

  get(name: string): ReturnType<Volumes["get"]> {
    return this.current().volumes.get(name);
  }

  async openAt(name: string, moment: Moment): Promise<PastDevice> {
    return await this.use(async (view) => {
      const device = new FollowedDevice(name, view, await view.volumes.openAt(name, moment), () => {
        this.open.delete(device);
      });
      this.open.add(device);
      return device;
    });
  }

  async *diff(name: string, from: Moment, to: Moment): AsyncGenerator<DiffRange, void, undefined> {
    const view = this.current();
    view.pin();
    try {
      yield* view.volumes.diff(name, from, to);
    } finally {
      view.release();
    }
  }

  bookmarks(name: string): ReturnType<Volumes["bookmarks"]> {
    return this.current().volumes.bookmarks(name);
  }

  holds(name: string): ReturnType<Volumes["holds"]> {
    return this.current().volumes.holds(name);
  }

  resolve(name: string, moment: Moment): ReturnType<Volumes["resolve"]> {
    return this.use(({ volumes }) => volumes.resolve(name, moment));
  }

  timeline(name: string, ...rest: Tail<Volumes["timeline"]>): ReturnType<Volumes["timeline"]> {
    return this.use(({ volumes }) => volumes.timeline(name, ...rest));
  }

  flushPoints(name: string, ...rest: Tail<Volumes["flushPoints"]>): ReturnType<Volumes["flushPoints"]> {
    return this.use(({ volumes }) => volumes.flushPoints(name, ...rest));
  }

  retention(name: string): ReturnType<Volumes["retention"]> {
    return this.use(({ volumes }) => volumes.retention(name));
  }

  newestAt(name: string, ...rest: Tail<Volumes["newestAt"]>): ReturnType<Volumes["newestAt"]> {
    return this.use(({ volumes }) => volumes.newestAt(name, ...rest));
  }

  candidates(name: string, ...rest: Tail<Volumes["candidates"]>): ReturnType<Volumes["candidates"]> {
    return this.use(({ volumes }) => volumes.candidates(name, ...rest));
  }

  activity(name: string, ...rest: Tail<Volumes["activity"]>): ReturnType<Volumes["activity"]> {
    return this.use(({ volumes }) => volumes.activity(name, ...rest));
  }

  wouldFree(name: string, ...rest: Tail<Volumes["wouldFree"]>): ReturnType<Volumes["wouldFree"]> {
    return this.use(({ volumes }) => volumes.wouldFree(name, ...rest));
  }

  // What changes anything is refused by the view, which says where it is written to.

  create(name: string, ...rest: Tail<Volumes["create"]>): ReturnType<Volumes["create"]> {
    return this.use(({ volumes }) => volumes.create(name, ...rest));
  }

  resize(name: string, ...rest: Tail<Volumes["resize"]>): ReturnType<Volumes["resize"]> {
    return this.use(({ volumes }) => volumes.resize(name, ...rest));
  }

  delete(name: string, ...rest: Tail<Volumes["delete"]>): ReturnType<Volumes["delete"]> {
    return this.use(({ volumes }) => volumes.delete(name, ...rest));
  }

  openLive(name: string): Promise<WritableDevice> {
    return this.use(({ volumes }) => volumes.openLive(name));
  }

  rollback(name: string, ...rest: Tail<Volumes["rollback"]>): ReturnType<Volumes["rollback"]> {
    return this.use(({ volumes }) => volumes.rollback(name, ...rest));
  }

  branch(name: string, ...rest: Tail<Volumes["branch"]>): ReturnType<Volumes["branch"]> {
    return this.use(({ volumes }) => volumes.branch(name, ...rest));
  }

  bookmark(name: string, ...rest: Tail<Volumes["bookmark"]>): ReturnType<Volumes["bookmark"]> {
    return this.use(({ volumes }) => volumes.bookmark(name, ...rest));
  }

  removeBookmark(name: string, ...rest: Tail<Volumes["removeBookmark"]>): Promise<void> {
    return this.use(({ volumes }) => volumes.removeBookmark(name, ...rest));
  }

  hold(name: string, ...rest: Tail<Volumes["hold"]>): ReturnType<Volumes["hold"]> {
    return this.use(({ volumes }) => volumes.hold(name, ...rest));
  }

  releaseHold(name: string, ...rest: Tail<Volumes["releaseHold"]>): Promise<void> {
    return this.use(({ volumes }) => volumes.releaseHold(name, ...rest));
  }

  setRetention(name: string, ...rest: Tail<Volumes["setRetention"]>): Promise<void> {
    return this.use(({ volumes }) => volumes.setRetention(name, ...rest));
  }

  setLock(name: string, ...rest: Tail<Volumes["setLock"]>): Promise<void> {
    return this.use(({ volumes }) => volumes.setLock(name, ...rest));
  }

  thin(name: string, ...rest: Tail<Volumes["thin"]>): ReturnType<Volumes["thin"]> {
    return this.use(({ volumes }) => volumes.thin(name, ...rest));
  }

  noteTime(): Promise<void> {
    return this.use(({ volumes }) => volumes.noteTime());
  }

  private use<Result>(work: (view: View) => Promise<Result>): Promise<Result> {
    return this.current().using(work);
  }
}

/** An open moment, which reads the same whichever view it comes from. */
class FollowedDevice implements PastDevice {
  readonly moment: PastDevice["moment"];
  readonly sizeBytes: number;
  private readonly volume: string;
  private readonly createdLsn: number;
  private readonly closed: () => void;
  private view: View;
  private device: PastDevice;
  private isLeftBehind = false;
  private isClosed = false;

  /** @param view - is pinned as long as the device is open @param closed - called when it is closed */
  constructor(volume: string, view: View, device: PastDevice, closed: () => void) {
    this.volume = volume;
    this.view = view;
    this.device = device;
    this.closed = closed;
    this.moment = device.moment;
    this.sizeBytes = device.sizeBytes;
    this.createdLsn = view.volumes.get(volume).createdLsn;
    view.pin();
  }

  read(offset: number, length: number, into?: Uint8Array): Promise<Uint8Array> {
    return this.ask((device) => device.read(offset, length, into));
  }

  extents(offset: number, length: number): ReturnType<PastDevice["extents"]> {
    return this.ask((device) => device.extents(offset, length));
  }

  async close(): Promise<void> {
    if (this.isClosed) return;
    this.isClosed = true;
    this.closed();
    await this.device.close();
    this.view.release();
  }

  /** Reads from another view from now on, unless that does not have this very moment. */
  async moveTo(view: View): Promise<void> {
    if (this.isClosed || view === this.view) return;
    const found = this.view.isContinuedBy(view) ? await this.find(view) : "gone";
    if (found === undefined || found === "gone") {
      this.isLeftBehind = found === "gone";
      return;
    }
    if (this.isClosed) return await found.close();
    const before = { view: this.view, device: this.device };
    view.pin();
    this.view = view;
    this.device = found;
    this.isLeftBehind = false;
    await before.device.close();
    before.view.release();
  }

  /** @returns `gone`: the view does not have the moment; undefined: it cannot tell now */
  private async find(view: View): Promise<PastDevice | "gone" | undefined> {
    try {
      // Another volume may have come to its name.
      if (view.volumes.get(this.volume).createdLsn !== this.createdLsn) return "gone";
      const found = await view.volumes.openAt(this.volume, { kind: "lsn", lsn: this.moment.lsn });
      if (found.moment.lsn === this.moment.lsn && found.sizeBytes === this.sizeBytes) return found;
      await found.close();
      return "gone";
    } catch (error) {
      if (!isSternwayError(error)) throw error;
      return error.kind === "not_found" ? "gone" : undefined;
    }
  }

  private async ask<Result>(work: (device: PastDevice) => Promise<Result>): Promise<Result> {
    const { view, device } = this;
    try {
      return await view.using(() => work(device));
    } catch (error) {
      if (!isSternwayError(error) || !this.isLeftBehind) throw error;
      const { lsn, time } = this.moment;
      throw new SternwayError(
        "unavailable",
        `volume ${this.volume} as of ${formatTime(time)} (LSN ${lsn}) is no longer among what the vault's writer keeps, and its blocks can no longer be had: open another moment; ${error.message}`,
        { ...error.facts, volume: this.volume, lsn },
        { cause: error },
      );
    }
  }
}
