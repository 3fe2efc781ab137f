/** How the strip's height is divided, in CSS pixels from its top. */
export interface Lane {
  top: number;
  bottom: number;
}

export interface StripLayout {
  flags: Lane;
  bars: Lane;
  flush: Lane;
  kept: Lane;
  axis: Lane;
}

export function layoutOf(height: number): StripLayout {
  const flags = { top: 0, bottom: 24 };
  const axis = { top: height - 24, bottom: height };
  const kept = { top: axis.top - 10, bottom: axis.top - 2 };
  const flush = { top: kept.top - 14, bottom: kept.top - 3 };
  return { flags, bars: { top: flags.bottom, bottom: flush.top - 3 }, flush, kept, axis };
}
