import { api, MAX_ROWS, ok } from "@shared/api/client";
import { Simulated, Unc } from "@shared/ui/bits";
import { ErrorCard } from "@shared/ui/ErrorCard";
import { UsageBar } from "@shared/ui/Usage";
import { useQuery } from "@tanstack/react-query";
import { Alert, Card, Col, Flex, Row, Skeleton, Statistic, Typography } from "antd";
import type { ReactNode } from "react";
import { useTranslation } from "react-i18next";
import { Link } from "react-router-dom";

/** What a miner sees first: how it stands, what was earned, what needs attention. */
export function Home() {
  const { t } = useTranslation();
  const overview = useQuery({ queryKey: ["overview-miner"], queryFn: () => ok(api.GET("/api/v1/overview/miner")) });
  if (overview.isError && !overview.data) return <ErrorCard error={overview.error} retry={() => overview.refetch()} />;
  if (!overview.data) return <Skeleton active />;
  const data = overview.data;
  const figures: [string, ReactNode, string][] = [
    [t("home.nodesReady"), `${data.nodes_ready} / ${data.nodes_total}`, "/nodes"],
    [t("home.running"), data.running_replicas, "/work"],
    [t("home.waiting"), data.waiting_replicas, "/work"],
    [t("home.users"), data.users, "/users"],
    [t("home.today"), <Unc key="today" value={data.earnings_today} />, "/time-management?tab=earnings"],
    [t("home.month"), <Unc key="month" value={data.earnings_month} />, "/time-management?tab=earnings"],
  ];
  return (
    <Flex vertical gap="large">
      <span className="tags">
        <Typography.Title level={3} style={{ margin: 0 }}>
          {t("menu.home")}
        </Typography.Title>
        <Simulated when={data.simulated} />
      </span>
      <Attention waiting={data.waiting_replicas} />
      <Row gutter={[16, 16]}>
        {figures.map(([title, value, to]) => (
          <Col key={title} xs={12} md={8} xl={4}>
            <Link to={to}>
              <Card hoverable size="small">
                <Statistic title={title} valueRender={() => value} />
              </Card>
            </Link>
          </Col>
        ))}
      </Row>
      <Card title={t("home.usage")} extra={<Link to="/nodes">{t("menu.nodes")}</Link>}>
        {data.usage.length === 0 && <Typography.Text type="secondary">{t("nodes.empty")}</Typography.Text>}
        <Row gutter={[32, 12]}>
          {data.usage.map((usage) => (
            <Col key={usage.resource} xs={24} md={12} xl={8}>
              <UsageBar usage={usage} />
            </Col>
          ))}
        </Row>
      </Card>
    </Flex>
  );
}

/** Each line says what is missing and leads to where it is done. */
function Attention({ waiting }: { waiting: number }) {
  const { t } = useTranslation();
  const query = { limit: MAX_ROWS };
  const nodes = useQuery({
    queryKey: ["nodes", "all"],
    queryFn: () => ok(api.GET("/api/v1/nodes", { params: { query } })),
  });
  const specs = useQuery({
    queryKey: ["specs", "all"],
    queryFn: () => ok(api.GET("/api/v1/specs", { params: { query } })),
  });
  if (!nodes.data || !specs.data) return null;

  const away = nodes.data.items.filter((node) => node.status !== "ready");
  const neverFit = specs.data.items.filter((spec) => spec.fit && spec.fit.at_best === 0);
  const lines: { key: string; type: "warning" | "info"; text: string; to: string; link: string }[] = [];
  const add = (type: "warning" | "info", text: string, to: string, link: string) =>
    lines.push({ key: text, type, text, to, link });
  for (const node of away)
    add(
      "warning",
      t("home.nodeAway", { node: node.name, status: t(`nodeStatus.${node.status}`), reason: node.reason }),
      "/nodes",
      t("menu.nodes"),
    );
  if (nodes.data.items.length === 0) add("info", t("nodes.empty"), "/nodes", t("menu.nodes"));
  if (specs.data.items.length === 0) add("info", t("home.noSpecs"), "/specifications", t("menu.specs"));
  for (const spec of neverFit)
    add("warning", t("home.specNeverFits", { spec: spec.name }), "/specifications", t("menu.specs"));
  if (waiting > 0) add("info", t("home.someWait", { count: waiting }), "/work", t("menu.work"));

  if (lines.length === 0) return <Alert type="success" showIcon title={t("home.allWell")} />;
  return (
    <Flex vertical gap="small">
      {lines.map(({ key, type, text, to, link }) => (
        <Alert key={key} type={type} showIcon title={text} action={<Link to={to}>{link}</Link>} />
      ))}
    </Flex>
  );
}
