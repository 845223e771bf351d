import { api, ok, type Schemas } from "@shared/api/client";
import { formatUnc } from "@shared/format";
import { BarChart } from "@shared/ui/BarChart";
import { Simulated } from "@shared/ui/bits";
import { ErrorCard } from "@shared/ui/ErrorCard";
import { UsageBar } from "@shared/ui/Usage";
import { useQuery } from "@tanstack/react-query";
import { Card, Col, Flex, Row, Skeleton, Typography } from "antd";
import { useMemo } from "react";
import { useTranslation } from "react-i18next";
import { Link } from "react-router-dom";
import { HomeAttention } from "./HomeAttention";

type Overview = Schemas["MinerOverviewOut"];
const EARNINGS = "/time-management?tab=earnings";

/** What a miner sees first: what he has, what it does and earns, what needs attention. */
export function Home() {
  const { t } = useTranslation();
  const overview = useQuery({ queryKey: ["overview-miner"], queryFn: () => ok(api.GET("/api/v1/overview/miner")) });
  if (overview.isError && !overview.data) return <ErrorCard error={overview.error} retry={() => overview.refetch()} />;
  if (!overview.data) return <Skeleton active />;
  const data = overview.data;
  return (
    <Flex vertical gap="middle">
      <span className="tags">
        <Typography.Title level={3} style={{ margin: 0 }}>
          {t("menu.home")}
        </Typography.Title>
        <Simulated when={data.simulated} />
      </span>
      <Figures data={data} />
      <Row gutter={[16, 16]}>
        <Col xs={{ span: 24, order: 2 }} xl={{ span: 14, order: 1 }}>
          <Earnings days={data.earnings_by_day} />
        </Col>
        <Col xs={{ span: 24, order: 1 }} xl={{ span: 10, order: 2 }}>
          <HomeAttention items={data.attention} />
        </Col>
      </Row>
      <Card title={t("home.usage")} extra={<Link to="/resources">{t("menu.resources")}</Link>}>
        {data.usage.length === 0 && <Typography.Text type="secondary">{t("nodes.empty")}</Typography.Text>}
        <Row gutter={[32, 12]}>
          {data.usage.map((usage) => (
            <Col key={usage.resource} xs={24} md={12} xl={8}>
              <Link to={`/resources?search=${encodeURIComponent(usage.resource)}`} style={{ display: "block" }}>
                <UsageBar usage={usage} />
              </Link>
            </Col>
          ))}
        </Row>
      </Card>
    </Flex>
  );
}

/** Each figure leads to what it counts. */
function Figures({ data }: { data: Overview }) {
  const { t } = useTranslation();
  const counts: [string, string, string][] = [
    [t("home.nodesReady"), `${data.nodes_ready} / ${data.nodes_total}`, "/nodes"],
    [t("home.chipsBusy"), `${data.chips_busy} / ${data.chips_total}`, "/resources"],
    [t("home.running"), String(data.running_replicas), "/work?state=running"],
    [t("home.waiting"), String(data.waiting_replicas), "/work?state=pending"],
  ];
  const amounts: [string, string, string][] = [
    [t("home.today"), formatUnc(data.earnings_today), EARNINGS],
    [t("home.month"), formatUnc(data.earnings_month), EARNINGS],
  ];
  const figure = ([title, value, to]: [string, string, string]) => (
    <Link to={to} className="figure">
      <Card hoverable size="small">
        <Typography.Text type="secondary">{title}</Typography.Text>
        <div className="figure-value">{value}</div>
      </Card>
    </Link>
  );
  return (
    <Row gutter={[16, 16]}>
      {counts.map((one) => (
        <Col key={one[0]} xs={12} lg={6} xxl={4}>
          {figure(one)}
        </Col>
      ))}
      {amounts.map((one) => (
        <Col key={one[0]} xs={24} sm={12} xxl={4}>
          {figure(one)}
        </Col>
      ))}
    </Row>
  );
}

function Earnings({ days }: { days: Overview["earnings_by_day"] }) {
  const { t } = useTranslation();
  const bars = useMemo(
    () => days.map(({ day, amount }) => ({ name: day, value: Number(amount), text: formatUnc(amount) })),
    [days],
  );
  return (
    <Card title={t("home.byDay")} extra={<Link to={EARNINGS}>{t("time.earnings")}</Link>} style={{ height: "100%" }}>
      <BarChart label={t("home.byDay")} bars={bars} />
    </Card>
  );
}
