/** Pages that are loaded when somebody goes to them, so that the first one comes quickly. */
import type { ComponentType } from "preact";
import { useEffect, useState } from "preact/hooks";
import { Button } from "./parts/button.tsx";
import { Notice } from "./parts/notice.tsx";

/** @param load - gives the component; asked again when it failed */
export function lazy<Props extends object>(load: () => Promise<ComponentType<Props>>): ComponentType<Props> {
  let loaded: ComponentType<Props> | undefined;
  return function Lazy(props: Props) {
    const [, setRound] = useState(0);
    const [failed, setFailed] = useState(false);
    const fetchIt = (): void => {
      setFailed(false);
      load().then(
        (component) => {
          loaded = component;
          setRound((round) => round + 1);
        },
        () => setFailed(true),
      );
    };
    useEffect(() => {
      if (!loaded) fetchIt();
    }, []);
    if (loaded) {
      const Component = loaded;
      return <Component {...props} />;
    }
    if (!failed)
      return (
        <p class="starting" aria-busy="true">
          Loading…
        </p>
      );
    return (
      <div class="page">
        <Notice tone="bad" live title="This page could not be loaded">
          The appliance did not answer, or it was updated meanwhile.
        </Notice>
        <div class="row">
          <Button kind="primary" onClick={() => location.reload()}>
            Load the console again
          </Button>
          <Button onClick={fetchIt}>Try again</Button>
        </div>
      </div>
    );
  };
}
