/** A QR code, for the camera of a phone. What draws it is loaded when one is shown: few ever need it. */
import { useEffect, useState } from "preact/hooks";
import type { QrPath } from "./qr-path.ts";

/** @param label - what it is, for screen readers */
export function QrPicture({ text, label }: { text: string; label: string }) {
  const [drawn, setDrawn] = useState<QrPath | undefined>(undefined);
  useEffect(() => {
    let wanted = true;
    import("./qr-path.ts").then(
      ({ qrPath }) => {
        if (wanted) setDrawn(qrPath(text));
      },
      // The same stands beside it as text, so it does without.
      () => setDrawn(undefined),
    );
    return () => {
      wanted = false;
    };
  }, [text]);
  if (!drawn) return null;
  const { size, path } = drawn;
  return (
    <svg class="qr" role="img" aria-label={label} viewBox={`0 0 ${size} ${size}`} shape-rendering="crispEdges">
      <rect width={size} height={size} fill="#fff" />
      <path d={path} fill="#000" />
    </svg>
  );
}
