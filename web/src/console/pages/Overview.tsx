import { CloudUploadOutlined, CodeOutlined, DatabaseOutlined, ExperimentOutlined } from "@ant-design/icons";
import { api, ok } from "@shared/api/client";
import { said } from "@shared/i18n/said";
import { Running } from "@shared/money/Running";
import { WalletCards } from "@shared/money/WalletCards";
import { Simulated, type State, StateTag, Unc, When } from "@shared/ui/bits";
import { ErrorCard } from "@shared/ui/ErrorCard";
import { useQuery } from "@tanstack/react-query";
import { Badge, Button, Card, Col, Empty, Flex, Row, Skeleton, Tag, Typography } from "antd";
import { useTranslation } from "react-i18next";
import { Link, useNavigate } from "react-router-dom";

const SHOWN: State[] = ["running", "starting", "pending", "stopped", "failed"];
/** States that a person need not tell apart on this page. */
const SUM: Partial<Record<State, State[]>> = {
  starting: ["assigned", "starting"],
  stopped: ["stopping", "stopped", "succeeded"],
};

/** What a renter sees first: what runs, what is left, where to begin. */
export function Overview() {
  const { t } = useTranslation();
  const navigate = useNavigate();
  const overview = useQuery({ queryKey: ["overview"], queryFn: () => ok(api.GET("/api/v1/overview")) });
  if (overview.isError && !overview.data) return <ErrorCard error={overview.error} retry={() => overview.refetch()} />;
  if (!overview.data) return <Skeleton active />;
  const data = overview.data;
  const links = [
    { label: t("notebooks.create"), icon: <CodeOutlined aria-hidden />, to: "/notebooks?create=1" },
    { label: t("assets.algorithms.create"), icon: <CloudUploadOutlined aria-hidden />, to: "/algorithms?create=1" },
    { label: t("assets.datasets.create"), icon: <DatabaseOutlined aria-hidden />, to: "/datasets?create=1" },
    { label: t("assets.models.create"), icon: <ExperimentOutlined aria-hidden />, to: "/models?create=1" },
  ];
  const stock = [
    [t("menu.algorithms"), data.algorithms, "/algorithms"],
    [t("menu.datasets"), data.datasets, "/datasets"],
    [t("menu.images"), data.images, "/images"],
  ] as const;
  return (
    <Flex vertical gap="large">
      <Typography.Title level={3} style={{ margin: 0 }}>
        {t("menu.overview")}
      </Typography.Title>
      <WalletCards wallet={data} />
      {Number(data.burn_per_hour) > 0 && <Running />}
      <Row gutter={[16, 16]}>
        <Col xs={24} lg={12}>
          <Card
            title={t("menu.notebooks")}
            extra={<Link to="/notebooks">{t("overview.all")}</Link>}
            style={{ height: "100%" }}
          >
            <Counts counts={data.notebooks} />
            {Object.values(data.tasks).some(Boolean) && (
              <>
                <Typography.Title level={5}>{t("overview.tasks")}</Typography.Title>
                <Counts counts={data.tasks} />
              </>
            )}
            <Flex gap="large" wrap style={{ marginTop: 16 }}>
              {stock.map(([label, count, to]) => (
                <Link key={to} to={to}>
                  {label} <Badge count={count} showZero color="#8c8c8c" />
                </Link>
              ))}
            </Flex>
          </Card>
        </Col>
        <Col xs={24} lg={12}>
          <Card title={t("overview.quick")} style={{ height: "100%" }}>
            <Flex vertical gap="small">
              {links.map(({ label, icon, to }, index) => (
                <Button
                  key={to}
                  block
                  size="large"
                  type={index ? "default" : "primary"}
                  icon={icon}
                  onClick={() => navigate(to)}
                  style={{ justifyContent: "flex-start" }}
                >
                  {label}
                </Button>
              ))}
            </Flex>
          </Card>
        </Col>
      </Row>
      <LatestRecords />
    </Flex>
  );
}

function Counts({ counts }: { counts: Record<string, number> }) {
  return (
    <Flex gap="large" wrap>
      {SHOWN.map((state) => (
        <Flex key={state} vertical align="start" gap={4}>
          <Typography.Text style={{ fontSize: 26, lineHeight: 1 }} className="number">
            {(SUM[state] ?? [state]).reduce((sum, one) => sum + (counts[one] ?? 0), 0)}
          </Typography.Text>
          <StateTag state={state} />
        </Flex>
      ))}
    </Flex>
  );
}

function LatestRecords() {
  const { t } = useTranslation();
  const query = { limit: 5 };
  const charges = useQuery({
    queryKey: ["charges", "latest"],
    queryFn: () => ok(api.GET("/api/v1/charges", { params: { query: { ...query, role: "payer" } } })),
  });
  const recharges = useQuery({
    queryKey: ["recharges", "latest"],
    queryFn: () => ok(api.GET("/api/v1/recharges", { params: { query } })),
  });
  const nothing = (text: string) => <Empty image={Empty.PRESENTED_IMAGE_SIMPLE} description={text} />;
  return (
    <Row gutter={[16, 16]}>
      <Col xs={24} lg={14}>
        <Card
          title={t("time.charges")}
          extra={<Link to="/time-management?tab=charges">{t("overview.all")}</Link>}
          style={{ height: "100%" }}
        >
          {charges.data?.items.length === 0 && nothing(t("charges.empty"))}
          {charges.data?.items.map((charge) => (
            <Line
              key={charge.id}
              left={
                <span className="tags">
                  <Typography.Text strong>{charge.workload}</Typography.Text>
                  <Typography.Text type="secondary">{charge.spec}</Typography.Text>
                  <Simulated when={charge.simulated} />
                  {charge.open && <Tag color="green">{t("charges.open")}</Tag>}
                </span>
              }
              at={charge.ended_at ?? charge.started_at}
              amount={charge.paid}
            />
          ))}
        </Card>
      </Col>
      <Col xs={24} lg={10}>
        <Card
          title={t("time.recharges")}
          extra={<Link to="/time-management?tab=recharges">{t("overview.all")}</Link>}
          style={{ height: "100%" }}
        >
          {recharges.data?.items.length === 0 && nothing(t("recharges.empty"))}
          {recharges.data?.items.map((row) => (
            <Line
              key={row.id}
              left={said(row.note) || t(row.kind === "recharge" ? "recharges.recharge" : "recharges.deduct")}
              at={row.at}
              amount={row.amount}
            />
          ))}
        </Card>
      </Col>
    </Row>
  );
}

function Line({ left, at, amount }: { left: React.ReactNode; at: string | null | undefined; amount: string }) {
  return (
    <Flex justify="space-between" gap="small" style={{ padding: "6px 0" }} wrap>
      <span>{left}</span>
      <span className="tags">
        <Typography.Text type="secondary">
          <When at={at} />
        </Typography.Text>
        <Unc value={amount} strong />
      </span>
    </Flex>
  );
}
