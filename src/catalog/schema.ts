/** The catalog's tables, as drizzle sees them. `migrations.ts` makes them; a test holds the two together. */
import { sql } from "drizzle-orm";
import { customType, index, real, sqliteTable, text, uniqueIndex } from "drizzle-orm/sqlite-core";
import type { Micros } from "../base/units.ts";
import type { BookmarkScripts } from "../contract/scripts.ts";
import type { StoredTask, StoredTiming, VolumeReference } from "./stored-task.ts";

/** Microseconds since 1970. The connection hands out 64-bit integers; these stay exact as numbers until the year 2255. */
const microsColumn = customType<{ data: Micros; driverData: bigint | number }>({
  dataType: () => "integer",
  fromDriver: (value) => Number(value) as Micros,
  toDriver: (value) => BigInt(value),
});

/** Insert it as {@link NEXT_ID}. */
const idColumn = customType<{ data: number; driverData: bigint | number }>({
  dataType: () => "integer",
  fromDriver: Number,
  toDriver: (value) => BigInt(value),
});

/** True or false, as 1 or 0. */
const flagColumn = customType<{ data: boolean; driverData: bigint | number }>({
  dataType: () => "integer",
  fromDriver: (value) => Number(value) === 1,
  toDriver: (value) => (value ? 1n : 0n),
});

/** Lets SQLite choose: one above the highest. */
export const NEXT_ID = sql<number>`NULL`;

/** Work that someone asked for and may ask about later: checks, imports, restores, rollbacks. */
export const jobs = sqliteTable(
  "jobs",
  {
    id: idColumn("id").primaryKey(),
    kind: text("kind").notNull(),
    /** What it works on: a volume's name, or empty for the vault. */
    subject: text("subject").notNull(),
    state: text("state", { enum: ["running", "done", "failed", "cancelled", "interrupted"] }).notNull(),
    /** 0 to 1. */
    progress: real("progress").notNull(),
    startedAt: microsColumn("started_at").notNull(),
    finishedAt: microsColumn("finished_at"),
    error: text("error"),
    /** The account that started it; absent: the appliance by itself. */
    askedBy: text("asked_by"),
  },
  (table) => [index("jobs_by_state").on(table.state)],
);

/** What happened that a person may want to know. */
export const events = sqliteTable("events", {
  id: idColumn("id").primaryKey(),
  time: microsColumn("time").notNull(),
  level: text("level", { enum: ["info", "warning", "alert"] }).notNull(),
  kind: text("kind").notNull(),
  subject: text("subject").notNull(),
  message: text("message").notNull(),
});

/** Where notifications go. */
export const channels = sqliteTable("channels", {
  name: text("name").primaryKey(),
  settings: text("settings").notNull(),
  /** A password, or what webhooks are signed with. */
  secret: text("secret"),
  createdAt: microsColumn("created_at").notNull(),
});

/** Who gets which notifications. */
export const rules = sqliteTable("rules", {
  name: text("name").primaryKey(),
  settings: text("settings").notNull(),
  createdAt: microsColumn("created_at").notNull(),
});

/** Troubles that a channel was told of and that go on. */
export const troubles = sqliteTable("troubles", {
  /** Of channel, trouble and subject. */
  key: text("key").primaryKey(),
  channel: text("channel").notNull(),
  since: microsColumn("since").notNull(),
  toldAt: microsColumn("told_at").notNull(),
  /** When it is told again; empty: not before it changes. */
  remindAt: microsColumn("remind_at"),
  /** The event that was told last. */
  event: text("event").notNull(),
});

/** The queue of notifications, and what became of the newest. */
export const deliveries = sqliteTable(
  "deliveries",
  {
    id: idColumn("id").primaryKey(),
    channel: text("channel").notNull(),
    state: text("state", { enum: ["gathering", "waiting", "sent", "given-up"] }).notNull(),
    content: text("content").notNull(),
    createdAt: microsColumn("created_at").notNull(),
    /** When it stopped gathering. */
    releasedAt: microsColumn("released_at"),
    nextAt: microsColumn("next_at").notNull(),
    endedAt: microsColumn("ended_at"),
    attempts: idColumn("attempts").notNull(),
    lastError: text("last_error"),
  },
  (table) => [
    index("deliveries_by_state").on(table.state),
    index("deliveries_by_channel").on(table.channel, table.releasedAt),
  ],
);

/** Samples of what is stored and written, by the hour and by the day. */
export const growth = sqliteTable(
  "growth",
  {
    id: idColumn("id").primaryKey(),
    time: microsColumn("time").notNull(),
    rhythm: text("rhythm", { enum: ["hour", "day"] }).notNull(),
    kind: text("kind", { enum: ["vault", "volume"] }).notNull(),
    name: text("name").notNull(),
    /** Of vaults: packs, layers and journal. */
    storedBytes: idColumn("stored_bytes"),
    liveBytes: idColumn("live_bytes"),
    freeBytes: idColumn("free_bytes"),
    totalBytes: idColumn("total_bytes"),
    /** Of volumes: by clients, since the hour or day began. */
    writtenBytes: idColumn("written_bytes"),
  },
  (table) => [uniqueIndex("growth_by_time").on(table.kind, table.rhythm, table.name, table.time)],
);

/** Who may sign in. */
export const accounts = sqliteTable("accounts", {
  /** Lower case. */
  name: text("name").primaryKey().notNull(),
  role: text("role", { enum: ["administrator", "operator", "self-service", "auditor"] }).notNull(),
  /** Of the role `self-service`: the machines that are theirs. */
  machines: text("machines", { mode: "json" }).$type<string[]>().notNull(),
  /** argon2id; absent: signs in through the provider of OpenID Connect. */
  passwordHash: text("password_hash"),
  /** Who it is there: issuer and subject, as JSON. */
  identity: text("identity").unique(),
  createdAt: microsColumn("created_at").notNull(),
  signedInAt: microsColumn("signed_in_at"),
  /** Base32. Needed again at each sign-in, so it is kept as it is; never given out once it is confirmed. */
  totpSecret: text("totp_secret"),
  /** The same, until a code confirms it. */
  totpPending: text("totp_pending"),
  /** The newest step of 30 s whose code was used: it and older ones are refused. */
  totpStep: idColumn("totp_step").notNull(),
  /** SHA-256 of each code that is left. */
  recoveryHashes: text("recovery_hashes", { mode: "json" }).$type<string[]>().notNull(),
  /** Wrong passwords and codes since the last right one. */
  failedCount: idColumn("failed_count").notNull(),
  failedAt: microsColumn("failed_at"),
});

/** Browsers that are signed in. */
export const sessions = sqliteTable(
  "sessions",
  {
    /** SHA-256 of the id in the cookie. */
    idHash: text("id_hash").primaryKey().notNull(),
    account: text("account")
      .notNull()
      .references(() => accounts.name, { onDelete: "cascade" }),
    createdAt: microsColumn("created_at").notNull(),
    seenAt: microsColumn("seen_at").notNull(),
    /** Address from which it was opened. */
    from: text("from_address").notNull(),
    /** By which people name it: random, and nothing follows from it. */
    id: text("id").notNull().default(""),
    /** The browser's name in short; empty: it was not noted. */
    browser: text("browser").notNull().default(""),
  },
  (table) => [index("sessions_by_account").on(table.account), uniqueIndex("sessions_by_id").on(table.id)],
);

/** What lets programs in. */
export const tokens = sqliteTable(
  "tokens",
  {
    id: text("id").primaryKey().notNull(),
    /** SHA-256. */
    hash: text("hash").notNull().unique(),
    account: text("account")
      .notNull()
      .references(() => accounts.name, { onDelete: "cascade" }),
    name: text("name").notNull(),
    role: text("role", { enum: ["administrator", "operator", "self-service", "auditor"] }).notNull(),
    /** Of the role `self-service`: to which it is limited; absent: the account's. */
    machines: text("machines", { mode: "json" }).$type<string[]>(),
    createdAt: microsColumn("created_at").notNull(),
    expiresAt: microsColumn("expires_at").notNull(),
    usedAt: microsColumn("used_at"),
  },
  (table) => [index("tokens_by_account").on(table.account)],
);

/** Volumes that belong together. */
export const machines = sqliteTable("machines", {
  name: text("name").primaryKey(),
  description: text("description").notNull(),
  createdAt: microsColumn("created_at").notNull(),
  scripts: text("scripts", { mode: "json" }).$type<BookmarkScripts>(),
});

/** Which volumes; each is told by where and when it was made. */
export const machineVolumes = sqliteTable(
  "machine_volumes",
  {
    id: idColumn("id").primaryKey(),
    machine: text("machine").notNull(),
    vault: text("vault").notNull(),
    createdLsn: idColumn("created_lsn").notNull(),
    createdAt: microsColumn("created_at").notNull(),
  },
  (table) => [uniqueIndex("machine_volumes_by_volume").on(table.vault, table.createdLsn, table.createdAt)],
);

/** What the appliance does by itself. */
export const schedules = sqliteTable("schedules", {
  name: text("name").primaryKey(),
  key: text("key").notNull(),
  description: text("description").notNull(),
  task: text("task", { mode: "json" }).$type<StoredTask>().notNull(),
  timing: text("timing", { mode: "json" }).$type<StoredTiming>().notNull(),
  missed: text("missed", { enum: ["run", "skip"] }).notNull(),
  state: text("state", { enum: ["active", "paused"] }).notNull(),
  createdAt: microsColumn("created_at").notNull(),
  handledAt: microsColumn("handled_at").notNull(),
});

/** What came of it. */
export const scheduleRuns = sqliteTable(
  "schedule_runs",
  {
    id: idColumn("id").primaryKey(),
    schedule: text("schedule").notNull(),
    dueAt: microsColumn("due_at").notNull(),
    startedAt: microsColumn("started_at").notNull(),
    finishedAt: microsColumn("finished_at"),
    outcome: text("outcome", {
      enum: ["running", "done", "failed", "missed", "overlapped", "interrupted"],
    }).notNull(),
    job: idColumn("job"),
  },
  (table) => [index("schedule_runs_by_schedule").on(table.schedule)],
);

/** Client certificates with which machines' disks are reached through the block door. */
export const credentials = sqliteTable(
  "credentials",
  {
    id: idColumn("id").primaryKey(),
    machine: text("machine").notNull(),
    name: text("name").notNull(),
    /** SHA-256 of the certificate, hexadecimal; absent: it is a local user's. */
    fingerprint: text("fingerprint").unique(),
    readOnly: flagColumn("read_only").notNull(),
    createdBy: text("created_by").notNull(),
    createdAt: microsColumn("created_at").notNull(),
    expiresAt: microsColumn("expires_at").notNull(),
    /** Of a user of the appliance's own system, as it was when the credential was made; absent: it is a certificate. */
    uid: idColumn("uid"),
    /** That user's name, or the number again where it had none. */
    user: text("user"),
  },
  (table) => [index("credentials_by_machine").on(table.machine), index("credentials_by_uid").on(table.uid)],
);

/** What volumes' writes were like, by the minute and by the hour; counts are blocks. */
export const signalSeries = sqliteTable(
  "signal_series",
  {
    id: idColumn("id").primaryKey(),
    /** Ids of the vault and, in it, the volume. */
    vault: text("vault").notNull(),
    volume: idColumn("volume").notNull(),
    rhythm: text("rhythm", { enum: ["minute", "hour"] }).notNull(),
    time: microsColumn("time").notNull(),
    blocks: idColumn("blocks").notNull(),
    zero: idColumn("zero").notNull(),
    duplicate: idColumn("duplicate").notNull(),
    fresh: idColumn("fresh").notNull(),
    storedBytes: idColumn("stored_bytes").notNull(),
    dense: idColumn("dense").notNull(),
    rewrites: idColumn("rewrites").notNull(),
    overPlain: idColumn("over_plain").notNull(),
    turned: idColumn("turned").notNull(),
    unknown: idColumn("unknown").notNull(),
    cleared: idColumn("cleared").notNull(),
  },
  (table) => [
    uniqueIndex("signal_series_by_time").on(table.vault, table.volume, table.rhythm, table.time),
    index("signal_series_by_age").on(table.rhythm, table.time),
  ],
);

/** What is usual for a volume, and how sensitive its signals are. */
export const signalStates = sqliteTable(
  "signal_states",
  {
    id: idColumn("id").primaryKey(),
    vault: text("vault").notNull(),
    volume: idColumn("volume").notNull(),
    sensitivity: text("sensitivity").notNull(),
    state: text("state", { mode: "json" }).$type<unknown>(),
  },
  (table) => [uniqueIndex("signal_states_by_volume").on(table.vault, table.volume)],
);

/** Volumes that somebody seems to encrypt. */
export const alarms = sqliteTable(
  "alarms",
  {
    id: idColumn("id").primaryKey(),
    vault: text("vault").notNull(),
    volume: idColumn("volume").notNull(),
    raisedAt: microsColumn("raised_at").notNull(),
    /** The first suspicious overwrite. */
    firstLsn: idColumn("first_lsn").notNull(),
    firstAt: microsColumn("first_at").notNull(),
    /** The last moment before it. */
    beforeLsn: idColumn("before_lsn").notNull(),
    beforeAt: microsColumn("before_at").notNull(),
    flushPoint: flagColumn("flush_point").notNull(),
    /** The hold that keeps that moment. */
    hold: text("hold"),
    /** Blocks. */
    turned: idColumn("turned").notNull(),
    perMinute: idColumn("per_minute").notNull(),
    /** 0 to 1. */
    share: real("share").notNull(),
    endedAt: microsColumn("ended_at"),
    acknowledgedAt: microsColumn("acknowledged_at"),
    acknowledgedBy: text("acknowledged_by"),
    verdict: text("verdict", { enum: ["mine", "attack", "unclear"] }),
    note: text("note"),
  },
  (table) => [index("alarms_by_volume").on(table.vault, table.volume)],
);

/** What scripts before bookmarks may have frozen. */
export const frozen = sqliteTable("frozen", {
  id: idColumn("id").primaryKey(),
  script: text("script").notNull(),
  machine: text("machine").notNull(),
  volumes: text("volumes", { mode: "json" }).$type<VolumeReference[]>().notNull(),
  timeoutSeconds: idColumn("timeout_seconds").notNull(),
  since: microsColumn("since").notNull(),
});
