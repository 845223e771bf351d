import i18n from "i18next";

/** How amounts, sizes and times are written for a person. */

/** Decimal UNC → micro-UNC, exactly. */
export function parseUnc(text: string): bigint {
  const match = /^(-?)(\d+)(?:\.(\d{1,6}))?$/.exec(text.trim());
  if (!match) throw new RangeError(`not an amount of UNC: ${text}`);
  const micro = BigInt(match[2] as string) * 1_000_000n + BigInt((match[3] ?? "").padEnd(6, "0"));
  return match[1] ? -micro : micro;
}

/** micro-UNC → decimal UNC without needless zeros. */
export function toUnc(micro: bigint): string {
  const positive = micro < 0n ? -micro : micro;
  const fraction = (positive % 1_000_000n).toString().padStart(6, "0").replace(/0+$/, "");
  return `${micro < 0n ? "-" : ""}${positive / 1_000_000n}${fraction && `.${fraction}`}`;
}

/** `"1234567.500000"` → `1,234,567.5 UNC`: every decimal that counts, none that does not. */
export function formatUnc(text: string): string {
  const [whole = "0", fraction] = toUnc(parseUnc(text)).split(".");
  return `${whole.replace(/\B(?=(\d{3})+$)/g, ",")}${fraction ? `.${fraction}` : ""} UNC`;
}

export const multiplyUnc = (text: string, times: number) => toUnc(parseUnc(text) * BigInt(times));
export const addUnc = (a: string, b: string) => toUnc(parseUnc(a) + parseUnc(b));

/** Bytes → `1.5 GB` (powers of 1000, as specifications count). */
export function formatBytes(bytes: number): string {
  const units = ["B", "KB", "MB", "GB", "TB", "PB"];
  let value = bytes;
  let unit = 0;
  while (value >= 1000 && unit < units.length - 1) {
    value /= 1000;
    unit += 1;
  }
  return `${unit === 0 || value >= 100 ? Math.round(value) : Number(value.toFixed(1))} ${units[unit]}`;
}

const UNITS = { en: ["d", "h", "min", "s"], zh: ["天", "小时", "分钟", "秒"] };
const SIZES = [86400, 3600, 60, 1];

/** Seconds → `2 d 3 h`, `5 min 20 s`: the two largest units. */
export function formatDuration(seconds: number): string {
  const units = UNITS[i18n.language as keyof typeof UNITS] ?? UNITS.en;
  let rest = Math.max(0, Math.floor(seconds));
  const parts: string[] = [];
  SIZES.forEach((size, place) => {
    const count = Math.floor(rest / size);
    rest -= count * size;
    if (count) parts.push(`${count} ${units[place]}`);
  });
  return parts.slice(0, 2).join(" ") || `0 ${units[3]}`;
}

/** `3 minutes ago`, `in 2 hours`. */
export function formatRelative(at: string, language: string, now = Date.now()): string {
  const exact = (Date.parse(at) - now) / 1000;
  // Two machines' clocks differ a little: nothing that has happened lies seconds ahead.
  const seconds = exact > 0 && exact < 10 ? 0 : exact;
  const format = new Intl.RelativeTimeFormat(language, { numeric: "auto" });
  for (const [unit, size] of [
    ["day", 86400],
    ["hour", 3600],
    ["minute", 60],
  ] as const) {
    if (Math.abs(seconds) >= size) return format.format(Math.trunc(seconds / size), unit);
  }
  return format.format(Math.trunc(seconds), "second");
}

/** The moment itself, in one's own time zone: `2030-01-31 20:23:15`. Swedes write so, and everybody can read it. */
export const formatExact = (at: string) => new Date(at).toLocaleString("sv-SE");

/** Propose a specification's name from its items: `0.5CPU-1GB-1TPU1684X`. */
export function proposeSpecName(items: { resource?: string; quantity?: string }[]): string {
  return items
    .filter((item) => item.resource && item.quantity)
    .map(({ resource = "", quantity = "" }) => {
      const amount = quantity.replace(/\s+/g, "");
      if (resource === "cpu") return `${amount}CPU`;
      if (resource === "memory") return amount;
      if (resource === "disk") return `${amount}DISK`;
      return amount + (resource.split("/").pop() as string);
    })
    .join("-")
    .replace(/[^A-Za-z0-9._-]/g, "")
    .slice(0, 64);
}
