/**
 * Every kind of event that the appliance tells, with the words for people: what it is, what it belongs to, what to do. Notifications and the console go by
 * it; a test finds kinds that the code tells and this table lacks.
 *
 * Some kinds begin a trouble and others end it. Kinds of one `trouble` about one subject are the same trouble: it is told once, again when
 * its kind changes, and when it ends.
 */

export const EVENT_TOPICS = [
  "protection",
  "tier",
  "space",
  "damage",
  "restore",
  "retention",
  "job",
  "schedule",
  "signal",
  "security",
  "notify",
  "appliance",
] as const;
export type EventTopic = (typeof EVENT_TOPICS)[number];
export type EventLevel = "info" | "warning" | "alert";

/** From the mildest to the worst. */
export const EVENT_LEVELS = ["info", "warning", "alert"] as const satisfies readonly EventLevel[];

export interface EventKind {
  topic: EventTopic;
  /** The level it mostly has. */
  level: EventLevel;
  /** What happened, as a title. */
  title: string;
  /** What to do; empty where nothing is to be done. */
  todo: string;
  /** The trouble that it begins or changes. */
  trouble?: string;
  /** The trouble that it ends. */
  ends?: string;
}

type Words = Pick<EventKind, "title" | "todo"> & Partial<EventKind>;

/** What is said of all kinds of a topic at once, and each by itself. */
function kindsOf(topic: EventTopic, kinds: Record<string, Words>): Record<string, EventKind> {
  const entries = Object.entries(kinds).map(([kind, words]) => [kind, { topic, level: "info" as const, ...words }]);
  return Object.fromEntries(entries) as Record<string, EventKind>;
}

const warning = { level: "warning" } as const;
const alert = { level: "alert" } as const;
const LOOK = "Look at `sternway vault list` and the appliance's log.";

const protection = kindsOf("protection", {
  "volume-created": { title: "A volume was created", todo: "" },
  "volume-resized": { title: "A volume was resized", todo: "" },
  "volume-deleted": { title: "A volume was deleted", todo: "" },
  "vault-created": { title: "A vault was made", todo: "" },
  "vault-opened": { title: "A vault is open", todo: "", ends: "vault" },
  "vault-locked": {
    ...warning,
    title: "A vault is locked",
    todo: "Unlock it: `sternway vault unlock`.",
    trouble: "vault",
  },
  "vault-closed": {
    ...warning,
    title: "A vault is closed",
    todo: "Open it: `sternway vault unlock`.",
    trouble: "vault",
  },
  "vault-damaged": { ...alert, title: "A vault is damaged", todo: LOOK, trouble: "vault" },
  "vault-missing": { ...alert, title: "A vault is missing", todo: "Mount the disk that holds it.", trouble: "vault" },
  "vault-unavailable": { ...alert, title: "A vault cannot be opened", todo: LOOK, trouble: "vault" },
  "vault-deleted": { ...warning, title: "A vault was deleted", todo: "", ends: "vault" },
  "vault-forgotten": { ...warning, title: "A vault was struck off the list", todo: "", ends: "vault" },
  "vault-opened-from-tier": { ...warning, title: "A vault was opened from a tier", todo: "", ends: "vault" },
  "vault-taken-over": { ...warning, title: "This appliance writes to a vault now", todo: "" },
  "vault-arrived": { title: "A vault is whole on this machine", todo: "" },
  "vault-overtaken": {
    ...alert,
    title: "Another appliance took a vault over",
    todo: "If nobody meant it, find out who has the tier's credentials.",
  },
  "read-only": { ...alert, title: "A vault is read-only", todo: LOOK },
  "seal-trouble": {
    ...alert,
    title: "Sealing is in trouble",
    todo: "See whether the disk is full or failing: writes are refused when the journal is full.",
    trouble: "seal",
  },
  "seal-recovered": { title: "Sealing works again", todo: "", ends: "seal" },
});

const tier = kindsOf("tier", {
  "tier-added": { title: "A tier was added", todo: "" },
  "tier-removed": { ...warning, title: "A tier was removed", todo: "", ends: "tier" },
  "tier-online": { title: "A tier is online", todo: "", ends: "tier" },
  "tier-offline": {
    ...warning,
    title: "A tier is out of reach",
    todo: "Check the network, the place and its credentials: `sternway tier list`.",
    trouble: "tier",
  },
  "tier-foreign": {
    ...alert,
    title: "A tier belongs to somebody else",
    todo: "Look at `sternway tier list`.",
    trouble: "tier",
  },
  "tier-lagging": {
    ...warning,
    title: "A tier misses its recovery point objective",
    todo: "See whether the line or the tier is too slow: `sternway tier list`.",
    // Of the same trouble as being out of reach: a tier that is online has no lag left.
    trouble: "tier",
  },
  "tier-damaged": {
    ...alert,
    title: "A file at a tier is damaged",
    todo: "`sternway tier verify --repair` puts it there anew; look at the tier's disks.",
  },
  "tier-caught-up": { title: "A tier keeps its recovery point objective again", todo: "", ends: "tier" },
});

const space = kindsOf("space", {
  "space-low": { ...warning, title: "Space is low", todo: "Add space, or keep less: `sternway gc`.", trouble: "space" },
  "space-critical": {
    ...alert,
    title: "Space is critical: writes are refused",
    todo: "Add space now, or keep less: `sternway gc`.",
    trouble: "space",
  },
  "space-back": { title: "There is space again", todo: "", ends: "space" },
  "space-forecast": {
    ...warning,
    title: "Space will end soon",
    todo: "Add space or keep less before then: `sternway report growth`.",
    trouble: "space-forecast",
  },
  "space-forecast-back": { title: "Space lasts longer again", todo: "", ends: "space-forecast" },
});

const damage = kindsOf("damage", {
  damage: { ...alert, title: "Stored bytes are damaged", todo: "Run `sternway scrub` and look at the disk's health." },
  repaired: { title: "Damage was repaired", todo: "" },
  lost: {
    ...alert,
    title: "Blocks are lost",
    todo: "`sternway check` says which moments are affected; others may be whole.",
  },
  "file-restored": { ...warning, title: "A damaged file was fetched from a tier", todo: "Look at the disk's health." },
});

const restore = kindsOf("restore", {
  "volume-rolled-back": { ...warning, title: "A volume was rolled back", todo: "" },
  "volume-branched": { title: "A branch was made", todo: "" },
});

const machine = kindsOf("restore", {
  "machine-created": { title: "A machine was made", todo: "" },
  "machine-changed": { title: "A machine was changed", todo: "" },
  "machine-deleted": { title: "A machine was forgotten", todo: "" },
  "machine-bookmarked": { title: "A machine was bookmarked", todo: "" },
  "machine-bookmark-removed": { title: "A machine's bookmark was removed", todo: "" },
  "machine-branched": { title: "Branches of a machine were made", todo: "" },
  "machine-rolled-back": { ...warning, title: "A machine was rolled back", todo: "" },
  "machine-rolled-back-partly": {
    ...alert,
    title: "A machine was rolled back in part",
    todo: "Its volumes are at different moments: roll the rest back, or undo what was done. The event names each.",
  },
  "script-failed": {
    ...alert,
    title: "The script after a bookmark failed",
    todo: "See whether what the script before it froze is thawed.",
  },
  "script-late": {
    ...warning,
    title: "The script after a bookmark ran late",
    todo: "See whether anything stood still meanwhile: the appliance ended between the two scripts.",
  },
});

const schedule = kindsOf("schedule", {
  "schedule-created": { title: "A schedule was made", todo: "" },
  "schedule-changed": { title: "A schedule was changed", todo: "" },
  "schedule-deleted": { title: "A schedule was deleted", todo: "", ends: "schedule" },
  "schedule-failed": {
    ...warning,
    title: "A schedule failed",
    todo: "`sternway schedule show` says why.",
    trouble: "schedule",
  },
  "schedule-recovered": { title: "A schedule works again", todo: "", ends: "schedule" },
  "schedule-missed": { ...warning, title: "A schedule missed its time", todo: "" },
});

const retention = kindsOf("retention", {
  "retention-set": { title: "A retention policy was set", todo: "" },
  "retention-cleared": { title: "A retention policy was taken away", todo: "" },
  "retention-locked": { ...warning, title: "A history was locked", todo: "" },
  "retention-applied": { title: "History was let go of", todo: "" },
  "retention-failed": { ...warning, title: "Retention could not be carried out", todo: LOOK },
  "clock-ahead": { ...warning, title: "The clock runs ahead", todo: "Set the machine's clock." },
  collected: { title: "Space was given back", todo: "" },
  "hold-made": { title: "A moment is held", todo: "" },
  "hold-released": { ...warning, title: "A hold was released", todo: "" },
});

/** Work that is kept as a job, in the words of its two ends. */
const JOBS: Record<string, string> = {
  check: "A check",
  scrub: "A scrub",
  gc: "Giving space back",
  "sync-tiers": "Bringing tiers up",
  "verify-tier": "Verifying a tier",
  import: "An import",
  restore: "A restore",
  rollback: "A rollback",
  bookmark: "A bookmark",
  report: "A report",
};
const job = kindsOf(
  "job",
  Object.fromEntries(
    Object.entries(JOBS).flatMap(([kind, name]): [string, Words][] => [
      [`${kind}-done`, { title: `${name} was completed`, todo: "", ends: `job-${kind}` }],
      [
        `${kind}-failed`,
        { ...warning, title: `${name} failed`, todo: "`sternway jobs` says why.", trouble: `job-${kind}` },
      ],
    ]),
  ),
);

const security = kindsOf("security", {
  "set-up": { title: "The appliance was set up", todo: "" },
  "sign-in-paused": {
    ...warning,
    title: "Somebody fails to sign in again and again",
    todo: "If nobody forgot a password, somebody guesses: find out who has that address.",
  },
  "account-added": { title: "An account was added", todo: "" },
  "account-changed": { ...warning, title: "An account has another role", todo: "" },
  "account-removed": { ...warning, title: "An account was removed", todo: "" },
  "password-set": { ...warning, title: "Somebody's password was set", todo: "" },
  "password-changed": { title: "A password was changed", todo: "" },
  "second-factor-on": { title: "An account has a second factor", todo: "" },
  "second-factor-off": {
    ...warning,
    title: "A second factor was turned off",
    todo: "If nobody meant it, set the account's password.",
  },
  "token-added": { title: "An API token was made", todo: "" },
  "token-removed": { title: "An API token was removed", todo: "" },
  "session-ended": { title: "Somebody was signed out elsewhere", todo: "" },
  "vault-unlock-denied": { ...warning, title: "A vault was not unlocked", todo: "Find out who tried." },
  "credential-made": { title: "A machine got credentials for its disks", todo: "" },
  "credential-removed": { title: "A machine's credentials were removed", todo: "" },
  "audit-torn": { ...warning, title: "The audit's newest lines were lost in a crash", todo: "" },
  "audit-broken": {
    ...alert,
    title: "The audit's chain is broken",
    todo: "`sternway audit verify` says where; find out who had access to the data folder.",
  },
  "audit-not-kept": {
    ...alert,
    title: "The audit cannot be written",
    todo: "See whether the disk is full or failing.",
  },
  "received-added": { title: "A place for another appliance was made", todo: "" },
  "received-renewed": { ...warning, title: "A place for another appliance has a new token", todo: "" },
  "received-removed": { ...warning, title: "A place for another appliance was deleted", todo: "" },
});

const notify = kindsOf("notify", {
  "channel-added": { title: "A notification channel was added", todo: "" },
  "channel-changed": { title: "A notification channel was changed", todo: "" },
  "channel-removed": { ...warning, title: "A notification channel was removed", todo: "", ends: "channel" },
  "rule-set": { title: "A notification rule was set", todo: "" },
  "rule-removed": { ...warning, title: "A notification rule was removed", todo: "" },
  "channel-failing": {
    ...warning,
    title: "A notification channel does not work",
    todo: "Look at `sternway notify deliveries`, mend it, and try `sternway notify channel test`.",
    trouble: "channel",
  },
  "channel-works": { title: "A notification channel works again", todo: "", ends: "channel" },
  "delivery-given-up": {
    ...warning,
    title: "A notification could not be delivered",
    todo: "Look at `sternway notify deliveries`; the event itself is in the console.",
  },
});

const signal = kindsOf("signal", {
  "ransomware-suspected": {
    ...alert,
    title: "Somebody seems to encrypt a volume",
    todo: "Take the machine off the network and look into it; the moment before is held. If it was you: `sternway alarm acknowledge`.",
    trouble: "ransomware",
  },
  "ransomware-over": { title: "Nothing more seems to be encrypted", todo: "", ends: "ransomware" },
  "alarm-acknowledged": { title: "An alarm was looked into", todo: "", ends: "ransomware" },
  "signals-set": { title: "How a volume is watched was changed", todo: "" },
});

const appliance = kindsOf("appliance", {
  started: { title: "The appliance has started", todo: "" },
  stopped: { title: "The appliance was stopped", todo: "" },
  "catalog-lost": {
    ...alert,
    title: "The catalog was lost",
    todo: "Volumes are not affected; look at the disk's health.",
  },
});

/** By kind. */
export const EVENT_KINDS: Readonly<Record<string, EventKind>> = {
  ...protection,
  ...tier,
  ...space,
  ...damage,
  ...restore,
  ...machine,
  ...schedule,
  ...retention,
  ...job,
  ...security,
  ...notify,
  ...signal,
  ...appliance,
};

/** What is known of a kind; of one that the table lacks, its own words. */
export function eventKind(kind: string, level: EventLevel): EventKind {
  const known = Object.hasOwn(EVENT_KINDS, kind) ? EVENT_KINDS[kind] : undefined;
  return known ?? { topic: "appliance", level, title: kind.replaceAll("-", " "), todo: "" };
}
