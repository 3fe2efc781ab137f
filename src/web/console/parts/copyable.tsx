/** Text to be taken elsewhere: commands, tokens, codes. Where the browser gives no clipboard (plain HTTP from another machine) the text is selected instead. */
import { useRef, useState } from "preact/hooks";
import { Button } from "./button.tsx";

export function Copyable({ text, label }: { text: string; label: string }) {
  const element = useRef<HTMLPreElement>(null);
  const [state, setState] = useState<"" | "Copied" | "Selected: copy it by your keyboard">("");
  const copy = async (): Promise<void> => {
    try {
      await navigator.clipboard.writeText(text);
      setState("Copied");
    } catch {
      // No clipboard, or not allowed: the next best thing is to have it selected.
      if (element.current) getSelection()?.selectAllChildren(element.current);
      setState("Selected: copy it by your keyboard");
    }
  };
  return (
    <div class="stack-tight">
      <div class="copyable">
        <pre ref={element}>{text}</pre>
        <Button size="small" label={`Copy ${label}`} onClick={() => void copy()}>
          Copy
        </Button>
      </div>
      <span class="small quiet" role="status">
        {state}
      </span>
    </div>
  );
}
