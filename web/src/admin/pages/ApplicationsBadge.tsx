import { api, ok } from "@shared/api/client";
import { useQuery } from "@tanstack/react-query";
import { Badge, Flex } from "antd";
import { useTranslation } from "react-i18next";

const MOST = 99;

/** The menu's word for applications, with the number of those that wait. For operators. */
export function ApplicationsLabel() {
  const { t } = useTranslation();
  const { data } = useQuery({
    queryKey: ["applications", "waiting"],
    queryFn: () => ok(api.GET("/api/v1/applications", { params: { query: { status: "waiting", limit: MOST + 1 } } })),
  });
  const count = data?.items.length ?? 0;
  return (
    <Flex align="center" justify="space-between" gap="small">
      {t("menu.applications")}
      {count > 0 && (
        <Badge count={count} overflowCount={MOST} size="small" title={t("applications.waiting", { count })} />
      )}
    </Flex>
  );
}
