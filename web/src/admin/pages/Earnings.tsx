import { api, ok } from "@shared/api/client";
import { Sums } from "@shared/money/Sums";
import { useRole } from "@shared/session";
import { Unc } from "@shared/ui/bits";
import { ErrorCard } from "@shared/ui/ErrorCard";
import { useQuery } from "@tanstack/react-query";
import { Card, Col, Flex, Row, Skeleton, Statistic, Typography } from "antd";
import { useTranslation } from "react-i18next";
import { EarningsHeld } from "./EarningsHeld";

/** What a miner earned, and for operators what the platform did. */
export function Earnings() {
  const { t } = useTranslation();
  const operator = useRole();
  const earnings = useQuery({ queryKey: ["earnings"], queryFn: () => ok(api.GET("/api/v1/earnings")) });
  const platform = useQuery({
    queryKey: ["earnings", "platform"],
    queryFn: () => ok(api.GET("/api/v1/earnings/platform")),
    enabled: operator,
  });
  if (earnings.isError && !earnings.data) return <ErrorCard error={earnings.error} retry={() => earnings.refetch()} />;
  if (!earnings.data) return <Skeleton active />;
  const mine: [string, string][] = [
    [t("earnings.today"), earnings.data.today],
    [t("earnings.month"), earnings.data.this_month],
    [t("earnings.balance"), earnings.data.balance],
    [t("earnings.accrued"), earnings.data.accrued],
    ...(Number(earnings.data.held) > 0 ? ([[t("earnings.held"), earnings.data.held]] as [string, string][]) : []),
  ];
  const all: [string, string][] = platform.data
    ? [
        [t("earnings.fees"), platform.data.fees],
        [t("earnings.issued"), platform.data.issued],
        [t("earnings.sum"), platform.data.journal_sum],
      ]
    : [];
  const cards = (rows: [string, string][]) => (
    <Row gutter={[16, 16]}>
      {rows.map(([title, value]) => (
        <Col key={title} xs={24} sm={12} xl={6}>
          <Card size="small">
            <Statistic title={title} valueRender={() => <Unc value={value} />} />
          </Card>
        </Col>
      ))}
    </Row>
  );
  return (
    <Flex vertical gap="middle">
      <Typography.Text type="secondary">{t("earnings.about", { miner: earnings.data.miner_name })}</Typography.Text>
      {cards(mine)}
      <Sums side="payee" />
      {operator && <EarningsHeld />}
      {all.length > 0 && (
        <>
          <Typography.Title level={5} style={{ marginBottom: 0 }}>
            {t("earnings.platform")}
          </Typography.Title>
          <Typography.Text type="secondary">{t("earnings.sumHint")}</Typography.Text>
          {cards(all)}
        </>
      )}
    </Flex>
  );
}
