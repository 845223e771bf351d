const UNITS: Record<string, number> = { "": 1, B: 1, KB: 1e3, MB: 1e6, GB: 1e9, TB: 1e12, PB: 1e15 };

/** What the server writes for a person, such as `8` or `32 GB`, as a number in base units; null when it is none. */
export function quantity(text: string): number | null {
  const match = /^(\d+(?:\.\d+)?)\s*([KMGTP]?B?)$/.exec(text.trim());
  const unit = match ? UNITS[match[2] ?? ""] : undefined;
  return match && unit ? Number(match[1]) * unit : null;
}

/** How full something is, from 0 to 100; without a limit, or where nothing can be said, 0. */
export function percent(used: string | number, limit: string | number | null | undefined): number {
  const [part, whole] = [
    quantity(String(used)),
    limit === null || limit === undefined ? null : quantity(String(limit)),
  ];
  if (part === null || whole === null) return 0;
  if (whole === 0) return 100;
  return Math.min(100, Math.round((part / whole) * 100));
}
