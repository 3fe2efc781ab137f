/**
 * Keeps a vault that is only read here as new as its tier: looks now and then whether the tier holds something newer (tier-watch.ts), opens that as a view
 * of its own in a folder beside (`views/N`), and has all that is asked for from then on answered by it. What runs on the view before comes to its end there, or
 * goes along (followed-volumes.ts).
 *
 * A view's folder is made from nothing and never changed. So nothing that is open can meet a file of another state, and two writers that gave one
 * number to different files cannot be mixed. The vault's own folder stays as it was opened: after a restart it is brought up first.
 */
import type { Clock, Timer } from "../base/clock.ts";
import type { Disk } from "../base/disk.ts";
import { errorText, isSternwayError, SternwayError } from "../base/errors.ts";
import type { Random } from "../base/random.ts";
import type { ObjectStore } from "../tiers/store.ts";
import type { Vault } from "../vault/vault.ts";
import type { Volumes } from "../volume/volumes.ts";
import { arriveAsView, clearView, type Arrived } from "./arrival.ts";
import { FOLLOW_SECONDS } from "./ledger.ts";
import { FollowedVolumes } from "./followed-volumes.ts";
import type { Replication } from "./replication.ts";
import { TierWatch } from "./tier-watch.ts";
import type { VaultDisk } from "./vault-disk.ts";
import { View, type OpenedView } from "./view.ts";

export interface FollowerOptions {
  disk: Disk;
  clock: Clock;
  random: Random;
  /** The vault's own folder. */
  dir: string;
  host: string;
  replication: Replication;
  /** The vault as it was opened from its own folder. Its owner stops it. */
  first: OpenedView;
  /** What that folder was made of, just before; undefined: the tier was away. */
  arrived: Arrived | undefined;
  /** Opens the vault in a view's folder. @param like - the same one, open: with its key */
  open: (disk: VaultDisk, dir: string, like: Vault) => Promise<Vault>;
  /** The volumes of a view. */
  volumesOf: (vault: Vault) => Promise<Volumes>;
  /** May refuse a view because of the names that its volumes have. @throws conflict */
  admit: (names: readonly string[]) => void;
  /** A newer view answers now. Never rejects. */
  onMoved: () => Promise<void>;
}

export interface FollowStatus {
  /** Between two looks; 0: it looks only when it is asked to. */
  everySeconds: number;
  /** When the tier said last that there is nothing newer than what is shown, wall microseconds; undefined: not since the start. */
  currentAt: number | undefined;
  /** Why the last look failed. */
  reason: string | undefined;
  /** Older views that somebody reads from. */
  olderViews: number;
}

/** The newest view and two that are still read from. Each has caches of its own. */
const VIEWS_MAX = 3;
/** Tiers keep what a view before needs for so long: a reader that is still there then keeps no newer one waiting. */
const KEPT_MS = 600_000;

const viewDir = (dir: string, place: number): string => `${dir}/views/${place}`;

/** Empties the folders of views that an earlier run left. */
export async function clearViews(disk: Disk, dir: string): Promise<void> {
  for (const place of await disk.list(`${dir}/views`)) await clearView(disk, `${dir}/views/${place}`);
}

export class Follower {
  /** Of the newest view. */
  readonly volumes: FollowedVolumes;
  private readonly options: FollowerOptions;
  private readonly origin: { name: string; store: ObjectStore } | undefined;
  private readonly everySeconds: number;
  private readonly views: View[];
  /** What the newest view's folder was made of; undefined: that is not known. */
  private arrived: Arrived | undefined;
  private watch: TierWatch | undefined;
  private timer: Timer | undefined;
  private looking: Promise<void> | undefined;
  private currentAt: number | undefined;
  private failure: SternwayError | undefined;
  private isStopping = false;

  /** What an earlier run left is cleared before, by {@link clearViews}. */
  static start(options: FollowerOptions): Follower {
    const follower = new Follower(options);
    follower.plan();
    return follower;
  }

  private constructor(options: FollowerOptions) {
    this.options = options;
    const { replication, first, arrived } = options;
    this.origin = replication.origin;
    this.everySeconds = replication.ledger.state.followSeconds ?? FOLLOW_SECONDS;
    this.arrived = arrived;
    this.views = [new View(first, undefined, arrived)];
    if (this.origin && arrived) {
      this.watch = watchFor(this.origin.store, arrived, first.vault);
      this.currentAt = options.clock.wall();
    }
    this.volumes = new FollowedVolumes(() => this.current);
  }

  /** The newest view. */
  get current(): View {
    return this.views.at(-1)!;
  }

  status(): FollowStatus {
    const { everySeconds, currentAt, failure } = this;
    const olderViews = this.views.filter((view) => view !== this.current && view.isUsed && !view.isClosed).length;
    return { everySeconds, currentAt, reason: failure && errorText(failure), olderViews };
  }

  /** Looks now, reads the tier anew whatever its names say, and shows what it holds. @throws unavailable, corrupt, conflict: it stays as it was */
  async refresh(): Promise<void> {
    while (this.looking) await this.looking;
    await this.look(true);
    if (this.failure) throw this.failure;
  }

  /** Looks whether there is something newer, and moves to it. Never rejects for what the tier says: {@link status} tells. */
  look(isAsked = false): Promise<void> {
    this.looking ??= this.lookOnce(isAsked).finally(() => {
      this.looking = undefined;
    });
    return this.looking;
  }

  /** Ends what it does and closes all views but the first. */
  async stop(): Promise<void> {
    this.isStopping = true;
    this.timer?.cancel();
    await this.looking;
    await Promise.all(this.views.filter(({ place }) => place !== undefined).map((view) => view.close()));
  }

  private plan(): void {
    if (this.everySeconds === 0 || this.isStopping) return;
    this.timer = this.options.clock.timer(this.everySeconds * 1000, () => {
      void this.look().finally(() => this.plan());
    });
  }

  private async lookOnce(isAsked: boolean): Promise<void> {
    if (this.isStopping) return;
    const from = this.options.clock.wall();
    try {
      const { origin } = this;
      if (!origin) throw new SternwayError("unavailable", "its tier cannot be used: `sternway tier list` says why");
      // Without it nothing is known of what is shown, but that it was there once.
      if (isAsked || !this.watch || (await this.watch.isNewer())) await this.move(origin.store, isAsked);
      this.currentAt = from;
      this.noteFailure(undefined);
    } catch (error) {
      if (!isSternwayError(error)) throw error;
      if (!this.isStopping) this.noteFailure(error);
    }
  }

  private noteFailure(failure: SternwayError | undefined): void {
    const { replication } = this.options;
    const before = this.failure;
    this.failure = failure;
    const tier = this.origin?.name ?? "origin";
    if (failure && !before) replication.tellFollowing("tier-offline", tier, this.staysText(tier, failure));
    if (!failure && before) {
      replication.tellFollowing("tier-online", tier, `tier ${tier} is followed again, up to LSN ${this.lastLsn}`);
    }
  }

  private staysText(tier: string, failure: SternwayError): string {
    return `tier ${tier} cannot be followed, and what is shown ends at LSN ${this.lastLsn}: ${errorText(failure)}`;
  }

  private get lastLsn(): number {
    return this.current.vault.lastLsn;
  }

  /** @param isWhole - fetches again what is here already: it may be damaged here, or have been mended there */
  private async move(store: ObjectStore, isWhole: boolean): Promise<void> {
    const { disk, clock, random, host, dir, replication, onMoved } = this.options;
    const place = await this.freePlace();
    const folder = viewDir(dir, place);
    const known = isWhole ? undefined : this.arrived;
    const arrived = await arriveAsView({ disk, clock, random, host, dir: folder }, store, known);
    const { vault, volumes } = await this.openView(folder);
    const view = new View({ vault, volumes }, place, arrived);
    if (this.isStopping) {
      await view.close();
      return;
    }
    const before = this.current;
    this.views.push(view);
    this.arrived = arrived;
    before.replacedAt = clock.monotonic();
    this.watch = watchFor(store, arrived, vault);
    replication.movedTo(vault);
    await this.volumes.moveOpen();
    if (!before.isUsed) await before.close();
    await onMoved();
  }

  private async openView(folder: string): Promise<OpenedView> {
    const { open, volumesOf, admit, replication } = this.options;
    const disk = replication.viewDisk(folder);
    const vault = await open(disk, folder, this.current.vault);
    try {
      disk.follow(vault);
      const volumes = await volumesOf(vault);
      admit(volumes.list().map(({ name }) => name));
      return { vault, volumes };
    } catch (error) {
      await vault.stop();
      throw error;
    }
  }

  /** A folder that no view lies in. @throws unavailable: all are read from */
  private async freePlace(): Promise<number> {
    await this.dropClosed();
    if (this.views.length >= VIEWS_MAX) {
      const [oldest] = this.views;
      const age = this.options.clock.monotonic() - (oldest!.replacedAt ?? 0);
      if (age < KEPT_MS * 1000) {
        throw new SternwayError(
          "unavailable",
          `${VIEWS_MAX - 1} older states of the vault are still read from: it goes on when those readers are done, or in ten minutes`,
        );
      }
      void oldest!.close();
      await this.dropClosed();
    }
    const taken = new Set(this.views.map((view) => view.place));
    return Array.from({ length: VIEWS_MAX + 1 }, (_, place) => place).find((place) => !taken.has(place))!;
  }

  /** Their folders are free when nothing reads there any more. */
  private async dropClosed(): Promise<void> {
    for (const view of this.views.filter(({ isClosed }) => isClosed)) {
      await view.close();
      this.views.splice(this.views.indexOf(view), 1);
    }
  }
}

const watchFor = (store: ObjectStore, arrived: Arrived, vault: Vault): TierWatch =>
  new TierWatch(store, arrived, vault.sealing.manifest.sealed.fileSequence);
