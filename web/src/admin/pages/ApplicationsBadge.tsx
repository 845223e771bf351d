import { api, ok } from "@shared/api/client";
import { useQuery } from "@tanstack/react-query";
import { Badge } from "antd";
import { useTranslation } from "react-i18next";

const MOST = 99;

/** How many applications wait. For operators. */
export function ApplicationsBadge() {
  const { t } = useTranslation();
  const { data } = useQuery({
    queryKey: ["applications", "waiting"],
    queryFn: () => ok(api.GET("/api/v1/applications", { params: { query: { status: "waiting", limit: MOST + 1 } } })),
  });
  const count = data?.items.length ?? 0;
  return (
    <Badge
      color="#a8071a"
      count={count}
      overflowCount={MOST}
      size="small"
      title={t("applications.waiting", { count })}
    />
  );
}
