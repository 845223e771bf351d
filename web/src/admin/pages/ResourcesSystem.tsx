import { api, MAX_ROWS, ok, type Schemas } from "@shared/api/client";
import { Simulated, useResourceName } from "@shared/ui/bits";
import { type Column, ListPage } from "@shared/ui/ListPage";
import { Meter } from "@shared/ui/Usage";
import { useQuery } from "@tanstack/react-query";
import { Skeleton, Tag, Typography } from "antd";
import { useTranslation } from "react-i18next";
import { Link } from "react-router-dom";

type System = Schemas["SystemResourceOut"];
const MOST_NODES = 30;

/** Capacity, allocated and free of one resource, with a bar. */
export function useUsageColumn<T extends { usage: Schemas["Usage"] }>(): Column<T> {
  const { t } = useTranslation();
  return {
    title: t("resources.usage"),
    key: "usage",
    render: (_, { usage }) => (
      <div style={{ minWidth: 140 }}>
        <span className="number">
          {t("usage.of", { allocated: usage.allocated_text, capacity: usage.capacity_text })}
        </span>
        <Meter percent={usage.capacity ? (usage.allocated / usage.capacity) * 100 : 0} />
        <Typography.Text type="secondary" className="reason">
          {t("usage.free")} {usage.free_text}
        </Typography.Text>
      </div>
    ),
  };
}

/** What the nodes really have, as the system names it. */
export function SystemResources() {
  const { t } = useTranslation();
  const name = useResourceName();
  const columns: Column<System>[] = [
    {
      title: t("common.name"),
      dataIndex: "name",
      sort: "name",
      render: (value, resource) => (
        <span className="tags">
          <code>{value}</code>
          {name(value) !== value && <Typography.Text type="secondary">{name(value)}</Typography.Text>}
          <Simulated when={resource.simulated} />
        </span>
      ),
    },
    { title: t("resources.unit"), dataIndex: "unit", render: (unit) => t(`unit.${unit}` as "unit.bytes") },
    useUsageColumn<System>(),
    {
      title: t("menu.nodes"),
      dataIndex: "nodes",
      align: "right",
      render: (nodes: System["nodes"]) => <span title={nodes.map((node) => node.name).join(", ")}>{nodes.length}</span>,
    },
    {
      title: t("resources.customNames"),
      dataIndex: "custom_names",
      render: (names: string[]) => (names.length ? names.map((one) => <Tag key={one}>{one}</Tag>) : "–"),
    },
  ];
  return (
    <ListPage
      about={t("resources.systemAbout")}
      queryKey={["system-resources"]}
      load={(query) => ok(api.GET("/api/v1/system-resources", { params: { query } }))}
      columns={columns}
      rowKey={(row) => row.name}
      file={{ path: "/api/v1/system-resources" }}
      empty={t("resources.systemEmpty")}
      expanded={(row) => <OverNodes resource={row.name} count={row.nodes.length} />}
    />
  );
}

/** One resource, node by node. */
function OverNodes({ resource, count }: { resource: string; count: number }) {
  const { t } = useTranslation();
  const { data } = useQuery({
    queryKey: ["nodes", "all"],
    queryFn: () => ok(api.GET("/api/v1/nodes", { params: { query: { limit: MAX_ROWS } } })),
  });
  if (!data) return <Skeleton active title={false} paragraph={{ rows: 2 }} />;
  const nodes = data.items.flatMap((node) => {
    const usage = node.resources.find((one) => one.resource === resource);
    return usage ? [{ node, usage }] : [];
  });
  return (
    <>
      <div className="over-nodes">
        {nodes.slice(0, MOST_NODES).map(({ node, usage }) => (
          <div key={node.id}>
            <span className="tags" style={{ display: "flex", justifyContent: "space-between" }}>
              <Link to={`/nodes/${node.id}`}>{node.name}</Link>
              <Typography.Text type="secondary" className="number">
                {usage.allocated_text} / {usage.capacity_text}
              </Typography.Text>
            </span>
            <Meter percent={usage.capacity ? (usage.allocated / usage.capacity) * 100 : 0} />
          </div>
        ))}
      </div>
      {count > MOST_NODES && <Link to="/nodes">{t("resources.allOf", { count })}</Link>}
    </>
  );
}
