/** A value that follows another one when that has been still for a while: so that typing asks the appliance once and not for each key. */
import { useEffect, useState } from "preact/hooks";

/** @param text - compared as text, so that an equal value does not count as a change */
export function useStill(text: string, stillMs = 350): string {
  const [still, setStill] = useState(text);
  useEffect(() => {
    const timer = setTimeout(() => setStill(text), stillMs);
    return () => clearTimeout(timer);
  }, [text, stillMs]);
  return still;
}
