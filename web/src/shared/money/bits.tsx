import { Rate, Tag } from "antd";
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

export function Stars({ value }: { value: number }) {
  return (
    <span role="img" aria-label={`${value} / 5`} style={{ whiteSpace: "nowrap" }}>
      <Rate disabled allowHalf value={Math.round(value * 2) / 2} style={{ fontSize: 14 }} aria-hidden />
    </span>
  );
}
