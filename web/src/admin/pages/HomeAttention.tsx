import { CheckCircleFilled, ExclamationCircleFilled, InfoCircleFilled, WarningFilled } from "@ant-design/icons";
import type { Schemas } from "@shared/api/client";
import { said } from "@shared/i18n/said";
import { Card, Flex, Tag, Typography, theme } from "antd";
import { useTranslation } from "react-i18next";
import { Link } from "react-router-dom";

type Attention = Schemas["Attention"];

/** Where each kind is seen and put right: the node, or the list narrowed to just the things that are counted. */
function target({ kind, object_type, object_id }: Attention): string {
  if (object_type === "node" && object_id) return `/nodes/${object_id}`;
  return TARGET[kind];
}

const TARGET: Record<Attention["kind"], string> = {
  no_nodes: "/sites",
  no_specs: "/specifications",
  node_not_ready: "/nodes?status=not_ready",
  node_lost: "/nodes?status=lost",
  node_flagged: "/nodes?fault=flagged",
  chip_unhealthy: "/nodes?fault=unhealthy",
  chip_twice: "/nodes",
  site_flagged: "/sites",
  clock_off: "/sites?clock=off",
  node_advised: "/nodes?fault=advised",
  spec_never_fits: "/specifications?fit=never",
  pool_without_nodes: "/resource-pools?without=nodes",
  pool_without_groups: "/resource-pools?without=groups",
  work_waiting: "/work?state=pending",
  application_waiting: "/applications?status=waiting",
};

/** What a reader of any language needs in the server's own words: the rest is said by the kind. */
const SPECIFIC = new Set<Attention["kind"]>([
  "node_not_ready",
  "node_flagged",
  "site_flagged",
  "chip_twice",
  "clock_off",
  "node_advised",
  "work_waiting",
]);

/** Each line says what is wrong, where, and leads to it. */
export function HomeAttention({ items }: { items: Attention[] }) {
  const { t } = useTranslation();
  const { token } = theme.useToken();
  const icons = {
    error: <ExclamationCircleFilled aria-label={t("home.severity.error")} style={{ color: token.colorError }} />,
    warning: <WarningFilled aria-label={t("home.severity.warning")} style={{ color: token.colorWarning }} />,
    info: <InfoCircleFilled aria-label={t("home.severity.info")} style={{ color: token.colorInfo }} />,
  };
  return (
    <Card
      title={t("home.attention")}
      extra={items.length > 0 && <Tag>{items.length}</Tag>}
      style={{ height: "100%" }}
      styles={{ body: { maxHeight: 312, overflow: "auto" } }}
    >
      {items.length === 0 && (
        <span className="tags">
          <CheckCircleFilled aria-hidden style={{ color: token.colorSuccess }} /> {t("home.allWell")}
        </span>
      )}
      <ul className="plain-list">
        {items.map((one) => (
          <li key={`${one.kind} ${one.object_id}`}>
            <Link to={target(one)} className="attention">
              <Flex gap="small" align="start">
                <span style={{ lineHeight: "22px" }}>{icons[one.severity]}</span>
                <div style={{ minWidth: 0 }}>
                  <Typography.Text strong>{t(`home.kind.${one.kind}`, { count: one.count })}</Typography.Text>
                  {one.object_name && <div>{one.object_name}</div>}
                  <Typography.Text type="secondary" className="reason" style={{ maxWidth: "none" }}>
                    {SPECIFIC.has(one.kind) ? said(one.detail) : t(`home.cure.${one.kind as Cured}`)}
                  </Typography.Text>
                </div>
              </Flex>
            </Link>
          </li>
        ))}
      </ul>
    </Card>
  );
}

type Cured = Exclude<
  Attention["kind"],
  "node_not_ready" | "node_flagged" | "site_flagged" | "chip_twice" | "clock_off" | "node_advised" | "work_waiting"
>;
