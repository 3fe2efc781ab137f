/** Which page an address means. Pages are loaded when somebody goes to them. */
import type { ComponentChildren } from "preact";
import { Frame } from "./frame.tsx";
import { lazy } from "./lazy.tsx";
import { Button } from "./parts/button.tsx";
import { Link } from "./parts/link.tsx";
import { Trouble } from "./parts/notice.tsx";
import { Page } from "./parts/page.tsx";
import { matchPath, usePlace } from "./route.ts";
import { useSession } from "./session.tsx";

const FirstRun = lazy(async () => (await import("./pages/first-run.tsx")).FirstRun);
const SignIn = lazy(async () => (await import("./pages/sign-in.tsx")).SignIn);
const Overview = lazy(async () => (await import("./pages/overview.tsx")).Overview);
const Volumes = lazy(async () => (await import("./pages/volumes.tsx")).Volumes);
const VolumeTimelinePage = lazy(async () => (await import("./timeline/volume-timeline-page.tsx")).VolumeTimelinePage);
const MachineTimelinePage = lazy(
  async () => (await import("./timeline/machine-timeline-page.tsx")).MachineTimelinePage,
);
const RestoreWizard = lazy(async () => (await import("./restore/restore-wizard.tsx")).RestoreWizard);
const VolumeManage = lazy(async () => (await import("./pages/volume-manage.tsx")).VolumeManage);
const Protect = lazy(async () => (await import("./pages/protect.tsx")).Protect);
const Retention = lazy(async () => (await import("./pages/retention.tsx")).RetentionPage);
const Vaults = lazy(async () => (await import("./pages/vaults.tsx")).Vaults);
const Tiers = lazy(async () => (await import("./pages/tiers.tsx")).Tiers);
const Growth = lazy(async () => (await import("./pages/growth.tsx")).Growth);
const Jobs = lazy(async () => (await import("./pages/jobs.tsx")).Jobs);
const Job = lazy(async () => (await import("./pages/job.tsx")).Job);
const Machines = lazy(async () => (await import("./pages/machines.tsx")).Machines);
const Schedules = lazy(async () => (await import("./pages/schedules.tsx")).Schedules);
const Alarms = lazy(async () => (await import("./pages/alarms.tsx")).Alarms);
const Notifications = lazy(async () => (await import("./pages/notifications.tsx")).Notifications);
const Audit = lazy(async () => (await import("./pages/audit.tsx")).Audit);
const Reports = lazy(async () => (await import("./pages/reports.tsx")).Reports);
const Accounts = lazy(async () => (await import("./pages/accounts.tsx")).Accounts);
const Tokens = lazy(async () => (await import("./pages/tokens.tsx")).Tokens);
const Account = lazy(async () => (await import("./pages/account.tsx")).Account);
const Events = lazy(async () => (await import("./pages/events.tsx")).Events);
const Settings = lazy(async () => (await import("./pages/settings.tsx")).Settings);

type Draw = (found: Record<string, string>, query: URLSearchParams) => ComponentChildren;

/** The first pattern that fits. */
const PAGES: readonly (readonly [string, Draw])[] = [
  ["/", () => <Overview />],
  ["/volumes", () => <Volumes />],
  ["/volumes/:name", ({ name = "" }) => <VolumeTimelinePage key={name} name={name} />],
  ["/machines/:name", ({ name = "" }) => <MachineTimelinePage key={name} name={name} />],
  ["/restore", () => <RestoreWizard />],
  ["/volumes/:name/manage", ({ name = "" }) => <VolumeManage key={name} name={name} />],
  ["/protect", () => <Protect />],
  ["/protect/:name", ({ name = "" }) => <Protect key={name} name={name} />],
  ["/retention", () => <Retention />],
  ["/retention/:name", ({ name = "" }) => <Retention key={name} name={name} />],
  ["/vaults", () => <Vaults />],
  ["/tiers", () => <Tiers />],
  ["/growth", () => <Growth />],
  ["/jobs", () => <Jobs />],
  ["/jobs/:id", ({ id = "" }) => <Job key={id} id={Number(id)} />],
  ["/events", () => <Events />],
  ["/alarms", () => <Alarms />],
  ["/machines", () => <Machines />],
  ["/schedules", () => <Schedules />],
  ["/notifications", () => <Notifications />],
  ["/audit", () => <Audit />],
  ["/reports", () => <Reports />],
  ["/accounts", () => <Accounts />],
  ["/tokens", () => <Tokens />],
  ["/account", () => <Account />],
  ["/settings", () => <Settings />],
];

export function App() {
  const { state, refresh } = useSession();
  const { path, query } = usePlace();
  switch (state.kind) {
    case "asking":
      return (
        <p class="starting" aria-busy="true">
          Sternway is loading…
        </p>
      );
    case "unreachable":
      return (
        <main class="alone">
          <div class="alone-card">
            <h1>The appliance does not answer</h1>
            <Trouble error={state.error} />
            <Button kind="primary" onClick={() => void refresh()}>
              Try again
            </Button>
          </div>
        </main>
      );
    case "first-run":
      return <FirstRun />;
    case "signed-out":
      return <SignIn ended={state.ended} setup={state.setup} />;
    case "signed-in":
      // Until the second factor is there the appliance answers nothing else.
      return <Frame>{state.who.secondFactor === "required" ? <Account /> : pageAt(path, query)}</Frame>;
  }
}

function pageAt(path: string, query: URLSearchParams): ComponentChildren {
  for (const [pattern, draw] of PAGES) {
    const found = matchPath(pattern, path);
    if (found) return draw(found, query);
  }
  return (
    <Page title="There is no such page" intro={`Nothing in the console has the address ${path}.`}>
      <p>
        <Link to="/">Go to the overview</Link>
      </p>
    </Page>
  );
}
