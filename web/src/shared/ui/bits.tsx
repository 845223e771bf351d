import { Tag, Tooltip, Typography } from "antd";
import { useEffect, useState } from "react";
import { useTranslation } from "react-i18next";
import type { Schemas } from "../api/client";
import { formatExact, formatRelative, formatUnc } from "../format";

export type State = Schemas["State"];

const STATE_COLOURS: Record<State, string> = {
  pending: "gold",
  assigned: "cyan",
  starting: "blue",
  running: "green",
  stopping: "orange",
  succeeded: "green",
  failed: "red",
  stopped: "default",
};
export const STATES = Object.keys(STATE_COLOURS) as State[];
const BUSY = new Set<State>(["assigned", "starting", "stopping"]);

export function StateTag({ state }: { state: State }) {
  const { t } = useTranslation();
  return (
    <Tag color={STATE_COLOURS[state]} style={{ marginInlineEnd: 0 }} className={BUSY.has(state) ? "busy" : undefined}>
      {t(`state.${state}`)}
    </Tag>
  );
}

/** Marks whatever is not real hardware. */
export function Simulated({ when = true }: { when?: boolean }) {
  const { t } = useTranslation();
  if (!when) return null;
  return (
    <Tooltip title={t("simulated.hint")}>
      <Tag color="magenta" style={{ marginInlineEnd: 0 }}>
        {t("simulated.tag")}
      </Tag>
    </Tooltip>
  );
}

export function Unc({ value, perHour, strong }: { value: string; perHour?: boolean; strong?: boolean }) {
  const { t } = useTranslation();
  return (
    <Typography.Text strong={strong} type={value.startsWith("-") ? "danger" : undefined} className="number">
      {formatUnc(value)}
      {perHour && t("common.perHour")}
    </Typography.Text>
  );
}

/** Draws again every `every` milliseconds, for what depends on the present moment. */
export function useTick(every = 10_000): void {
  const [, tick] = useState(0);
  useEffect(() => {
    const timer = setInterval(() => tick((count) => count + 1), every);
    return () => clearInterval(timer);
  }, [every]);
}

/** A moment in words; the exact one on hover. */
export function When({ at }: { at: string | null | undefined }) {
  const { i18n } = useTranslation();
  useTick();
  if (!at) return <>–</>;
  return (
    <Tooltip title={formatExact(at)}>
      <time dateTime={at}>{formatRelative(at, i18n.language)}</time>
    </Tooltip>
  );
}

/** A moment written out, for records. */
export function Moment({ at }: { at: string | null | undefined }) {
  if (!at) return <>–</>;
  return (
    <Tooltip title={at}>
      <time dateTime={at} className="number">
        {formatExact(at)}
      </time>
    </Tooltip>
  );
}

/** Something to be copied as it is: an id, a password. */
export function Copyable({ text, label }: { text: string; label?: string }) {
  return (
    <Typography.Text
      code
      copyable={{ text }}
      aria-label={label}
      style={text.includes("\n") ? { whiteSpace: "pre-line", display: "inline-block" } : undefined}
    >
      {text}
    </Typography.Text>
  );
}

const PLAIN = ["cpu", "memory", "disk", "shared-memory"] as const;
type Plain = (typeof PLAIN)[number];

/** What a resource is called for a person. */
export function useResourceName() {
  const { t } = useTranslation();
  return (name: string) => (PLAIN.includes(name as Plain) ? t(`resource.${name as Plain}`) : name);
}

export function Quantities({ items }: { items: Schemas["Quantity"][] }) {
  const name = useResourceName();
  return (
    <span className="tags">
      {items.map((item) => (
        <Tag key={item.resource} style={{ marginInlineEnd: 0 }}>
          {item.text} {name(item.resource)}
        </Tag>
      ))}
    </span>
  );
}
