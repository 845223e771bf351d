import { api, ok, type Schemas } from "@shared/api/client";
import { formatBytes } from "@shared/format";
import { Copyable, Simulated, When } from "@shared/ui/bits";
import { ErrorCard } from "@shared/ui/ErrorCard";
import { by, type Column, ListPage } from "@shared/ui/ListPage";
import { UsageBar, UsageList } from "@shared/ui/Usage";
import { useQuery } from "@tanstack/react-query";
import { Badge, Button, Descriptions, Drawer, Flex, Skeleton, Table, Tag, Typography } from "antd";
import { useState } from "react";
import { useTranslation } from "react-i18next";

type Node = Schemas["NodeOut"];
type Chip = Schemas["ChipOut"];
const BADGE = { ready: "success", not_ready: "warning", lost: "error", gone: "default", removed: "default" } as const;

export function NodeStatus({ node }: { node: Node }) {
  const { t } = useTranslation();
  return (
    <div>
      <Badge status={BADGE[node.status]} text={t(`nodeStatus.${node.status}`)} />
      <Typography.Text type="secondary" className="reason">
        {node.since && <When at={node.since} />}
        {node.reason && ` · ${node.reason}`}
      </Typography.Text>
    </div>
  );
}

function Labels({ labels }: { labels: Record<string, string> }) {
  return (
    <span className="tags" style={{ maxWidth: 260 }}>
      {Object.entries(labels).map(([key, value]) => (
        <Tag key={key} style={{ marginInlineEnd: 0, maxWidth: 260, overflow: "hidden", textOverflow: "ellipsis" }}>
          {value ? `${key}=${value}` : key}
        </Tag>
      ))}
    </span>
  );
}

/** The servers, found by themselves. */
export function Nodes() {
  const { t } = useTranslation();
  const [shown, setShown] = useState<string>();
  const columns: Column<Node>[] = [
    {
      title: t("common.name"),
      dataIndex: "name",
      sorter: by((row) => row.name),
      render: (name, node) => (
        <span className="tags">
          <Button type="link" style={{ padding: 0 }} onClick={() => setShown(node.id)}>
            {name}
          </Button>
          <Simulated when={node.simulated} />
        </span>
      ),
    },
    { title: t("nodes.ip"), dataIndex: "ip", render: (ip) => <span className="number">{ip || "–"}</span> },
    { title: t("nodes.labels"), dataIndex: "labels", render: (labels) => <Labels labels={labels} /> },
    {
      title: t("common.status"),
      key: "status",
      sorter: by((row) => row.status),
      render: (_, node) => <NodeStatus node={node} />,
    },
    { title: t("common.pool"), dataIndex: "pool_name", sorter: by((row) => row.pool_name) },
    { title: t("nodes.resources"), dataIndex: "resources", render: (usage) => <UsageList usage={usage} /> },
  ];
  return (
    <>
      <ListPage
        title={t("menu.nodes")}
        about={t("nodes.about")}
        queryKey={["nodes"]}
        load={(query) => ok(api.GET("/api/v1/nodes", { params: { query } }))}
        columns={columns}
        rowKey={(node) => node.id}
        empty={t("nodes.empty")}
      />
      <Drawer
        title={t("nodes.detail")}
        open={Boolean(shown)}
        onClose={() => setShown(undefined)}
        size={880}
        destroyOnHidden
      >
        {shown && <NodeDetail id={shown} />}
      </Drawer>
    </>
  );
}

function NodeDetail({ id }: { id: string }) {
  const { t } = useTranslation();
  const { data, error, refetch } = useQuery({
    queryKey: ["nodes", id],
    queryFn: () => ok(api.GET("/api/v1/nodes/{node_id}", { params: { path: { node_id: id } } })),
  });
  if (error && !data) return <ErrorCard error={error} retry={refetch} />;
  if (!data) return <Skeleton active />;
  const chips: Column<Chip>[] = [
    { title: t("chips.index"), dataIndex: "index", sorter: by((row) => row.index) },
    {
      title: t("chips.model"),
      dataIndex: "model",
      render: (model, chip) => (
        <span className="tags">
          {model}
          <Simulated when={chip.simulated} />
        </span>
      ),
    },
    { title: t("chips.card"), dataIndex: "card" },
    { title: t("chips.serial"), dataIndex: "serial", render: (serial) => (serial ? <Copyable text={serial} /> : "–") },
    { title: t("chips.memory"), dataIndex: "memory_bytes", render: (bytes) => (bytes ? formatBytes(bytes) : "–") },
    {
      title: t("chips.devices"),
      dataIndex: "device_paths",
      render: (paths: string[]) => <code>{paths.join(" ")}</code>,
    },
    {
      title: t("common.status"),
      key: "status",
      render: (_, chip) =>
        chip.healthy ? (
          <Tag color={chip.in_use ? "blue" : "green"}>{t(chip.in_use ? "chips.inUse" : "chips.free")}</Tag>
        ) : (
          <Tag color="red">{t("chips.unhealthy")}</Tag>
        ),
    },
  ];
  const facts = [
    [t("common.name"), data.name],
    [t("common.status"), <NodeStatus key="status" node={data} />],
    [t("nodes.ip"), data.ip],
    [t("nodes.site"), data.site_name],
    [t("common.pool"), data.pool_name],
    [t("nodes.os"), `${data.os} · ${data.kernel} · ${data.architecture}`],
    [t("nodes.engine"), data.engine],
    [t("nodes.labels"), <Labels key="labels" labels={data.labels} />],
    [t("common.id"), <Copyable key="id" text={data.id} />],
  ] as const;
  return (
    <Flex vertical gap="large">
      <Descriptions
        column={1}
        size="small"
        bordered
        items={facts.map(([label, children]) => ({ key: label, label, children }))}
      />
      <Flex vertical gap="small">
        {data.resources.map((usage) => (
          <UsageBar key={usage.resource} usage={usage} />
        ))}
      </Flex>
      <Typography.Title level={5} style={{ margin: 0 }}>
        {t("chips.title")}
      </Typography.Title>
      <Table
        columns={chips}
        dataSource={data.chips}
        rowKey={(chip) => chip.id}
        pagination={false}
        size="small"
        scroll={{ x: "max-content" }}
        locale={{ emptyText: t("chips.empty") }}
      />
    </Flex>
  );
}
