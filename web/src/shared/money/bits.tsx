import { StarFilled } from "@ant-design/icons";
import { Tag } from "antd";
import { useTranslation } from "react-i18next";
import type { Schemas } from "../api/client";

export function OrderState({ state }: { state: Schemas["OrderOut"]["state"] }) {
  const { t } = useTranslation();
  return (
    <Tag color={state === "open" ? "green" : "blue"} style={{ marginInlineEnd: 0 }}>
      {t(`orders.states.${state}`)}
    </Tag>
  );
}

/** A rating to look at; antd's `Rate` can be focused even where nothing can be chosen. */
export function Stars({ value }: { value: number }) {
  const five = [1, 2, 3, 4, 5].map((one) => <StarFilled key={one} aria-hidden />);
  return (
    <span role="img" aria-label={`${value} / 5`} className="stars">
      {five}
      <span style={{ width: `${value * 20}%` }}>{five}</span>
    </span>
  );
}
