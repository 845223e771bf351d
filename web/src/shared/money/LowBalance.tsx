import { useQuery } from "@tanstack/react-query";
import { Alert } from "antd";
import { useTranslation } from "react-i18next";
import { Link } from "react-router-dom";
import { api, ok } from "../api/client";
import { formatExact, formatUnc } from "../format";

/** Above every page of a renter whose own wallet runs low: how much is left, and when it will be used up. */
export function LowBalance() {
  const { t } = useTranslation();
  const { data } = useQuery({ queryKey: ["wallets", "mine"], queryFn: () => ok(api.GET("/api/v1/wallets/mine")) });
  if (!data?.low) return null;
  const available = formatUnc(data.available);
  return (
    <Alert
      type="warning"
      showIcon
      role="status"
      style={{ marginBottom: 16 }}
      title={t("wallet.lowTitle")}
      description={
        data.runs_out_at
          ? t("wallet.lowBanner", { available, at: formatExact(data.runs_out_at).slice(0, 16) })
          : t("wallet.lowIdle", { available, limit: formatUnc(data.low_balance) })
      }
      action={<Link to="/time-management?tab=machine-hours">{t("wallet.lowLink")}</Link>}
    />
  );
}
