import { useQuery } from "@tanstack/react-query";
import { Typography } from "antd";
import { useTranslation } from "react-i18next";
import { api, ok } from "../api/client";
import { Stars } from "./bits";

/** What renters gave to a miner, to a pool, or to all. */
export function RatingOf(query: { miner_id?: string; pool_id?: string }) {
  const { t } = useTranslation();
  const { data } = useQuery({
    queryKey: ["ratings", query],
    queryFn: () => ok(api.GET("/api/v1/ratings", { params: { query } })),
  });
  if (!data) return null;
  if (data.average === null) return <Typography.Text type="secondary">{t("rating.noneYet")}</Typography.Text>;
  return (
    <span className="tags">
      <Stars value={data.average} />
      <strong>{t("rating.average", { average: data.average })}</strong>
      <Typography.Text type="secondary">· {t("rating.count", { count: data.count })}</Typography.Text>
    </span>
  );
}
