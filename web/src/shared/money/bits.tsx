import { Rate, Tag } from "antd";
import { useTranslation } from "react-i18next";
import type { Schemas } from "../api/client";
import { formatUnc } from "../format";

const CAP = /^(your|the wallet's) (daily cap|monthly cap|limit) of ([\d.]+) UNC$/;

/** A cap as the server words it, in one's own language. */
export function useCapWords() {
  const { t } = useTranslation();
  return (words: string): string => {
    const [, whose, name, limit] = CAP.exec(words) ?? [];
    if (!whose || !name || !limit) return words;
    const period = name === "limit" ? "total" : name === "daily cap" ? "daily" : "monthly";
    return t(`caps.words.${period}`, {
      whose: t(whose === "your" ? "caps.words.yours" : "caps.words.wallets"),
      limit: formatUnc(limit),
    });
  };
}

export function OrderState({ state }: { state: Schemas["OrderOut"]["state"] }) {
  const { t } = useTranslation();
  return (
    <Tag color={state === "open" ? "green" : "blue"} style={{ marginInlineEnd: 0 }}>
      {t(`orders.states.${state}`)}
    </Tag>
  );
}

export function Stars({ value }: { value: number }) {
  return (
    <span role="img" aria-label={`${value} / 5`} style={{ whiteSpace: "nowrap" }}>
      <Rate disabled allowHalf value={Math.round(value * 2) / 2} style={{ fontSize: 14 }} aria-hidden />
    </span>
  );
}
