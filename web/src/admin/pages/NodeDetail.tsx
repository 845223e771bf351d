import { LeftOutlined } from "@ant-design/icons";
import { api, ok, type Schemas } from "@shared/api/client";
import { formatExact } from "@shared/format";
import { said } from "@shared/i18n/said";
import { Copyable, Simulated, When } from "@shared/ui/bits";
import { ErrorCard } from "@shared/ui/ErrorCard";
import { UsageBar } from "@shared/ui/Usage";
import { useQuery } from "@tanstack/react-query";
import { Alert, Button, Card, Col, Descriptions, Flex, Row, Skeleton, Typography } from "antd";
import { type ReactNode, useState } from "react";
import { useTranslation } from "react-i18next";
import { Link, useParams } from "react-router-dom";
import { NodeChips } from "./NodeDetailChips";
import { LabelsDialog } from "./NodeDetailLabels";
import { NodeWork } from "./NodeDetailWork";
import { NodeActions } from "./NodesActions";
import { Labels, NodeStatus, NodeTags } from "./NodesParts";

type Detail = Schemas["NodeDetail"];

/** One server: what it is, what it does, its chips, whose work runs on it, and what can be done with it. */
export function NodeDetail() {
  const { t } = useTranslation();
  const { id = "" } = useParams();
  const { data, error, refetch } = useQuery({
    queryKey: ["nodes", "one", id],
    queryFn: () => ok(api.GET("/api/v1/nodes/{node_id}", { params: { path: { node_id: id } } })),
  });
  const back = (
    <Link to="/nodes">
      <LeftOutlined aria-hidden /> {t("nodes.all")}
    </Link>
  );
  if (error && !data)
    return (
      <>
        {back}
        <ErrorCard error={error} retry={refetch} />
      </>
    );
  if (!data) return <Skeleton active />;
  return (
    <section>
      {back}
      <Flex justify="space-between" align="start" gap="small" wrap style={{ margin: "8px 0 16px" }}>
        <span className="tags">
          <Typography.Title level={3} style={{ margin: 0 }}>
            {data.name}
          </Typography.Title>
          <Simulated when={data.simulated} />
          <NodeTags node={data} />
        </span>
        <NodeActions node={data} />
      </Flex>
      <Flex vertical gap="middle">
        <Notices node={data} />
        <Row gutter={[16, 16]}>
          <Col xs={24} xl={14}>
            <Facts node={data} />
          </Col>
          <Col xs={24} xl={10}>
            <Panel title={t("nodes.resources")}>
              {data.resources.map((usage) => (
                <UsageBar key={usage.resource} usage={usage} />
              ))}
              {data.resources.length === 0 && "–"}
            </Panel>
          </Col>
        </Row>
        <NodeChips node={data} />
        <Panel title={t("nodes.work")} extra={<Link to={`/work?node=${data.id}`}>{t("menu.work")}</Link>}>
          <NodeWork node={data} />
        </Panel>
      </Flex>
    </section>
  );
}

export function Panel({ title, extra, children }: { title: string; extra?: ReactNode; children: ReactNode }) {
  return (
    <Card size="small" title={<h4 className="card-title">{title}</h4>} extra={extra} style={{ height: "100%" }}>
      {children}
    </Card>
  );
}

/** What somebody who comes here must know before anything else. */
function Notices({ node }: { node: Detail }) {
  const { t } = useTranslation();
  return (
    <>
      {node.status === "removed" && <Alert type="info" showIcon title={t("nodes.removedNotice")} />}
      {node.status === "lost" && <Alert type="error" showIcon title={t("nodes.lostNotice")} />}
      {node.moving_to && <Alert type="info" showIcon title={t("nodes.movingNotice", { pool: node.moving_to.name })} />}
      {node.drain_at && (
        <Alert
          type="warning"
          showIcon
          title={t("nodes.drainNotice", { at: formatExact(node.drain_at) })}
          description={node.drain_reason}
        />
      )}
      {node.cordoned && !node.drain_at && (
        <Alert type="warning" showIcon title={t("nodes.cordonNotice")} description={node.cordon_reason} />
      )}
      <Told type="warning" title={t("nodes.flagsNotice")} texts={node.flags} />
      <Told type="info" title={t("nodes.adviceNotice")} texts={node.advice} />
    </>
  );
}

function Told({ type, title, texts }: { type: "warning" | "info"; title: string; texts: string[] }) {
  if (texts.length === 0) return null;
  return (
    <Alert
      type={type}
      showIcon
      title={title}
      description={
        <ul style={{ margin: 0, paddingInlineStart: 20 }}>
          {texts.map((text) => (
            <li key={text}>{said(text)}</li>
          ))}
        </ul>
      }
    />
  );
}

function Facts({ node }: { node: Detail }) {
  const { t } = useTranslation();
  const [editing, setEditing] = useState(false);
  const facts: [string, ReactNode][] = [
    [t("common.status"), <NodeStatus key="status" node={node} />],
    [t("nodes.ip"), node.ip && <Copyable key="ip" text={node.ip} label={t("nodes.ip")} />],
    [t("nodes.hostname"), node.hostname],
    [
      t("common.pool"),
      <Link key="pool" to={`/resource-pools?search=${encodeURIComponent(node.pool_name)}`}>
        {node.pool_name}
      </Link>,
    ],
    [
      t("nodes.site"),
      <Link key="site" to={`/sites?search=${encodeURIComponent(node.site_name)}`}>
        {node.site_name}
      </Link>,
    ],
    [t("nodes.os"), [node.os, node.kernel, node.architecture].filter(Boolean).join(" · ")],
    [t("nodes.engine"), node.engine],
    [t("nodes.agent"), node.agent_version],
    [t("nodes.joined"), <When key="joined" at={node.created_at} />],
    [t("nodes.labels"), <Labels key="labels" node={node} />],
    [t("common.id"), <Copyable key="id" text={node.id} label={t("common.id")} />],
  ];
  return (
    <Panel
      title={t("nodes.facts")}
      extra={
        <Button size="small" onClick={() => setEditing(true)}>
          {t("nodes.editLabels")}
        </Button>
      }
    >
      <Descriptions
        column={1}
        size="small"
        colon={false}
        styles={{ label: { width: 96 } }}
        items={facts.map(([label, children]) => ({ key: label, label, children: children || "–" }))}
      />
      {editing && <LabelsDialog node={node} onClose={() => setEditing(false)} />}
    </Panel>
  );
}
